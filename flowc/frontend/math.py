"""TensorFlow 1's functions of tensors, element by element, and its reductions.

    tf.reduce_sum(y * tf.log(p), reduction_indices=[1])     # `axis` by its older name

Each is named after TensorFlow's op where `name` is not given: `Square`, `Sum`, `Mean`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from flowc.errors import FlowcError, ShapeError, user_location
from flowc.frontend.convert import as_dtype_checked, binary, convert, emit, function_of_floats, graph_of, has_tensor, pair, unary
from flowc.frontend.scope import Graph
from flowc.frontend.tensor import Tensor
from flowc.ir.types import BOOL, F32, F64, I32, I64, DType

Elementwise = Callable[..., Tensor]


def _function(op: str, title: str, doc: str) -> Elementwise:
    def apply(x: Any, name: str | None = None) -> Tensor:
        return function_of_floats(op, x, name, title)

    return _named(apply, op, doc)


def _number_function(op: str, title: str, doc: str) -> Elementwise:
    def apply(x: Any, name: str | None = None) -> Tensor:
        return unary(op, x, name, title)

    return _named(apply, op, doc)


def _arithmetic(op: str, title: str, doc: str) -> Elementwise:
    def apply(x: Any, y: Any, name: str | None = None) -> Tensor:
        return binary(op, x, y, name or title)

    return _named(apply, op, doc)


def _named(function: Elementwise, name: str, doc: str) -> Elementwise:
    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return function


add = _arithmetic("add", "Add", "x + y, broadcast as in NumPy.")
subtract = sub = _arithmetic("sub", "Sub", "x - y.")
multiply = mul = _arithmetic("mul", "Mul", "x * y.")
divide = truediv = _arithmetic("div", "truediv", "x / y; ints are divided as floats.")
realdiv = _arithmetic("div", "RealDiv", "x / y of floats.")
floordiv = _arithmetic("floordiv", "floordiv", "x / y rounded towards minus infinity.")
floormod = mod = _arithmetic("mod", "FloorMod", "The remainder of x / y with y's sign.")
pow = _arithmetic("pow", "Pow", "x to the power of y.")
maximum = _arithmetic("maximum", "Maximum", "The larger of two.")
minimum = _arithmetic("minimum", "Minimum", "The smaller of two.")
squared_difference = _arithmetic("squared_difference", "SquaredDifference", "(x - y) squared.")
equal = _arithmetic("equal", "Equal", "Whether x equals y, element by element.")
not_equal = _arithmetic("not_equal", "NotEqual", "Whether x differs from y, element by element.")
less = _arithmetic("less", "Less", "Whether x < y.")
less_equal = _arithmetic("less_equal", "LessEqual", "Whether x <= y.")
greater = _arithmetic("greater", "Greater", "Whether x > y.")
greater_equal = _arithmetic("greater_equal", "GreaterEqual", "Whether x >= y.")
logical_and = _arithmetic("logical_and", "LogicalAnd", "x and y.")
logical_or = _arithmetic("logical_or", "LogicalOr", "x or y.")
logical_xor = _arithmetic("logical_xor", "LogicalXor", "Either x or y, not both.")

negative = neg = _number_function("neg", "Neg", "-x.")
abs = _number_function("abs", "Abs", "The absolute value.")
sign = _number_function("sign", "Sign", "1, 0 or -1.")
square = _number_function("square", "Square", "x * x.")
logical_not = _number_function("logical_not", "LogicalNot", "The opposite of a truth value.")
stop_gradient = _number_function("stop_gradient", "StopGradient", "x, with no gradient passed through.")

exp = _function("exp", "Exp", "e to the power of x.")
expm1 = _function("expm1", "Expm1", "exp(x) - 1.")
log = _function("log", "Log", "The natural logarithm.")
log1p = _function("log1p", "Log1p", "log(1 + x).")
sqrt = _function("sqrt", "Sqrt", "The square root.")
rsqrt = _function("rsqrt", "Rsqrt", "1 / sqrt(x).")
reciprocal = inv = _function("reciprocal", "Reciprocal", "1 / x.")
sin = _function("sin", "Sin", "The sine.")
cos = _function("cos", "Cos", "The cosine.")
tan = _function("tan", "Tan", "The tangent.")
asin = _function("asin", "Asin", "The arc sine.")
acos = _function("acos", "Acos", "The arc cosine.")
atan = _function("atan", "Atan", "The arc tangent.")
sinh = _function("sinh", "Sinh", "The hyperbolic sine.")
cosh = _function("cosh", "Cosh", "The hyperbolic cosine.")
tanh = _function("tanh", "Tanh", "The hyperbolic tangent.")
sigmoid = _function("sigmoid", "Sigmoid", "1 / (1 + exp(-x)).")
erf = _function("erf", "Erf", "The error function.")
floor = _function("floor", "Floor", "The next whole number below.")
ceil = _function("ceil", "Ceil", "The next whole number above.")
round = rint = _function("round", "Round", "The nearest whole number, halves to even.")
is_nan = _function("is_nan", "IsNan", "Whether x is NaN.")
is_inf = _function("is_inf", "IsInf", "Whether x is infinite.")
is_finite = _function("is_finite", "IsFinite", "Whether x is neither infinite nor NaN.")


def div(x: Any, y: Any, name: str | None = None) -> Tensor:
    """x / y by Python 2's rules: of ints the quotient rounded down, of floats the true one."""
    graph = graph_of(x, y)
    with graph.name_scope(name or "div") as scope:
        left, right = pair("div", x, y, graph)
        return emit("floordiv" if left.dtype.is_int else "div", (left, right), scope, graph)


def erfc(x: Any, name: str | None = None) -> Tensor:
    """1 - erf(x)."""
    return binary("sub", 1.0, erf(x), name or "Erfc")


def log_sigmoid(x: Any, name: str | None = None) -> Tensor:
    """log(sigmoid(x)), as -softplus(-x), which cannot overflow."""
    graph = graph_of(x)
    with graph.name_scope(name or "LogSigmoid") as scope:
        return unary("neg", unary("softplus", unary("neg", x, None, "Neg"), None, "Softplus"), scope, "Neg")


def cast(x: Any, dtype: Any, name: str | None = None) -> Tensor:
    """x in another element type; x itself where it has it already."""
    wanted = as_dtype_checked(dtype)
    with graph_of(x).name_scope(name or "Cast") as scope:
        value = convert(x, None, "x")
        return value if value.dtype is wanted else emit("cast", (value,), scope, dtype=wanted)


def to_float(x: Any, name: str = "ToFloat") -> Tensor:
    return cast(x, F32, name)


def to_double(x: Any, name: str = "ToDouble") -> Tensor:
    return cast(x, F64, name)


def to_int32(x: Any, name: str = "ToInt32") -> Tensor:
    return cast(x, I32, name)


def to_int64(x: Any, name: str = "ToInt64") -> Tensor:
    return cast(x, I64, name)


def add_n(inputs: Any, name: str | None = None) -> Tensor:
    """The sum of a list of tensors of one shape."""
    items = list(inputs)
    if not items:
        raise ShapeError("add_n of no tensors", location=user_location())
    graph = graph_of(*items)
    with graph.name_scope(name or "AddN") as scope:
        total = convert(items[0], None, None, graph)
        if len(items) == 1:
            return emit("identity", (total,), scope)
        for place, item in enumerate(items[1:], 2):
            total = binary("add", total, item, scope if place == len(items) else "add")
        return total


def accumulate_n(inputs: Any, shape: Any = None, tensor_dtype: Any = None, name: str | None = None) -> Tensor:
    """As `add_n`."""
    return add_n(inputs, name or "AccumulateNV2")


def clip_by_value(t: Any, clip_value_min: Any, clip_value_max: Any, name: str | None = None) -> Tensor:
    """t, with what is smaller than the one bound or larger than the other cut off."""
    with graph_of(t).name_scope(name or "clip_by_value") as scope:
        return binary("maximum", binary("minimum", t, clip_value_max, "Minimum"), clip_value_min, scope)


# reductions


def axes_argument(axis: Any) -> tuple[int, ...] | None:
    """An axis, a list of axes or None, as a tuple or None; a constant tensor counts as its value."""
    if axis is None:
        return None
    if has_tensor(axis):
        from flowc.frontend.static import integers

        axis = integers(convert(axis), "an axis")
    array = np.asarray(axis)
    if array.dtype.kind not in "iu" and array.size:
        raise ShapeError(f"an axis is a whole number or a list of them, not {axis!r}", location=user_location())
    return tuple(int(a) for a in array.reshape(-1))


def _one_of(first: Any, second: Any, names: str) -> Any:
    if first is not None and second is not None:
        raise FlowcError(f"only one of {names} can be given", location=user_location())
    return first if first is not None else second


def reduce(op: str, default: str, x: Any, axis: Any, keepdims: Any, name: str | None, dtype: DType | None = None) -> Tensor:
    """`op` over axes (None: all)."""
    graph = graph_of(x)
    if axis is None and op != "logsumexp":
        _take_axis_names(graph, x)
    with graph.name_scope(name or default) as scope:
        value = convert(x, dtype, "input", graph)
        axes = axes_argument(axis)
        if axes == ():
            return emit("identity", (value,), scope)
        if axes is None and value.dims == ():
            axes = ()
        return emit(op, (value,), scope, axis=axes, keepdims=bool(keepdims))


def _take_axis_names(graph: Graph, x: Any) -> None:
    """Pass over the names of the nodes by which TensorFlow says `all axes`, so that nodes made later are called as they are there."""
    unknown = isinstance(x, Tensor) and x.dims is None
    for name in ("Rank", "range") if unknown else ("Const",):
        graph.full_name(name)


def _reduction(op: str, default: str, doc: str, dtype: DType | None = None) -> Elementwise:
    def apply(
        input_tensor: Any,
        axis: Any = None,
        keepdims: Any = None,
        name: str | None = None,
        reduction_indices: Any = None,
        keep_dims: Any = None,
    ) -> Tensor:
        chosen = _one_of(axis, reduction_indices, "axis and reduction_indices")
        return reduce(op, default, input_tensor, chosen, _one_of(keepdims, keep_dims, "keepdims and keep_dims"), name, dtype)

    return _named(apply, op, doc + " `axis`: one, several, or None for all; `keepdims` keeps them with extent 1.")


reduce_sum = _reduction("reduce_sum", "Sum", "The sum along axes.")
reduce_prod = _reduction("reduce_prod", "Prod", "The product along axes.")
reduce_max = _reduction("reduce_max", "Max", "The maximum along axes.")
reduce_min = _reduction("reduce_min", "Min", "The minimum along axes.")
reduce_any = _reduction("reduce_any", "Any", "Whether one along the axes is true.", BOOL)
reduce_all = _reduction("reduce_all", "All", "Whether all along the axes are true.", BOOL)
reduce_logsumexp = _reduction("logsumexp", "ReduceLogSumExp", "log(sum(exp(x))) along axes, without overflow.")
_float_mean = _reduction("reduce_mean", "Mean", "The mean along axes.")


def reduce_mean(
    input_tensor: Any, axis: Any = None, keepdims: Any = None, name: str | None = None, reduction_indices: Any = None, keep_dims: Any = None
) -> Tensor:
    """The mean along axes (None: all). Of ints it is rounded down, as in TensorFlow."""
    graph = graph_of(input_tensor)
    value = convert(input_tensor, None, None, graph)
    if not value.dtype.is_int:
        return _float_mean(value, axis, keepdims, name, reduction_indices, keep_dims)
    with graph.name_scope(name or "Mean") as scope:
        chosen = axes_argument(_one_of(axis, reduction_indices, "axis and reduction_indices"))
        total = reduce_sum(value, chosen, _one_of(keepdims, keep_dims, "keepdims and keep_dims"))
        return binary("floordiv", total, emit("size_of", (value,), None, axis=chosen, dtype=value.dtype), scope)


def count_nonzero(input_tensor: Any, axis: Any = None, keepdims: Any = None, dtype: Any = I64, name: str | None = None) -> Tensor:
    """How many elements along axes are not zero."""
    with graph_of(input_tensor).name_scope(name or "count_nonzero"):
        value = convert(input_tensor)
        return reduce_sum(cast(not_equal(value, emit("zeros_like", (value,))), dtype), axis, keepdims)


def _arg(op: str, default: str, doc: str) -> Elementwise:
    def apply(input: Any, axis: Any = None, name: str | None = None, dimension: Any = None, output_type: Any = I64) -> Tensor:
        axes = axes_argument(_one_of(axis, dimension, "axis and dimension")) or (0,)
        return unary(op, input, name, default, axis=axes[0], dtype=as_dtype_checked(output_type))

    return _named(apply, op, doc)


argmax = arg_max = _arg("argmax", "ArgMax", "Where the largest element along an axis (0) stands; the first of equal ones.")
argmin = arg_min = _arg("argmin", "ArgMin", "Where the smallest element along an axis (0) stands; the first of equal ones.")


def cumsum(x: Any, axis: int = 0, exclusive: bool = False, reverse: bool = False, name: str | None = None) -> Tensor:
    """The sum of the elements up to each place along an axis."""
    return unary("cumsum", x, name, "Cumsum", axis=int(axis), exclusive=bool(exclusive), reverse=bool(reverse))


def norm(tensor: Any, ord: Any = "euclidean", axis: Any = None, keepdims: Any = None, name: str | None = None, keep_dims: Any = None) -> Tensor:
    """The norm of vectors along axes (None: of all elements): "euclidean" or 2, 1, or infinity. ShapeError for another order."""
    kept = _one_of(keepdims, keep_dims, "keepdims and keep_dims")
    with graph_of(tensor).name_scope(name or "norm") as scope:
        value = abs(convert(tensor))
        if ord in ("euclidean", 2):
            return unary("sqrt", reduce_sum(square(value), axis, kept), scope, "Sqrt")
        if ord == 1:
            return reduce_sum(value, axis, kept, scope)
        if ord == np.inf:
            return reduce_max(value, axis, kept, scope)
    raise ShapeError(f"norm: order {ord!r} is none of 'euclidean', 1, 2 and infinity", location=user_location())


# products


def matmul(
    a: Any,
    b: Any,
    transpose_a: bool = False,
    transpose_b: bool = False,
    adjoint_a: bool = False,
    adjoint_b: bool = False,
    a_is_sparse: bool = False,
    b_is_sparse: bool = False,
    name: str | None = None,
) -> Tensor:
    """The product of matrices [..., n, k] and [..., k, m], or of stacks of them; `transpose_a` and `transpose_b` swap the last two axes first."""
    graph = graph_of(a, b)
    with graph.name_scope(name or "MatMul") as scope:
        left, right = pair("matmul", a, b, graph)
        return emit("matmul", (left, right), scope, graph, transpose_a=bool(transpose_a or adjoint_a), transpose_b=bool(transpose_b or adjoint_b))


batch_matmul = matmul


def tensordot(a: Any, b: Any, axes: Any, name: str | None = None) -> Tensor:
    """The sum of products over `axes`: a number (the last of a, the first of b), or a pair of lists of axes. Ranks must be known."""
    from flowc.frontend.array_ops import reshape, shape_argument_of, transpose

    graph = graph_of(a, b)
    with graph.name_scope(name or "Tensordot") as scope:
        left, right = convert(a, None, "a", graph), convert(b, None, "b", graph)
        p, q = left.dims, right.dims
        if p is None or q is None:
            raise ShapeError("tensordot: both ranks must be known", location=user_location())
        if isinstance(axes, int):
            from_left, from_right = list(range(len(p) - axes, len(p))), list(range(axes))
        else:
            from_left, from_right = ([x] if isinstance(x, int) else list(x) for x in axes)
        from_left, from_right = [x % len(p) for x in from_left], [x % len(q) for x in from_right]
        free_left = [i for i in range(len(p)) if i not in from_left]
        free_right = [i for i in range(len(q)) if i not in from_right]
        inner = shape_argument_of([q[i] for i in from_right])
        rows = reshape(transpose(left, free_left + from_left), [-1, inner])
        columns = reshape(transpose(right, from_right + free_right), [inner, -1])
        product = matmul(rows, columns)
        return reshape(product, [p[i] for i in free_left] + [q[i] for i in free_right], name=scope)


def trace(x: Any, name: str | None = None) -> Tensor:
    """The sum of the diagonal of matrices [..., n, n]."""
    from flowc.frontend.array_ops import eye

    value = convert(x)
    if value.dims is None or len(value.dims) < 2:
        raise ShapeError("trace: a known rank of at least 2 is needed", repr(value.node), user_location())
    return reduce_sum(value * eye(value.dims[-2], value.dims[-1], dtype=value.dtype), [-2, -1], name=name)
