"""Random numbers from a counter: the same bits in NumPy, on every back end and for any number of threads.

    v0: f32[b, 20] = random_uniform(run, shape=(b, 20), seed=7)        # run: u64, the run counter

Philox4x32-10 (Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3; SC 2011) turns a key and a counter of four 32-bit
words into four random words. Key: the seed, low word first. Counter: the run counter, low word first, then the number of the block of
elements, low word first. A block gives four elements of f32 or f16, or two of f64 (two words each, the higher one first).

Normals invert the normal distribution function by the rational approximations of algorithm AS 241 (Wichura: The percentage points
of the normal distribution; Applied Statistics 37, 1988): PPND7 in f32, PPND16 in f64. Its logarithm is computed here from the exponent (by
exact multiplications with powers of two) and the series of atanh, so that nothing but + - * / sqrt and comparisons is used, and every
machine that rounds as IEEE 754 says gives the same bits. Relative error, measured on 80 000 probabilities: at most 4e-7 in f32, and in
f64 at most 1e-15 away from the same algorithm with a correctly rounded logarithm. The largest normal is 6.3 in f32 and 8.2 in f64.

The formulas stand here once and are read twice: with NumPy arrays for `eval`, and with expressions of the loop IR for the lowering.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from flowc.errors import DTypeError, ShapeError
from flowc.ir import loops
from flowc.ir.dims import Shape, ceildiv
from flowc.ir.loops import Alloc, Const, Expr, For, Let, Load, Statement, Store, Var
from flowc.ir.op import REQUIRED, Nest, Op
from flowc.ir.types import F32, F64, FLOATS, I64, U32, U64, DType, TensorType
from flowc.ops.constructors import opaque
from flowc.ops.inference import expect_dtype, no_gradient
from flowc.ops.tiles import ZERO, part_of, serial, vector

GROUP = 16  # places of the stream that a thread draws from together: two vectors of the widest, and few enough that threads share small tensors

# Philox in NumPy

_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_WEYL = (0x9E3779B9, 0xBB67AE85)
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


def philox(key: int, counter: int, index: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The four u32 words of each block `index` (u64) of the stream that `key` and `counter` (u64) name: Philox4x32-10."""
    keys = [int(key) & 0xFFFFFFFF, int(key) >> 32]
    index = np.asarray(index, np.uint64)
    c0, c1 = (np.full(index.shape, word, np.uint64) for word in (int(counter) & 0xFFFFFFFF, int(counter) >> 32))
    c2, c3 = index & _LOW, index >> _HALF
    for _ in range(10):
        p0, p1 = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        c0, c1, c2, c3 = (p1 >> _HALF) ^ c1 ^ np.uint64(keys[0]), p1 & _LOW, (p0 >> _HALF) ^ c3 ^ np.uint64(keys[1]), p0 & _LOW
        keys = [(k + w) & 0xFFFFFFFF for k, w in zip(keys, _WEYL, strict=True)]
    return c0.astype(np.uint32), c1.astype(np.uint32), c2.astype(np.uint32), c3.astype(np.uint32)


# two readings of the formulas


class _Arrays:
    """The formulas over NumPy arrays."""

    def let(self, name: str, value: Any) -> Any:
        return value

    def where(self, condition: Any, yes: Any, no: Any) -> Any:
        return np.where(condition, yes, no)

    def sqrt(self, x: Any) -> Any:
        return np.sqrt(x)

    def cast(self, x: Any, dtype: DType) -> Any:
        return x.astype(dtype.numpy)

    def bits(self, function: str, x: Any, by: int) -> Any:
        return {"shr": np.right_shift, "bitand": np.bitwise_and}[function](x, np.uint32(by))


class _Loops:
    """The formulas as loop IR; what is used twice gets a name."""

    def __init__(self) -> None:
        self.statements: list[Statement] = []

    def let(self, name: str, value: Expr) -> Expr:
        unique = f"{name}_{len(self.statements)}"
        self.statements.append(Let(unique, value))
        return Var(unique, value.dtype)

    def where(self, condition: Expr, yes: Any, no: Any) -> Expr:
        return loops.select(condition, yes, no)

    def sqrt(self, x: Expr) -> Expr:
        return loops.apply("sqrt", x)

    def cast(self, x: Expr, dtype: DType) -> Expr:
        return loops.cast(x, dtype)

    def bits(self, function: str, x: Expr, by: int) -> Expr:
        return loops.apply(function, x, Const(by, U32))


# formulas; `words` are one or two u32 words


def _width(dtype: DType) -> DType:
    return F64 if dtype is F64 else F32


def _uniform(m: Any, words: tuple[Any, ...], dtype: DType) -> Any:
    """As many random bits as the dtype's significand has, over their number: every value is exact and less than 1."""
    if dtype is F64:
        high, low = m.cast(m.bits("shr", words[0], 5), F64), m.cast(m.bits("shr", words[1], 6), F64)
        return (high * 2.0**26 + low) * 2.0**-53
    spare = 8 if dtype is F32 else 21
    return m.cast(m.cast(m.bits("shr", words[0], spare), F32) * 2.0 ** (spare - 32), dtype)


def _probability(m: Any, words: tuple[Any, ...], dtype: DType) -> tuple[Any, Any]:
    """(whether the sign bit is set, a probability in (0, 1/2]) from the words' bits."""
    negative = m.bits("shr", words[0], 31)
    rest = m.cast(m.bits("bitand", words[0], 0x7FFFFFFF), _width(dtype))
    if dtype is F64:
        return negative, m.let("p", (rest * 2.0**21 + m.cast(m.bits("shr", words[1], 11), F64) + 0.5) * 2.0**-53)
    return negative, m.let("p", (rest + 0.5) * 2.0**-32)


def _minus_log(m: Any, p: Any, dtype: DType) -> Any:
    """-log(p) for p in [2^-63, 1)."""
    fraction, exponent = p, p * 0.0
    for power in (32, 16, 8, 4, 2, 1):
        small = m.let("small", fraction < 2.0**-power)
        fraction = m.let("fraction", m.where(small, fraction * 2.0**power, fraction))
        exponent = m.let("exponent", m.where(small, exponent + float(power), exponent))
    small = m.let("small", fraction < 0.5**0.5)
    fraction = m.let("fraction", m.where(small, fraction * 2.0, fraction))
    exponent = m.where(small, exponent + 1.0, exponent)
    s = m.let("s", (fraction - 1.0) / (fraction + 1.0))  # log(fraction) = 2 atanh(s), |s| < 0.172
    square = m.let("square", s * s)
    terms = 11 if dtype is F64 else 5
    return exponent * 0.6931471805599453 - s * 2.0 * _polynomial([1.0 / (2 * k + 1) for k in range(terms)], square)


def _polynomial(coefficients: list[float], x: Any) -> Any:
    total = x * coefficients[-1] + coefficients[-2]
    for coefficient in coefficients[-3::-1]:
        total = total * x + coefficient
    return total


# algorithm AS 241: numerators and denominators around the middle, in the tail, and far out
_Ratio = tuple[list[float], list[float]]
_PPND7: tuple[_Ratio, ...] = (
    ([3.3871327179, 50.434271938, 159.29113202, 59.109374720], [1.0, 17.895169469, 78.757757664, 67.187563600]),
    ([1.4234372777, 2.7568153900, 1.3067284816, 0.17023821103], [1.0, 0.73700164250, 0.12021132975]),
)
_PPND16: tuple[_Ratio, ...] = (
    (
        [3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3, 1.3731693765509461125e4,
         4.5921953931549871457e4, 6.7265770927008700853e4, 3.3430575583588128105e4, 2.5090809287301226727e3],
        [1.0, 4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3,
         2.1213794301586595867e4, 3.9307895800092710610e4, 2.8729085735721942674e4, 5.2264952788528545610e3],
    ),
    (
        [1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0, 3.64784832476320460504e0,
         1.27045825245236838258e0, 2.41780725177450611770e-1, 2.27238449892691845833e-2, 7.74545014278341407640e-4],
        [1.0, 2.05319162663775882187e0, 1.67638483018380384940e0, 6.89767334985100004550e-1,
         1.48103976427480074590e-1, 1.51986665636164571966e-2, 5.47593808499534494600e-4, 1.05075007164441684324e-9],
    ),
    (
        [6.65790464350110377720e0, 5.46378491116411436990e0, 1.78482653991729133580e0, 2.96560571828504891230e-1,
         2.65321895265761230930e-2, 1.24266094738807843860e-3, 2.71155556874348757815e-5, 2.01033439929228813265e-7],
        [1.0, 5.99832206555887937690e-1, 1.36929880922735805310e-1, 1.48753612908506148525e-2,
         7.86869131145613259100e-4, 1.84631831751005468180e-5, 1.42151175831644588870e-7, 2.04426310338993978564e-15],
    ),
)  # fmt: skip


def _ratio(parts: _Ratio, x: Any) -> Any:
    return _polynomial(parts[0], x) / _polynomial(parts[1], x)


def _upper_quantile(m: Any, p: Any, dtype: DType) -> Any:
    """The z >= 0 above which a standard normal lies with probability p, for p in (0, 1/2]."""
    regions = _PPND16 if dtype is F64 else _PPND7
    q = m.let("q", 0.5 - p)
    near = m.let("near", 0.180625 - q * q)
    r = m.let("r", m.sqrt(_minus_log(m, p, dtype)))
    tail = m.let("tail", r - 1.6)
    z = m.where(q <= 0.425, q * _ratio(regions[0], near), _ratio(regions[1], tail))
    if dtype is F64:  # an f32 is never so far out
        far = m.let("far", r - 5.0)
        z = m.where(r <= 5.0, z, _ratio(regions[2], far))
    return m.let("z", z)


def _signed(m: Any, negative: Any, z: Any, dtype: DType) -> Any:
    return m.cast(m.where(negative > 0, 0.0 - z, z), dtype)


def _normal(m: Any, words: tuple[Any, ...], dtype: DType) -> Any:
    negative, p = _probability(m, words, dtype)
    return _signed(m, negative, _upper_quantile(m, p, _width(dtype)), dtype)


_BEYOND_TWO = 0.022750131948179195  # the probability that a standard normal is above 2


def _truncated(m: Any, words: tuple[Any, ...], dtype: DType) -> Any:
    """A normal within 2 standard deviations: the inverse over that range of probabilities only, so nothing is drawn twice."""
    negative, p = _probability(m, words, dtype)
    inside = m.let("p", p * (1.0 - 2.0 * _BEYOND_TWO) + _BEYOND_TWO)
    z = _upper_quantile(m, inside, _width(dtype))
    return _signed(m, negative, m.where(z > 2.0, 2.0, z), dtype)


# ops


def _random(name: str, formula: Callable[..., Any], doc: str) -> Op:
    def dtype_rule(counter: TensorType, *like: TensorType, shape: Shape | None, seed: int, dtype: DType) -> DType:
        if counter.dtype is not U64 or counter.shape not in ((), None):
            raise DTypeError(f"{name}: the run counter is {counter}, u64 is expected")
        return expect_dtype(name, "dtype", dtype, FLOATS)

    def shape_rule(counter: TensorType, *like: TensorType, shape: Shape | None, seed: int, dtype: DType) -> Shape | None:
        if shape is None and len(like) != 1:
            raise ShapeError(f"{name}: neither a shape nor an operand of that shape is given")
        return tuple(shape) if shape is not None else like[0].shape

    def evaluate(counter: Any, *like: Any, shape: Any, seed: int, dtype: DType) -> Any:
        shape = tuple(shape) if shape is not None else like[0].shape
        size, each = int(np.prod(shape, dtype=np.int64)), _words(dtype)
        blocks = np.arange(-(-size * each // 4), dtype=np.uint64)
        lanes = np.stack(philox(seed, int(counter), blocks), axis=-1).reshape(-1, each)[:size]
        return formula(_Arrays(), tuple(lanes[:, i] for i in range(each)), dtype).reshape(shape)

    def drawn(out: str, at: Expr, words: tuple[Expr, ...], dtype: DType) -> tuple[Statement, ...]:
        m = _Loops()
        named = tuple(m.let("word", word) for word in words)
        value = formula(m, named, dtype)
        return (*m.statements, Store(out, at, value))

    def nest(inputs: list[str], out: str, types: Any, result: TensorType, attrs: dict[str, Any]) -> tuple[Statement, ...]:
        """Groups of places of the stream in parallel: first the words of all of them, in vectors, then the numbers that become of these."""
        each = _words(result.dtype)
        group, place, lane = Var("group", I64), Var("place", I64), Var("lane", I64)
        most = GROUP * 4 // each  # numbers of a group
        stream = (Const(attrs["seed"], U64), Load(inputs[0], ZERO, U64), loops.cast(group * GROUP + place, U64))
        four = [Store("words", place * 4 + i, loops.apply("philox", *stream, Const(i, I64))) for i in range(4)]
        words = tuple(Load("words", lane * each + i, U32) for i in range(each))
        numbers = serial("lane", part_of(loops.extent(result.size), group * most, most), *drawn(out, group * most + lane, words, result.dtype))
        body = (Alloc("words", U32, size=GROUP * 4), vector("place", Const(GROUP, I64), *four), numbers)
        return (For("group", ZERO, loops.extent(ceildiv(result.size, most)), "parallel", body),)

    def nest_of_threads(inputs: list[str], out: str, types: Any, result: TensorType, attrs: dict[str, Any]) -> tuple[Statement, ...]:
        """A place of the stream for each thread: what its four words share, which is nearly all of the work, is computed once."""
        each = _words(result.dtype)
        block, lane = Var("block", I64), Var("lane", I64)
        size, many = loops.extent(result.size), 4 // each
        stream = (Const(attrs["seed"], U64), Load(inputs[0], ZERO, U64), loops.cast(block, U64))
        words = tuple(loops.apply("philox", *stream, lane * each + i) for i in range(each))
        body = serial("lane", part_of(size, block * many, many), *drawn(out, block * many + lane, words, result.dtype))
        return (For("block", ZERO, loops.extent(ceildiv(result.size, many)), "parallel", (body,)),)

    return opaque(
        name, title=name, operands=("counter", "*like"), attrs={"shape": None, "seed": REQUIRED, "dtype": F32},
        dtype=dtype_rule, shape=shape_rule, eval=evaluate, vjp=no_gradient, lowering=Nest(nest, nest_of_threads), doc=doc, rank_free=True, like=(1,),
        random=True,
    )  # fmt: skip


def _words(dtype: DType) -> int:
    """Words of 32 random bits for one element."""
    return 2 if dtype is F64 else 1


random_uniform = _random("random_uniform", _uniform, "Uniform numbers in [0, 1): of `shape`, or of the shape of the operand.")
random_normal = _random("random_normal", _normal, "Normal numbers of mean 0 and standard deviation 1.")
truncated_normal = _random("truncated_normal", _truncated, "Normal numbers of mean 0 and standard deviation 1, given that they are within 2 of 0.")
