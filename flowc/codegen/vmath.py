"""Transcendental functions of f32 as plain arithmetic, which LLVM turns into vector code inside any loop.

    y = exp_f32(x)           # x: an f32, or an array of them: the same text runs under NumPy, bit for bit

No branch and no table: both sides of a `select` are computed. `muladd` is one instruction where the processor has it, so last bits depend
on the processor, and on nothing else. Special values (NaN, infinities, -0, subnormal numbers, overflow) come out as NumPy's do. Largest errors
over all 2**32 arguments (`power`, `atan2`, `mod`: over samples), in units in the last place against f64, with `muladd` in one step or in two, are
in each docstring; `tests/codegen/test_vmath.py` holds them there, docs/functions.md lists them. Polynomials without a source are Cephes's
(S. Moshier, netlib.org/cephes).

The annotations are the functions' signatures for the compiler.
"""

from __future__ import annotations

from flowc.codegen.scalars import absolute, bits, bits_f64, copysign, floor, from_bits, from_bits_f64, muladd, rint, select, sqrt, trunc
from flowc.codegen.types import f32, f64, i32, i64

WHOLE = f32(12582912.0)  # 1.5 * 2**23: added to a small number, it rounds it to a whole one, which then stands in the last bits
ONE = i32(0x3F800000)  # the bits of 1.0


def in_units_of_log2(x: f32) -> f32:
    """WHOLE + the whole number nearest to x / ln 2."""
    return muladd(x, f32(1.44269504), WHOLE)


def rest(x: f32, n: f32) -> f32:
    """x - n * ln 2, with ln 2 in two parts; the first product is exact."""
    return muladd(n, f32(2.12194440e-4), muladd(n, f32(-0.693359375), x))


def expm1_near_0(r: f32) -> f32:
    """e**r - 1 for |r| <= ln 2 / 2."""
    z = r * r
    low = muladd(r, f32(1.6666665459e-1), f32(5.0000001201e-1))
    middle = muladd(r, f32(8.3334519073e-3), f32(4.1665795894e-2))
    high = muladd(r, f32(1.9875691500e-4), f32(1.3981999507e-3))
    return muladd(muladd(muladd(high, z, middle), z, low), z, r)


def scaled(y: f32, whole: f32) -> f32:
    """y * 2**n for whole = WHOLE + n, -252 <= n <= 254: in two steps, so that subnormal results are rounded once and 2**128 is reached."""
    n = i32(bits(whole) << i32(23))  # n * 2**23
    half = i32(bits(muladd(whole - WHOLE, f32(0.5), WHOLE)) << i32(23))
    return y * from_bits(i32(half + ONE)) * from_bits(i32(i32(n - half) + ONE))


def exp_f32(x: f32) -> f32:
    """e**x; 1.03 ulp."""
    inside = select(f32(89.0) < x, f32(89.0), x)  # NaN goes through
    inside = select(inside < f32(-104.0), f32(-104.0), inside)
    whole = in_units_of_log2(inside)
    return scaled(expm1_near_0(rest(inside, whole - WHOLE)) + f32(1.0), whole)


def expm1_f32(x: f32) -> f32:
    """e**x - 1; 1.6 ulp."""
    inside = select(f32(89.0) < x, f32(89.0), x)
    inside = select(inside < f32(-30.0), f32(-30.0), inside)
    whole = in_units_of_log2(inside)
    p = expm1_near_0(rest(inside, whole - WHOLE))
    half = from_bits(i32(i32(bits(whole) << i32(23)) + i32(0x3F000000)))  # half of 2**n, which may not fit
    return select(x == f32(0.0), x, muladd(p, half, half - f32(0.5)) * f32(2.0))


def log_f32(x: f32) -> f32:
    """The natural logarithm; 0.84 ulp."""
    small = x < f32(1.17549435e-38)
    above = i32(bits(select(small, x * f32(8388608.0), x)) - i32(0x3F3504F3))  # above sqrt(1/2): the exponent of a fraction in [sqrt(1/2), sqrt(2))
    n = f32(i32(above >> i32(23))) - select(small, f32(23.0), f32(0.0))
    m = from_bits(i32(i32(above & i32(0x7FFFFF)) + i32(0x3F3504F3))) - f32(1.0)
    z = m * m
    p0 = muladd(m, f32(-2.4999993993e-1), f32(3.3333331174e-1))
    p1 = muladd(m, f32(-1.6668057665e-1), f32(2.0000714765e-1))
    p2 = muladd(m, f32(-1.2420140846e-1), f32(1.4249322787e-1))
    p3 = muladd(m, f32(-1.1514610310e-1), f32(1.1676998740e-1))
    p = muladd(muladd(f32(7.0376836292e-2), z, p3), z * z, muladd(p2, z, p1))
    p = muladd(p, z, p0)
    y = muladd(n, f32(-2.12194440e-4), m * z * p)
    y = muladd(n, f32(0.693359375), m + muladd(z, f32(-0.5), y))
    y = select(x < f32("inf"), y, x)
    return select(x > f32(0.0), y, select(x == f32(0.0), f32("-inf"), f32("nan")))


def log1p_f32(x: f32) -> f32:
    """log(1 + x); 1.44 ulp. The rounding error of 1 + x is known exactly and enters to first order."""
    u = f32(1.0) + x
    error = select(x > f32(1.0), f32(1.0) - (u - x), x - (u - f32(1.0)))
    y = log_f32(u) + select(u == f32(0.0), f32(0.0), error / u)
    return select((x == f32(0.0)) | (x == f32("inf")), x, y)


def tanh_f32(x: f32) -> f32:
    """The hyperbolic tangent; 2.43 ulp."""
    size = absolute(x)
    twice = f32(2.0) * select(f32(10.0) < size, f32(10.0), size)
    whole = in_units_of_log2(twice)
    p = expm1_near_0(rest(twice, whole - WHOLE))
    power = from_bits(i32(i32(bits(whole) << i32(23)) + ONE))
    t = muladd(p, power, power - f32(1.0))  # e**(2|x|) - 1
    return copysign(t / (t + f32(2.0)), x)


def sigmoid_f32(x: f32) -> f32:
    """1 / (1 + e**-x); 2.41 ulp, subnormal results included."""
    size = -absolute(x)
    size = select(size < f32(-104.0), f32(-104.0), size)
    whole = in_units_of_log2(size)
    e = scaled(expm1_near_0(rest(size, whole - WHOLE)) + f32(1.0), whole)
    return select(x < f32(0.0), e, f32(1.0)) / (f32(1.0) + e)


def half_exp(x: f32) -> f32:
    """e**x / 2 for x >= 0, infinite from 89.42 on."""
    inside = select(f32(90.0) < x, f32(90.0), x)
    whole = in_units_of_log2(inside)
    return scaled(expm1_near_0(rest(inside, whole - WHOLE)) + f32(1.0), whole - f32(1.0))


def sinh_f32(x: f32) -> f32:
    """The hyperbolic sine; 1.7 ulp."""
    size = absolute(x)
    h = half_exp(size)
    z = x * x
    p = muladd(muladd(f32(2.03721912945e-4), z, f32(8.33028376239e-3)), z, f32(1.66667160211e-1))
    return select(size > f32(1.0), copysign(h - f32(0.25) / h, x), muladd(p * z, x, x))


def cosh_f32(x: f32) -> f32:
    """The hyperbolic cosine; 1.5 ulp."""
    h = half_exp(absolute(x))
    return h + f32(0.25) / h


def sine(x: f32, turn: f64) -> f32:
    """sin(x + turn * 2 pi) for `turn` 0 or 1/4 and every finite x.

    x / (2 pi) is a sum of products of x with pieces of 28 bits of 1/(2 pi), each exact in f64; of each, whole turns are dropped.
    (M. Payne and R. Hanek, SIGNUM Newsletter 18, 1983, without the table.)
    """
    finite = absolute(x) < f32("inf")
    wide = f64(select(finite, x, f32(0.0)))
    p = wide * f64(0.6366197690367699 / 4.0)
    t = p - rint(p)
    p = wide * f64(3.3308114738561656e-09 / 4.0)
    t = t + (p - rint(p))
    p = wide * f64(2.276010047810136e-18 / 4.0)
    t = t + (p - rint(p))
    p = wide * f64(2.5268260189002822e-26 / 4.0)
    t = t + (p - rint(p))
    p = wide * f64(1.6682867657019525e-34 / 4.0)
    t = t + (p - rint(p))
    t = muladd(wide, f64(1.158871328288855e-43 / 4.0), t)  # below 2**-14 of a turn from here on
    t = muladd(wide, f64(7.053959174404295e-52 / 4.0), t)
    quarters = t * f64(4.0)
    k = rint(quarters)
    r = f32((quarters - k) * f64(1.5707963267948966))
    quarter = i32(k + f64(4.0) * turn)
    z = r * r
    p_odd = muladd(muladd(z, f32(-1.9515295891e-4), f32(8.3321608736e-3)), z, f32(-1.6666654611e-1))
    odd = muladd(p_odd * z, r, r)
    p_even = muladd(muladd(z, f32(2.443315711809948e-5), f32(-1.388731625493765e-3)), z, f32(4.166664568298827e-2))
    even = muladd(p_even, z * z, muladd(z, f32(-0.5), f32(1.0)))
    y = select(i32(quarter & i32(1)) == i32(0), odd, even)
    return select(finite, select(i32(quarter & i32(2)) == i32(0), y, -y), f32("nan"))


def sin_f32(x: f32) -> f32:
    """The sine; 1.7 ulp for every finite x."""
    return select(x == f32(0.0), x, sine(x, f64(0.0)))


def cos_f32(x: f32) -> f32:
    """The cosine; 1.6 ulp for every finite x."""
    return sine(x, f64(0.25))


def tan_f32(x: f32) -> f32:
    """The tangent; 3.82 ulp for every finite x."""
    return select(x == f32(0.0), x, sine(x, f64(0.0)) / sine(x, f64(0.25)))


def asin_f32(x: f32) -> f32:
    """The arc sine; 2.4 ulp."""
    size = absolute(x)
    far = size > f32(0.5)
    z = select(far, f32(0.5) * (f32(1.0) - size), x * x)
    s = select(far, sqrt(z), size)
    p = asin_near_0(z, s)
    return copysign(select(far, f32(1.5707964) - f32(2.0) * p, p), x)


def asin_near_0(z: f32, s: f32) -> f32:
    """asin(s) for |s| <= 1/2; z = s * s."""
    low = muladd(z, f32(7.4953002686e-2), f32(1.6666752422e-1))
    high = muladd(z, f32(2.4181311049e-2), f32(4.5470025998e-2))
    p = muladd(muladd(f32(4.2163199048e-2), z * z, high), z * z, low)
    return muladd(p * z, s, s)


def acos_f32(x: f32) -> f32:
    """The arc cosine; 1.2 ulp."""
    size = absolute(x)
    far = size > f32(0.5)
    z = select(far, f32(0.5) * (f32(1.0) - size), x * x)
    p = asin_near_0(z, select(far, sqrt(z), x))
    near = f32(1.5707964) - (p - f32(-4.371139e-8))
    beyond = f32(2.0) * p
    return select(far, select(x < f32(0.0), f32(3.1415927) - (beyond - f32(-8.742278e-8)), beyond), near)


def atan_of_quotient(y: f32, x: f32) -> f32:
    """atan(y / x) for y, x >= 0, not both 0 or infinite."""
    far, middle = y > f32(2.4142135623730950) * x, y > f32(0.4142135623730950) * x  # tan(3 pi / 8), tan(pi / 8)
    q = select(far, -x, select(middle, y - x, y)) / select(far, y, select(middle, y + x, x))
    z = q * q
    low = muladd(z, f32(1.99777106478e-1), f32(-3.33329491539e-1))
    p = muladd(muladd(z, f32(8.05374449538e-2), f32(-1.38776856032e-1)), z * z, low)
    return select(far, f32(1.5707964), select(middle, f32(0.7853982), f32(0.0))) + muladd(p * z, q, q)


def atan_f32(x: f32) -> f32:
    """The arc tangent; 2.9 ulp."""
    return copysign(atan_of_quotient(absolute(x), f32(1.0)), x)


def atan2_f32(y: f32, x: f32) -> f32:
    """The angle of the point (x, y), in (-pi, pi]; 3 ulp."""
    up, along = absolute(y), absolute(x)
    endless = (up == f32("inf")) & (along == f32("inf"))
    up = select(endless, f32(1.0), up)
    along = select(endless, f32(1.0), along)
    scale = select((up > f32(1e38)) | (along > f32(1e38)), f32(0.25), f32(1.0))  # their sum must not overflow
    angle = select(up == f32(0.0), f32(0.0), atan_of_quotient(up * scale, along * scale))
    angle = select(copysign(f32(1.0), x) < f32(0.0), f32(3.1415927) - (angle - f32(-8.742278e-8)), angle)
    return select((x != x) | (y != y), x + y, copysign(angle, y))


def erf_f32(x: f32) -> f32:
    """The error function; 1.2 ulp. Polynomials by N. Juffa (NVIDIA developer forum, 2016)."""
    size = absolute(x)
    t = select(f32(4.5) < size, f32(4.5), size)
    s = t * t
    r = muladd(muladd(t, f32(-1.72853470e-5), f32(3.83197126e-4)), s, muladd(t, f32(-3.88396438e-3), f32(2.42546219e-2)))
    r = muladd(r, t, f32(-1.06777877e-1))
    r = muladd(r, t, f32(-6.34846687e-1))
    r = muladd(r, t, f32(-1.28717512e-1))
    r = muladd(r, t, -t)
    whole = in_units_of_log2(r)  # r >= -22
    e = expm1_near_0(rest(r, whole - WHOLE)) + f32(1.0)
    tail = copysign(f32(1.0) - e * from_bits(i32(i32(bits(whole) << i32(23)) + ONE)), x)
    p0 = muladd(s, f32(-3.76125336e-1), f32(1.28379166e-1))
    p1 = muladd(s, f32(-2.67681349e-2), f32(1.12819925e-1))
    p2 = muladd(s, f32(-5.96761703e-4), f32(4.99119423e-3))
    s2 = s * s
    p = muladd(muladd(p2, s2, p1), s2, p0)
    return select(t > f32(0.927734375), tail, muladd(p, x, x))


def log2_wide(x: f64) -> f64:
    """log2 of a positive finite f64 to 2**-40 relative: 2 atanh(s) / ln 2, s = (m - 1) / (m + 1), |s| < 0.172."""
    above = bits_f64(x) - i64(0x3FE6A09E667F3BCD) + i64(0x4000000000000000)  # not negative
    n = from_bits_f64(((above >> i64(52)) & i64(0xFFF)) + i64(0x4330000000000000)) - f64(4503599627371520.0)  # 2**52 + 1024
    m = from_bits_f64((above & i64(0xFFFFFFFFFFFFF)) + i64(0x3FE6A09E667F3BCD))
    s = (m - f64(1.0)) / (m + f64(1.0))
    z = s * s
    w = z * z
    low = muladd(z, f64(1.0 / 5.0), f64(1.0 / 3.0))
    low = muladd(muladd(z, f64(1.0 / 9.0), f64(1.0 / 7.0)), w, low)
    high = muladd(z, f64(1.0 / 13.0), f64(1.0 / 11.0))
    high = muladd(muladd(z, f64(1.0 / 17.0), f64(1.0 / 15.0)), w, high)
    p = muladd(high, w * w, low)
    return muladd(muladd(s * z, p, s), f64(2.8853900817779268), n)


def exp2_wide(t: f64) -> f64:
    """2**t for |t| <= 1000 to 2**-38 relative."""
    whole = t + f64(6755399441055744.0)  # 1.5 * 2**52: the whole number stands in the last bits
    r = (t - (whole - f64(6755399441055744.0))) * f64(0.6931471805599453)
    z = r * r
    low = muladd(muladd(r, f64(1.0 / 6.0), f64(0.5)), z, r + f64(1.0))
    high = muladd(muladd(r, f64(1.0 / 5040.0), f64(1.0 / 720.0)), z, muladd(r, f64(1.0 / 120.0), f64(1.0 / 24.0)))
    w = z * z
    p = muladd(muladd(muladd(r, f64(1.0 / 362880.0), f64(1.0 / 40320.0)), w, high), w, low)
    return p * from_bits_f64((bits_f64(whole) << i64(52)) + i64(0x3FF0000000000000))


def power_f32(x: f32, y: f32) -> f32:
    """x**y; 0.51 ulp, computed in f64 and rounded once."""
    size = absolute(x)
    t = f64(y) * log2_wide(f64(select((size == f32(0.0)) | (size == f32("inf")), f32(1.0), size)))
    t = select(t < f64(300.0), t, f64(300.0))
    z = f32(exp2_wide(select(t > f64(-300.0), t, f64(-300.0))))
    grows = (size > f32(1.0)) == (y > f32(0.0))
    z = select((absolute(y) == f32("inf")) | (size == f32(0.0)) | (size == f32("inf")), select(grows, f32("inf"), f32(0.0)), z)
    whole = floor(y) == y
    odd = whole & (absolute(y) < f32(16777216.0)) & (floor(y * f32(0.5)) != y * f32(0.5))
    negative = copysign(f32(1.0), x) < f32(0.0)
    z = select(negative & odd, -z, z)
    z = select((x < f32(0.0)) & (x > f32("-inf")) & (whole == (y != y)), f32("nan"), z)
    z = select((x != x) | (y != y), x + y, z)
    z = select((x == f32(-1.0)) & (absolute(y) == f32("inf")), f32(1.0), z)
    return select((y == f32(0.0)) | (x == f32(1.0)), f32(1.0), z)


def less_multiples(left: f64, inverse: f64, y: f64, power: f64) -> f64:
    """left - q * y * power for the whole number q below left / (y * power), or the next one: exact for |q| < 2**28 and y of 24 bits."""
    return left - trunc(left * inverse / power) * (y * power)


def fmod_f32(x: f32, y: f32) -> f32:
    """The remainder of a division rounded towards zero (C's fmod), exactly: 27 bits of the quotient after the other."""
    wide, inverse = f64(absolute(y)), f64(1.0) / f64(absolute(y))
    left = f64(absolute(x))
    left = less_multiples(left, inverse, wide, f64(2.0**270))
    left = less_multiples(left, inverse, wide, f64(2.0**243))
    left = less_multiples(left, inverse, wide, f64(2.0**216))
    left = less_multiples(left, inverse, wide, f64(2.0**189))
    left = less_multiples(left, inverse, wide, f64(2.0**162))
    left = less_multiples(left, inverse, wide, f64(2.0**135))
    left = less_multiples(left, inverse, wide, f64(2.0**108))
    left = less_multiples(left, inverse, wide, f64(2.0**81))
    left = less_multiples(left, inverse, wide, f64(2.0**54))
    left = less_multiples(left, inverse, wide, f64(2.0**27))
    left = less_multiples(left, inverse, wide, f64(1.0))
    left = select(left < f64(0.0), left + wide, left)
    left = select(left < wide, left, left - wide)
    ends = (absolute(y) == f32("inf")) & (absolute(x) < f32("inf"))
    return select(ends, x, copysign(f32(left), x))


def divided_f32(x: f32, y: f32) -> f32:
    """x / y for a y that many x have in common; 1.5 ulp, with a fused multiply-add 0.5001, and 1 below 1e-30.

    What depends on y alone is computed once, before the loop, and then a quotient is a product and a multiply-add with the reciprocal in two
    parts (N. Brisebarre, J.-M. Muller and S. Raina, "Accelerating Correctly Rounded Floating-Point Division when the Divisor Is Known in
    Advance", IEEE Transactions on Computers 53, 2004). The first part is a reciprocal rounded down, so that the second has its sign and is not
    0: infinities and signed zeros go through. A very large or small y is brought near 1, and x with it.
    """
    size = absolute(y)
    scale = select(size < f32(2.0**-100), f32(2.0**64), select(size > f32(2.0**100), f32(2.0**-64), f32(1.0)))
    divisor = y * scale
    nearest = f32(1.0) / divisor
    below = from_bits(i32(bits(nearest) - i32(1)))
    usual = (size > f32(0.0)) & (size < f32("inf"))
    first = select(usual, below, nearest)
    second = select(usual, muladd(-divisor, below, f32(1.0)) * below, nearest)
    near_1 = x * scale
    return muladd(near_1, first, near_1 * second)


def mod_f32(x: f32, y: f32) -> f32:
    """The remainder with the sign of y, as NumPy has it; exact but for the last addition."""
    r = fmod_f32(x, y)
    zero = r == f32(0.0)
    return select(zero, copysign(f32(0.0), y), select((y < f32(0.0)) != (r < f32(0.0)), r + y, r))


def floordiv_f32(x: f32, y: f32) -> f32:
    """The floor of the quotient, consistent with `mod_f32`, as NumPy has it."""
    r = fmod_f32(x, y)
    q = (x - r) / y
    q = select((r != f32(0.0)) & ((y < f32(0.0)) != (r < f32(0.0))), q - f32(1.0), q)
    down = floor(q)
    down = select(q - down > f32(0.5), down + f32(1.0), down)
    return select(y == f32(0.0), x / y, select(q == f32(0.0), copysign(f32(0.0), x / y), down))


def power_i64(x: i64, y: i64) -> i64:
    """x**y modulo 2**64 for y >= 0, by squaring."""
    total = i64(1)
    while y > 0:
        if y & 1:
            total = total * x
        x = x * x
        y = y >> 1
    return total
