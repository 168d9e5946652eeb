"""Elementwise ops: arithmetic, functions of floats, comparisons, logic, `where` and `cast`.

    def f(x: f32[b, 3], c: f32[3]):
        v0: f32[b, 3] = add(x, c)        # operands broadcast as in NumPy; their dtypes are equal
        return v0
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from flowc.errors import DTypeError
from flowc.ir.op import REQUIRED
from flowc.ir.types import ALL, BOOL, FLOATS, NUMBERS, DType, TensorType
from flowc.ops.constructors import dtype_attribute, elementwise
from flowc.ops.inference import no_gradient, one_dtype

SIGNED = tuple(d for d in NUMBERS if d.name[0] != "u")
XY = ("x", "y")

# arithmetic

add = elementwise(
    "add", dtypes=NUMBERS, operands=XY,
    eval=np.add,
    vjp=lambda e, x, y, z, ct: (ct, ct),
    scalar="x + y",
    doc="Sum of two.",
)  # fmt: skip

sub = elementwise(
    "sub", dtypes=NUMBERS, operands=XY,
    eval=np.subtract,
    vjp=lambda e, x, y, z, ct: (ct, -ct),
    scalar="x - y",
    doc="Difference of two.",
)  # fmt: skip

mul = elementwise(
    "mul", dtypes=NUMBERS, operands=XY,
    eval=np.multiply,
    vjp=lambda e, x, y, z, ct: (ct * y, ct * x),
    scalar="x * y",
    doc="Product of two.",
)  # fmt: skip

div = elementwise(
    "div", dtypes=FLOATS, operands=XY, title="truediv",
    eval=np.true_divide,
    vjp=lambda e, x, y, z, ct: (ct / y, -(ct * z / y)),
    scalar="x / y",
    doc="True quotient of two floats.",
)  # fmt: skip

floordiv = elementwise(
    "floordiv", dtypes=NUMBERS, operands=XY, title="floordiv",
    eval=np.floor_divide,
    vjp=no_gradient,
    scalar="x // y",
    doc="Quotient rounded towards minus infinity.",
)  # fmt: skip

mod = elementwise(
    "mod", dtypes=NUMBERS, operands=XY, title="FloorMod",
    eval=np.mod,
    vjp=lambda e, x, y, z, ct: (ct, -(ct * e.floordiv(x, y))),
    scalar="x % y",
    doc="Remainder with the divisor's sign.",
)  # fmt: skip

squared_difference = elementwise(
    "squared_difference", dtypes=NUMBERS, operands=XY,
    eval=lambda x, y: np.square(x - y),
    vjp=lambda e, x, y, z, ct: ((x - y) * ct * 2.0, (y - x) * ct * 2.0),
    scalar="(x - y) * (x - y)",
    doc="(x - y) squared.",
)  # fmt: skip


def _pow_vjp(e: Any, x: Any, y: Any, z: Any, ct: Any) -> Any:
    # the logarithm of what is not positive is kept out of the product, where it would make NaN of 0 * inf
    logarithm = e.where(x > 0.0, e.log(e.where(x > 0.0, x, 1.0)), 0.0)
    return ct * y * e.pow(x, y - 1.0), ct * z * logarithm


pow = elementwise(
    "pow", dtypes=NUMBERS, operands=XY,
    eval=np.power,
    vjp=_pow_vjp,
    scalar="pow(x, y)",
    doc="x to the power of y. Like TensorFlow's, the gradient to y is 0 where x is not positive.",
)  # fmt: skip

neg = elementwise(
    "neg", dtypes=SIGNED,
    eval=np.negative,
    vjp=lambda e, x, y, ct: -ct,
    scalar="-x",
    doc="Negative.",
)  # fmt: skip

abs = elementwise(
    "abs", dtypes=SIGNED,
    eval=np.abs,
    vjp=lambda e, x, y, ct: ct * e.sign(x),
    scalar="abs(x)",
    doc="Absolute value.",
)  # fmt: skip

sign = elementwise(
    "sign", dtypes=SIGNED,
    eval=np.sign,
    vjp=lambda e, x, y, ct: e.zeros_like(x),
    scalar="select(x > 0, 1, select(x < 0, -1, x))",
    doc="1, 0 or -1; NaN stays NaN.",
)  # fmt: skip

square = elementwise(
    "square", dtypes=NUMBERS,
    eval=np.square,
    vjp=lambda e, x, y, ct: ct * (x * 2.0),
    scalar="x * x",
    doc="x * x.",
)  # fmt: skip

reciprocal = elementwise(
    "reciprocal", dtypes=FLOATS,
    eval=lambda x: 1.0 / x,
    vjp=lambda e, x, y, ct: -(ct * y * y),
    scalar="1.0 / x",
    doc="1 / x.",
)  # fmt: skip

sqrt = elementwise(
    "sqrt", dtypes=FLOATS,
    eval=np.sqrt,
    vjp=lambda e, x, y, ct: ct * 0.5 / y,
    scalar="sqrt(x)",
    doc="Square root.",
)  # fmt: skip

rsqrt = elementwise(
    "rsqrt", dtypes=FLOATS,
    eval=lambda x: 1.0 / np.sqrt(x),
    vjp=lambda e, x, y, ct: ct * -0.5 * (y * y * y),
    scalar="1.0 / sqrt(x)",
    doc="1 / sqrt(x).",
)  # fmt: skip

# functions of floats


def _function(name: str, eval: Callable[..., Any], derivative: Callable[..., Any], scalar: str, doc: str, title: str = "") -> None:
    """An elementwise function of floats: `derivative(e, x, y)` at x, with y the value."""
    elementwise(name, dtypes=FLOATS, eval=eval, vjp=lambda e, x, y, ct: ct * derivative(e, x, y), scalar=scalar, doc=doc, title=title)


def _sigmoid(x: Any) -> Any:
    small = np.exp(-np.abs(x))  # of the two equal forms, the one that cannot overflow
    return np.where(x >= 0, 1 / (1 + small), small / (1 + small)).astype(x.dtype)


def _erf(x: Any) -> Any:
    x = np.asarray(x)
    return np.array([math.erf(v) for v in x.ravel().tolist()], dtype=x.dtype).reshape(x.shape)


def _where_positive(e: Any, x: Any, yes: Any, no: Any) -> Any:
    return e.where(x > 0.0, yes, no)


_function("exp", np.exp, lambda e, x, y: y, "exp(x)", "e to the power of x.")
_function("expm1", np.expm1, lambda e, x, y: y + 1.0, "expm1(x)", "exp(x) - 1, exact near 0.")
_function("log", np.log, lambda e, x, y: e.reciprocal(x), "log(x)", "Natural logarithm.")
_function("log1p", np.log1p, lambda e, x, y: e.reciprocal(x + 1.0), "log1p(x)", "log(1 + x), exact near 0.")
_function("tanh", np.tanh, lambda e, x, y: 1.0 - y * y, "tanh(x)", "Hyperbolic tangent.")
_function("sigmoid", _sigmoid, lambda e, x, y: y * (1.0 - y), "sigmoid(x)", "1 / (1 + exp(-x)).")
_function("softplus", lambda x: np.logaddexp(x, x.dtype.type(0)), lambda e, x, y: e.sigmoid(x),
          "max(x, 0.0) + log1p(exp(-abs(x)))", "log(1 + exp(x)), without overflow.")  # fmt: skip
_function("sin", np.sin, lambda e, x, y: e.cos(x), "sin(x)", "Sine.")
_function("cos", np.cos, lambda e, x, y: -e.sin(x), "cos(x)", "Cosine.")
_function("tan", np.tan, lambda e, x, y: y * y + 1.0, "tan(x)", "Tangent.")
_function("asin", np.arcsin, lambda e, x, y: e.rsqrt(1.0 - x * x), "asin(x)", "Arc sine.")
_function("acos", np.arccos, lambda e, x, y: -e.rsqrt(1.0 - x * x), "acos(x)", "Arc cosine.")
_function("atan", np.arctan, lambda e, x, y: e.reciprocal(x * x + 1.0), "atan(x)", "Arc tangent.")
_function("sinh", np.sinh, lambda e, x, y: e.cosh(x), "sinh(x)", "Hyperbolic sine.")
_function("cosh", np.cosh, lambda e, x, y: e.sinh(x), "cosh(x)", "Hyperbolic cosine.")
_function("erf", _erf, lambda e, x, y: e.exp(-(x * x)) * (2.0 / math.sqrt(math.pi)), "erf(x)", "Error function.")
_function("gelu", lambda x: (0.5 * x * (1 + _erf(x * math.sqrt(0.5)))).astype(x.dtype),
          lambda e, x, y: (e.erf(x * math.sqrt(0.5)) + 1.0) * 0.5 + x * e.exp(x * x * -0.5) * math.sqrt(0.5 / math.pi),
          f"0.5 * x * (1.0 + erf(x * {math.sqrt(0.5)!r}))",
          "x times the normal distribution function of x (Hendrycks and Gimpel 2016, the exact form).")  # fmt: skip


def _gelu_tanh_slope(e: Any, x: Any, y: Any) -> Any:
    t = e.tanh(x * _GELU_SCALE * (x * x * _GELU_CUBE + 1.0))
    return (t + 1.0) * 0.5 + x * (1.0 - t * t) * (x * x * (3.0 * _GELU_CUBE) + 1.0) * (0.5 * _GELU_SCALE)


_GELU_SCALE, _GELU_CUBE = math.sqrt(2.0 / math.pi), 0.044715
_function("gelu_tanh", lambda x: (0.5 * x * (1 + np.tanh(_GELU_SCALE * x * (1 + _GELU_CUBE * x * x)))).astype(x.dtype),
          _gelu_tanh_slope,
          f"0.5 * x * (1.0 + tanh(x * {_GELU_SCALE!r} * (1.0 + x * x * {_GELU_CUBE!r})))",
          "gelu with tanh in place of the normal distribution function (Hendrycks and Gimpel 2016, the approximation).")  # fmt: skip

relu = elementwise(
    "relu", dtypes=NUMBERS,
    eval=lambda x: np.maximum(x, x.dtype.type(0)),
    vjp=lambda e, x, y, ct: e.where(y > 0.0, ct, 0.0),
    scalar="max(x, 0.0)",
    doc="The larger of x and 0; NaN stays NaN.",
)  # fmt: skip

relu6 = elementwise(
    "relu6", dtypes=NUMBERS,
    eval=lambda x: np.minimum(np.maximum(x, x.dtype.type(0)), x.dtype.type(6)),
    vjp=lambda e, x, y, ct: e.where(e.logical_and(x > 0.0, x < 6.0), ct, 0.0),
    scalar="min(max(x, 0.0), 6.0)",
    doc="x cut off below 0 and above 6.",
)  # fmt: skip

leaky_relu = elementwise(
    "leaky_relu", dtypes=FLOATS, attrs={"alpha": 0.2},
    eval=lambda x, alpha: np.where(x > 0, x, x * x.dtype.type(alpha)),
    vjp=lambda e, x, y, ct, alpha: _where_positive(e, x, ct, ct * alpha),
    scalar="x if x > 0.0 else x * alpha",
    doc="x where it is positive, else alpha * x.",
)  # fmt: skip

elu = elementwise(
    "elu", dtypes=FLOATS,
    eval=lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    vjp=lambda e, x, y, ct: _where_positive(e, x, ct, ct * (y + 1.0)),
    scalar="x if x > 0.0 else expm1(x)",
    doc="x where it is positive, else exp(x) - 1.",
)  # fmt: skip

# rounding: no gradient, as in TensorFlow

floor = elementwise("floor", dtypes=FLOATS, eval=np.floor, vjp=no_gradient, scalar="floor(x)", doc="The next whole number below.")
ceil = elementwise("ceil", dtypes=FLOATS, eval=np.ceil, vjp=no_gradient, scalar="ceil(x)", doc="The next whole number above.")
round = elementwise("round", dtypes=FLOATS, eval=np.rint, vjp=no_gradient, scalar="round(x)", doc="The nearest whole number, halves to even.")

# of two, one

maximum = elementwise(
    "maximum", dtypes=NUMBERS, operands=XY,
    eval=np.maximum,
    vjp=lambda e, x, y, z, ct: (e.where(x >= y, ct, 0.0), e.where(x >= y, 0.0, ct)),
    scalar="max(x, y)",
    doc="The larger of two; NaN where either is NaN. The gradient goes to x where they are equal.",
)  # fmt: skip

minimum = elementwise(
    "minimum", dtypes=NUMBERS, operands=XY,
    eval=np.minimum,
    vjp=lambda e, x, y, z, ct: (e.where(x <= y, ct, 0.0), e.where(x <= y, 0.0, ct)),
    scalar="min(x, y)",
    doc="The smaller of two; NaN where either is NaN. The gradient goes to x where they are equal.",
)  # fmt: skip


def _where_dtype(condition: TensorType, x: TensorType, y: TensorType) -> DType:
    if condition.dtype is not BOOL:
        raise DTypeError(f"where: the condition is {condition.dtype}, bool is expected")
    return one_dtype("where", (x, y))


where = elementwise(
    "where", dtypes=ALL, dtype=_where_dtype, operands=("condition", "x", "y"), title="Select",
    eval=np.where,
    vjp=lambda e, c, x, y, z, ct: (None, e.where(c, ct, 0.0), e.where(c, 0.0, ct)),
    scalar="x if condition else y",
    doc="x where the condition holds, else y.",
)  # fmt: skip

# comparisons and logic


def _comparison(name: str, eval: Callable[..., Any], sign: str, dtypes: tuple[DType, ...] = NUMBERS) -> None:
    elementwise(name, dtypes=dtypes, operands=XY, result=BOOL, eval=eval, vjp=no_gradient, scalar=f"x {sign} y", doc=f"Whether x {sign} y.")


_comparison("equal", np.equal, "==", ALL)
_comparison("not_equal", np.not_equal, "!=", ALL)
_comparison("less", np.less, "<")
_comparison("less_equal", np.less_equal, "<=")
_comparison("greater", np.greater, ">")
_comparison("greater_equal", np.greater_equal, ">=")
_comparison("logical_and", np.logical_and, "and", (BOOL,))
_comparison("logical_or", np.logical_or, "or", (BOOL,))
_comparison("logical_xor", np.logical_xor, "!=", (BOOL,))

logical_not = elementwise("logical_not", dtypes=(BOOL,), eval=np.logical_not, vjp=no_gradient, scalar="not x", doc="The opposite.")
is_nan = elementwise("is_nan", dtypes=FLOATS, result=BOOL, eval=np.isnan, vjp=no_gradient, scalar="isnan(x)", doc="Whether x is NaN.")
is_inf = elementwise("is_inf", dtypes=FLOATS, result=BOOL, eval=np.isinf, vjp=no_gradient, scalar="isinf(x)", doc="Whether x is infinite.")
is_finite = elementwise(
    "is_finite", dtypes=FLOATS, result=BOOL, eval=np.isfinite, vjp=no_gradient, scalar="not (isnan(x) or isinf(x))",
    doc="Whether x is neither infinite nor NaN.",
)  # fmt: skip

# what passes x on

identity = elementwise("identity", dtypes=ALL, eval=lambda x: x, vjp=lambda e, x, y, ct: ct, scalar="x", doc="x itself.")
stop_gradient = elementwise("stop_gradient", dtypes=ALL, eval=lambda x: x, vjp=no_gradient, scalar="x", doc="x, with no gradient passed through.")

cast = elementwise(
    "cast", dtypes=ALL, dtype=dtype_attribute, attrs={"dtype": REQUIRED},
    eval=lambda x, dtype: x.astype(dtype.numpy),
    vjp=lambda e, x, y, ct, dtype: e.cast(ct, dtype=x.dtype) if x.dtype.is_float and dtype.is_float else None,
    scalar="{dtype}(x)",
    doc="x in another element type, as NumPy's astype converts.",
)  # fmt: skip
