"""Transcendental functions of f64 as plain arithmetic, the counterparts of `vmath`; what is not here is the C library's.

    y = exp_f64(x)           # x: an f64, or an array of them

Errors in the docstrings are the largest found over samples, in units in the last place. fdlibm: Sun Microsystems' library (netlib.org/fdlibm), whose
formulas and coefficients are used where its name stands.
"""

from __future__ import annotations

from flowc.codegen.scalars import absolute, bits_f64, copysign, floor, fmod, from_bits_f64, muladd, select
from flowc.codegen.types import f64, i64

WHOLE = f64(6755399441055744.0)  # 1.5 * 2**52: added to a small number, it rounds it to a whole one, which then stands in the last bits
ONE = i64(0x3FF0000000000000)  # the bits of 1.0


def in_units_of_log2_f64(x: f64) -> f64:
    """WHOLE + the whole number nearest to x / ln 2."""
    return muladd(x, f64(1.4426950408889634), WHOLE)


def rest_f64(x: f64, n: f64) -> f64:
    """x - n * ln 2, with ln 2 in two parts; the first product is exact (fdlibm)."""
    return muladd(n, f64(-1.90821492927058770002e-10), muladd(n, f64(-6.93147180369123816490e-01), x))


def expm1_near_0_f64(r: f64) -> f64:
    """e**r - 1 for |r| <= ln 2 / 2: the series to r**13."""
    z = r * r
    w = z * z
    p0 = muladd(r, f64(1.0 / 6.0), f64(0.5))
    p1 = muladd(r, f64(1.0 / 120.0), f64(1.0 / 24.0))
    p2 = muladd(r, f64(1.0 / 5040.0), f64(1.0 / 720.0))
    p3 = muladd(r, f64(1.0 / 362880.0), f64(1.0 / 40320.0))
    p4 = muladd(r, f64(1.0 / 39916800.0), f64(1.0 / 3628800.0))
    p5 = muladd(r, f64(1.0 / 6227020800.0), f64(1.0 / 479001600.0))
    high = muladd(muladd(p5, z, p4), w, muladd(p3, z, p2))
    return muladd(muladd(high, w, muladd(p1, z, p0)), z, r)


def scaled_f64(y: f64, whole: f64) -> f64:
    """y * 2**n for whole = WHOLE + n, |n| < 2000: in two steps, so that subnormal results are rounded once and 2**1024 is reached."""
    n = bits_f64(whole) << i64(52)  # n * 2**52
    half = bits_f64(muladd(whole - WHOLE, f64(0.5), WHOLE)) << i64(52)
    return y * from_bits_f64(half + ONE) * from_bits_f64(n - half + ONE)


def exp_f64(x: f64) -> f64:
    """e**x; 1 ulp."""
    inside = select(f64(710.0) < x, f64(710.0), x)  # NaN goes through
    inside = select(inside < f64(-746.0), f64(-746.0), inside)
    whole = in_units_of_log2_f64(inside)
    return scaled_f64(expm1_near_0_f64(rest_f64(inside, whole - WHOLE)) + f64(1.0), whole)


def expm1_f64(x: f64) -> f64:
    """e**x - 1; 2 ulp."""
    inside = select(f64(710.0) < x, f64(710.0), x)
    inside = select(inside < f64(-50.0), f64(-50.0), inside)
    whole = in_units_of_log2_f64(inside)
    p = expm1_near_0_f64(rest_f64(inside, whole - WHOLE))
    half = from_bits_f64((bits_f64(whole) << i64(52)) + i64(0x3FE0000000000000))  # half of 2**n, which may not fit
    return select(x == f64(0.0), x, muladd(p, half, half - f64(0.5)) * f64(2.0))


def log_f64(x: f64) -> f64:
    """The natural logarithm; 1 ulp (fdlibm)."""
    small = x < f64(2.2250738585072014e-308)
    above = bits_f64(select(small, x * f64(18014398509481984.0), x)) - i64(0x3FE6A09E667F3BCD)  # above sqrt(1/2)
    above = above + i64(0x4000000000000000)  # not negative
    n = from_bits_f64(((above >> i64(52)) & i64(0xFFF)) + i64(0x4330000000000000)) - f64(4503599627371520.0)  # 2**52 + 1024
    n = n - select(small, f64(54.0), f64(0.0))
    f = from_bits_f64((above & i64(0xFFFFFFFFFFFFF)) + i64(0x3FE6A09E667F3BCD)) - f64(1.0)
    s = f / (f + f64(2.0))
    z = s * s
    w = z * z
    even = muladd(muladd(w, f64(1.479819860511658591e-01), f64(1.818357216161805012e-01)), w, f64(2.857142874366239149e-01))
    even = muladd(even, w, f64(6.666666666666735130e-01)) * z
    odd = muladd(muladd(w, f64(1.531383769920937332e-01), f64(2.222219843214978396e-01)), w, f64(3.999999999940941908e-01)) * w
    half = f64(0.5) * f * f
    y = half - muladd(s, half + (even + odd), n * f64(1.90821492927058770002e-10))
    y = muladd(n, f64(6.93147180369123816490e-01), f - y)
    y = select(x < f64("inf"), y, x)
    return select(x > f64(0.0), y, select(x == f64(0.0), f64("-inf"), f64("nan")))


def log1p_f64(x: f64) -> f64:
    """log(1 + x); 2 ulp. The rounding error of 1 + x is known exactly and enters to first order."""
    u = f64(1.0) + x
    error = select(x > f64(1.0), f64(1.0) - (u - x), x - (u - f64(1.0)))
    y = log_f64(u) + select(u == f64(0.0), f64(0.0), error / u)
    return select((x == f64(0.0)) | (x == f64("inf")), x, y)


def tanh_f64(x: f64) -> f64:
    """The hyperbolic tangent; 3 ulp."""
    size = absolute(x)
    twice = f64(2.0) * select(f64(20.0) < size, f64(20.0), size)
    whole = in_units_of_log2_f64(twice)
    p = expm1_near_0_f64(rest_f64(twice, whole - WHOLE))
    power = from_bits_f64((bits_f64(whole) << i64(52)) + ONE)
    t = muladd(p, power, power - f64(1.0))  # e**(2|x|) - 1
    return copysign(t / (t + f64(2.0)), x)


def sigmoid_f64(x: f64) -> f64:
    """1 / (1 + e**-x); 2.5 ulp, subnormal results included."""
    e = exp_f64(-absolute(x))
    return select(x < f64(0.0), e, f64(1.0)) / (f64(1.0) + e)


def half_exp_f64(x: f64) -> f64:
    """e**x / 2 for x >= 0, infinite from 710.48 on."""
    inside = select(f64(711.0) < x, f64(711.0), x)
    whole = in_units_of_log2_f64(inside)
    return scaled_f64(expm1_near_0_f64(rest_f64(inside, whole - WHOLE)) + f64(1.0), whole - f64(1.0))


def sinh_f64(x: f64) -> f64:
    """The hyperbolic sine; 3 ulp."""
    size = absolute(x)
    h = half_exp_f64(size)
    t = expm1_f64(select(size < f64(1.0), size, f64(1.0)))
    near = f64(0.5) * (t + t / (t + f64(1.0)))
    return copysign(select(size < f64(1.0), near, h - f64(0.25) / h), x)


def cosh_f64(x: f64) -> f64:
    """The hyperbolic cosine; 2 ulp."""
    h = half_exp_f64(absolute(x))
    return h + f64(0.25) / h


def erf_f64(x: f64) -> f64:
    """The error function; 2 ulp: x P(x**2) up to 0.8, then 1 - exp(Q(s) - x**2), s = (x - 4) / (x + 4). P and Q were fitted to 2**-58 of the result."""
    size = absolute(x)
    t = select(f64(6.0) < size, f64(6.0), size)
    z = t * t
    w = z * z
    p0 = muladd(z, f64(-0.3761263890318362), f64(0.12837916709551256))
    p1 = muladd(z, f64(-0.026866170643139346), f64(0.11283791670946891))
    p2 = muladd(z, f64(-0.0008548325221091479), f64(0.005223977600665657))
    p3 = muladd(z, f64(-1.4923247059270251e-05), f64(0.00012055251010805872))
    p4 = muladd(z, f64(-1.5824184199432112e-07), f64(1.6416580801917713e-06))
    p4 = muladd(f64(1.1068175307837071e-08), w, p4)
    p = muladd(muladd(muladd(muladd(p4, w, p3), w, p2), w, p1), w, p0)
    s = (t - f64(4.0)) / (t + f64(4.0))
    v = s * s
    q0 = muladd(s, f64(-1.8910151382508376), f64(-1.9877783120508346))
    q1 = muladd(s, f64(-0.43401035105272495), f64(-0.1914687153303772))
    q2 = muladd(s, f64(-0.1900653351908313), f64(-0.23414910485037552))
    q3 = muladd(s, f64(-0.13689091075089904), f64(-0.1760414595845367))
    q4 = muladd(s, f64(-0.09566410746386199), f64(-0.11779415466344866))
    q5 = muladd(s, f64(-0.04004246991718484), f64(-0.06679180200258758))
    q6 = muladd(s, f64(-0.004937788310505394), f64(-0.018001608520654695))
    q6 = muladd(f64(-0.0006009502256480998), v, q6)
    q = muladd(muladd(muladd(muladd(muladd(muladd(q6, v, q5), v, q4), v, q3), v, q2), v, q1), v, q0)
    r = muladd(-t, t, q)  # from -40 to -1
    whole = in_units_of_log2_f64(r)
    e = (expm1_near_0_f64(rest_f64(r, whole - WHOLE)) + f64(1.0)) * from_bits_f64((bits_f64(whole) << i64(52)) + ONE)
    return select(t > f64(0.8), copysign(f64(1.0) - e, x), select(x != x, x, muladd(p, x, x)))


def divided_f64(x: f64, y: f64) -> f64:
    """x / y for a y that many x have in common; as `vmath.divided_f32`, 1 ulp below 1e-290."""
    size = absolute(y)
    scale = select(size < f64(2.0**-900), f64(2.0**512), select(size > f64(2.0**900), f64(2.0**-512), f64(1.0)))
    divisor = y * scale
    nearest = f64(1.0) / divisor
    below = from_bits_f64(bits_f64(nearest) - i64(1))
    usual = (size > f64(0.0)) & (size < f64("inf"))
    first = select(usual, below, nearest)
    second = select(usual, muladd(-divisor, below, f64(1.0)) * below, nearest)
    near_1 = x * scale
    return muladd(near_1, first, near_1 * second)


def mod_f64(x: f64, y: f64) -> f64:
    """The remainder with the sign of y, as NumPy has it."""
    r = fmod(x, y)
    zero = r == f64(0.0)
    return select(zero, copysign(f64(0.0), y), select((y < f64(0.0)) != (r < f64(0.0)), r + y, r))


def floordiv_f64(x: f64, y: f64) -> f64:
    """The floor of the quotient, consistent with `mod_f64`, as NumPy has it."""
    r = fmod(x, y)
    q = (x - r) / y
    q = select((r != f64(0.0)) & ((y < f64(0.0)) != (r < f64(0.0))), q - f64(1.0), q)
    down = floor(q)
    down = select(q - down > f64(0.5), down + f64(1.0), down)
    return select(y == f64(0.0), x / y, select(q == f64(0.0), copysign(f64(0.0), x / y), down))
