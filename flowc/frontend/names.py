"""The public names, and where each one stands: TensorFlow 1's (`TENSORFLOW`, also as `import flowc as tf`) and flowc's own (`FLOWC`).

    TENSORFLOW.nn.relu        # flowc.frontend.nn.relu, imported now
    TENSORFLOW.float          # NameLookupError: ... did you mean float32?
"""

from __future__ import annotations

from flowc.frontend.namespaces import Namespace

_LATER = "flowc does not have it yet"


def listed(module: str, names: str) -> dict[str, str]:
    """`a b=c`: the name `a` for the module's `a`, the name `b` for its `c`."""
    pairs = (entry.partition("=") for entry in names.split())
    return {public: f"{module}:{name or public}" for public, _, name in pairs}


_DTYPES = listed(
    "flowc.ir.types",
    "float16=F16 float32=F32 float64=F64 half=F16 double=F64 int8=I8 int16=I16 int32=I32 int64=I64 uint8=U8 uint16=U16 uint32=U32 "
    "uint64=U64 bool=BOOL as_dtype DType",
)
_DTYPES |= {"string": "flowc.ops.summary:STRING"}
_MATH = listed(
    "flowc.frontend.math",
    "add subtract multiply div divide truediv realdiv floordiv floor_div=floordiv floormod mod pow maximum minimum squared_difference equal not_equal "
    "less less_equal greater greater_equal logical_and logical_or logical_xor logical_not negative abs sign square exp expm1 log log1p sqrt rsqrt "
    "reciprocal sin cos tan asin acos atan sinh cosh tanh sigmoid erf erfc floor ceil round rint is_nan is_inf is_finite log_sigmoid cast "
    "to_float to_double to_int32 to_int64 add_n accumulate_n clip_by_value norm reduce_sum reduce_prod reduce_max reduce_min reduce_any reduce_all "
    "reduce_mean reduce_logsumexp count_nonzero argmax argmin arg_max arg_min cumsum matmul tensordot trace stop_gradient",
)
_ARRAYS = listed(
    "flowc.frontend.array_ops",
    "placeholder placeholder_with_default constant fill zeros ones zeros_like ones_like eye range=range_ linspace lin_space=linspace shape size "
    "rank reshape transpose matrix_transpose expand_dims squeeze broadcast_to tile reverse pad concat stack unstack split gather gather_nd "
    "one_hot where boolean_mask sequence_mask diag_part diag",
)
_GRAPH = {
    **listed(
        "flowc.frontend.scope",
        "Graph GraphKeys get_default_graph reset_default_graph name_scope op_scope control_dependencies device add_to_collection "
        "get_collection get_collection_ref",
    ),
    **listed(
        "flowc.frontend.variable",
        "Variable assign assign_add assign_sub global_variables all_variables trainable_variables local_variables variables_initializer "
        "global_variables_initializer initialize_all_variables local_variables_initializer is_variable_initialized",
    ),
    **listed("flowc.frontend.variable_scope", "AUTO_REUSE VariableScope get_variable_scope variable_scope variable_op_scope get_variable"),
    **listed("flowc.frontend.flow", "group no_op identity tuple cond case while_loop"),
    **listed("flowc.frontend.session", "Session InteractiveSession get_default_session"),
    **listed("flowc.frontend.tensor", "Tensor Operation"),
    **listed("flowc.frontend.shape", "TensorShape Dimension"),
    **listed("flowc.frontend.convert", "convert_to_tensor"),
    **listed("flowc.frontend.indexing", "slice=slice_ strided_slice"),
    **listed("flowc.frontend.gradients", "gradients hessians"),
    **listed("flowc.frontend.schedules", "clip_by_norm global_norm clip_by_global_norm"),
    **listed("flowc.frontend.app", "ConfigProto GPUOptions RunOptions"),
    **listed("flowc.frontend.step_stats", "RunMetadata"),
    **listed("flowc.frontend.protos", "Event HistogramProto SessionLog Summary SummaryMetadata"),
}
_RANDOM = listed(
    "flowc.frontend.random_ops",
    "set_random_seed random_normal truncated_normal random_uniform random_shuffle multinomial random_crop",
)
_INITIALIZERS = listed(
    "flowc.frontend.initializers",
    "zeros_initializer=Zeros ones_initializer=Ones constant_initializer=Constant random_normal_initializer=RandomNormal "
    "truncated_normal_initializer=TruncatedNormal random_uniform_initializer=RandomUniform variance_scaling_initializer=VarianceScaling "
    "glorot_uniform_initializer=glorot_uniform glorot_normal_initializer=glorot_normal uniform_unit_scaling_initializer=uniform_unit_scaling",
)
_OPTIMIZERS = listed(
    "flowc.frontend.optimizers",
    "Optimizer GradientDescentOptimizer MomentumOptimizer AdagradOptimizer AdadeltaOptimizer RMSPropOptimizer AdamOptimizer FtrlOptimizer",
)

NN = Namespace(
    "tensorflow.nn",
    {
        **listed(
            "flowc.frontend.nn",
            "relu relu6 leaky_relu elu selu crelu gelu swish softplus softsign softmax log_softmax softmax_cross_entropy_with_logits "
            "softmax_cross_entropy_with_logits_v2 sparse_softmax_cross_entropy_with_logits sigmoid_cross_entropy_with_logits "
            "weighted_cross_entropy_with_logits dropout bias_add conv2d max_pool avg_pool l2_loss l2_normalize moments xw_plus_b relu_layer "
            "embedding_lookup in_top_k batch_normalization zero_fraction",
        ),
        **listed("flowc.frontend.math", "sigmoid tanh log_sigmoid"),
    },
)
TRAIN = Namespace(
    "tensorflow.train",
    {
        **_OPTIMIZERS,
        **listed(
            "flowc.frontend.schedules",
            "exponential_decay natural_exp_decay inverse_time_decay polynomial_decay piecewise_constant get_global_step create_global_step "
            "get_or_create_global_step global_step",
        ),
        **listed("flowc.frontend.protos", "summary_iterator"),
    },
    absent={"Saver": _LATER, "MonitoredTrainingSession": "use tf.Session", "SummaryWriter": "use tf.summary.FileWriter", "Supervisor": "use tf.Session"},
)
_INPUTS = listed("flowc.frontend.estimator", "numpy_input_fn")
ESTIMATOR = Namespace(
    "tensorflow.estimator",
    {
        **listed("flowc.frontend.estimator", "LinearRegressor=EstimatorLinearRegressor"),
        "inputs": Namespace("tensorflow.estimator.inputs", _INPUTS),
    },
)
FEATURE_COLUMN = Namespace("tensorflow.feature_column", listed("flowc.frontend.estimator", "numeric_column"))
CONTRIB = Namespace(
    "tensorflow.contrib",
    {
        "learn": Namespace(
            "tensorflow.contrib.learn",
            {**listed("flowc.frontend.estimator", "LinearRegressor"), "io": Namespace("tensorflow.contrib.learn.io", _INPUTS)},
        ),
        "layers": Namespace(
            "tensorflow.contrib.layers",
            {
                **listed("flowc.frontend.estimator", "real_valued_column"),
                **listed("flowc.frontend.initializers", "xavier_initializer variance_scaling_initializer=VarianceScaling"),
            },
        ),
        "framework": Namespace(
            "tensorflow.contrib.framework", listed("flowc.frontend.schedules", "get_global_step create_global_step get_or_create_global_step")
        ),
    },
)
MATH = Namespace("tensorflow.math", _MATH)
INITIALIZERS = Namespace(
    "tensorflow.initializers",
    {
        **listed(
            "flowc.frontend.initializers",
            "zeros=Zeros ones=Ones constant=Constant random_normal=RandomNormal truncated_normal=TruncatedNormal random_uniform=RandomUniform "
            "variance_scaling=VarianceScaling glorot_uniform glorot_normal he_normal he_uniform",
        ),
        **listed("flowc.frontend.variable", "variables=variables_initializer global_variables=global_variables_initializer"),
    },
)
RANDOM = Namespace(
    "tensorflow.random",
    listed(
        "flowc.frontend.random_ops",
        "normal=random_normal uniform=random_uniform truncated_normal set_random_seed",
    ),
)
FLAGS = Namespace(
    "tensorflow.flags",
    listed("flowc.frontend.app", "FLAGS DEFINE_string DEFINE_integer DEFINE_float DEFINE_bool DEFINE_boolean=DEFINE_bool DEFINE_enum"),
)
APP = Namespace("tensorflow.app", {**listed("flowc.frontend.app", "run"), "flags": FLAGS})
LOGGING = Namespace(
    "tensorflow.logging",
    listed("flowc.frontend.app", "DEBUG INFO WARN ERROR FATAL set_verbosity get_verbosity debug info warn warning=warn error fatal"),
)
ERRORS = Namespace(
    "tensorflow.errors",
    listed("flowc.errors", "OpError InvalidArgumentError FailedPreconditionError NotFoundError OutOfRangeError"),
)
EXAMPLES = Namespace(
    "tensorflow.examples",
    {
        "tutorials": Namespace(
            "tensorflow.examples.tutorials",
            {
                "mnist": Namespace(
                    "tensorflow.examples.tutorials.mnist",
                    {"input_data": Namespace("tensorflow.examples.tutorials.mnist.input_data", listed("flowc.data.mnist", "read_data_sets"))},
                )
            },
        )
    },
)

SUMMARY = Namespace(
    "tensorflow.summary",
    {
        **listed("flowc.frontend.summary", "scalar image histogram text merge merge_all"),
        **listed("flowc.frontend.protos", "Event SessionLog Summary TaggedRunMetadata"),
        **listed("flowc.frontend.file_writer", "FileWriter FileWriterCache"),
    },
    absent={"audio": _LATER, "tensor_summary": "use tf.summary.scalar, image, histogram or text"},
)
PYTHON = Namespace(
    "tensorflow.python",
    {
        "client": Namespace(
            "tensorflow.python.client",
            {"timeline": Namespace("tensorflow.python.client.timeline", listed("flowc.frontend.timeline", "Timeline"))},
        )
    },
)
_NAMESPACES: dict[str, str | Namespace] = {
    "nn": NN,
    "train": TRAIN,
    "estimator": ESTIMATOR,
    "feature_column": FEATURE_COLUMN,
    "contrib": CONTRIB,
    "math": MATH,
    "initializers": INITIALIZERS,
    "random": RANDOM,
    "flags": FLAGS,
    "app": APP,
    "logging": LOGGING,
    "errors": ERRORS,
    "examples": EXAMPLES,
    "summary": SUMMARY,
    "python": PYTHON,
}
_ABSENT = {
    "keras": "flowc speaks TensorFlow 1's graph interface: tf.Variable, tf.nn and tf.train",
    "GradientTape": "flowc speaks TensorFlow 1's graph interface: use tf.gradients, or flowc.grad",
    "function": "flowc speaks TensorFlow 1's graph interface: use flowc.compile",
    "data": "feed NumPy arrays through feed_dict",
    "Print": "fetch the tensor with session.run and print it",
    "py_func": "compute with NumPy between two runs and feed the result",
    "py_function": "compute with NumPy between two runs and feed the result",
    "complex64": "flowc has no complex numbers",
    "complex128": "flowc has no complex numbers",
    "bfloat16": _LATER,
    "SparseTensor": "flowc has dense tensors only",
    "scan": "write the loop in Python, over nodes",
    "map_fn": "write the loop in Python, over nodes, or use operations on the whole tensor",
    "layers": "use tf.Variable, tf.matmul and tf.nn",
    "losses": "use tf.reduce_mean and the functions of tf.nn",
    "metrics": "use tf.reduce_mean, or NumPy on fetched values",
    **{f"{kind}_summary": f"use tf.summary.{kind}" for kind in ("scalar", "image", "histogram")},
    "merge_summary": "use tf.summary.merge",
    "merge_all_summaries": "use tf.summary.merge_all",
}
_TENSORFLOW_NAMES: dict[str, str | Namespace] = {
    **_DTYPES, **_MATH, **_ARRAYS, **_GRAPH, **_RANDOM, **_INITIALIZERS, **_NAMESPACES, "newaxis": "flowc.frontend.app:newaxis",
}  # fmt: skip

COMPAT_V1 = Namespace(
    "tensorflow.compat.v1",
    {
        **_TENSORFLOW_NAMES,
        **listed("flowc.frontend.app", "disable_v2_behavior disable_eager_execution disable_resource_variables enable_eager_execution=no_eager_execution"),
    },
    absent=_ABSENT,
)
TENSORFLOW = Namespace(
    "tensorflow",
    {
        **_TENSORFLOW_NAMES,
        "compat": Namespace("tensorflow.compat", {"v1": COMPAT_V1, **listed("flowc.frontend.app", "as_str as_text=as_str")}),
        **listed("flowc.frontend.app", "__version__=TENSORFLOW_VERSION VERSION=TENSORFLOW_VERSION"),
    },
    absent=_ABSENT,
)

FLOWC = Namespace(
    "flowc",
    {
        **_TENSORFLOW_NAMES,
        **listed("flowc.ir.types", "f16=F16 f32=F32 f64=F64 i8=I8 i16=I16 i32=I32 i64=I64 u8=U8 u16=U16 u32=U32 u64=U64"),
        **listed("flowc.frontend.trace", "compile Compiled"),
        **listed("flowc.frontend.differentiate", "grad value_and_grad"),
        **listed("flowc.frontend.profiling", "profile"),
        **listed("flowc.runtime.background", "wait_until_compiled"),
        **listed("flowc.frontend.loops", "run_loop"),
        **listed(
            "flowc.frontend.short",
            "sum mean max min prod any all dot concatenate take arange astype clip relu softmax log_softmax logsumexp softplus gelu layer_norm",
        ),
        "random": Namespace("flowc.random", listed("flowc.frontend.draws", "normal uniform truncated_normal")),
        **listed("flowc.errors", "FlowcError FlowcWarning ShapeError DTypeError GraphError FeedError FetchError UninitializedError"),
        **listed("flowc.config", "settings override"),
        "data": "flowc.data",
    },
    absent=_ABSENT,
)
