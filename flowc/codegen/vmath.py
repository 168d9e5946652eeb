"""Transcendental functions of f32 as plain arithmetic, which LLVM turns into vector code inside any loop, and a few for other types.

    y = exp_f32(x)           # x: an f32, or an array of them: the same text runs under NumPy, bit for bit

No branch and no table: both sides of a `select` are computed. No fused multiply-add, so every machine gives the same bits. Special values
(NaN, infinities, -0, subnormal numbers, overflow) come out as NumPy's do. Largest errors found against f64, in units in the last place, are in each
docstring; `tests/codegen/test_vmath.py` holds them there. Polynomials without a source are Cephes's (S. Moshier, netlib.org/cephes).

The annotations are the functions' signatures for the compiler.
"""

from __future__ import annotations

from flowc.codegen.scalars import absolute, bits, bits_f64, copysign, floor, fmod, from_bits, from_bits_f64, maximum, minimum, rint, select
from flowc.codegen.types import f32, f64, i32, i64


def power_of_two(n: i32) -> f32:
    """2**n for -126 <= n <= 127, exactly."""
    return from_bits(i32(i32(n + i32(127)) << i32(23)))


def exp_f32(x: f32) -> f32:
    """e**x; 1.2 ulp."""
    inside = minimum(select(x > f32(-104.0), x, f32(-104.0)), f32(89.0))
    n = rint(inside * f32(1.44269504))
    r = inside - n * f32(0.693359375) - n * f32(-2.12194440e-4)  # n * ln 2 in two parts; the first product is exact
    p = f32(1.9875691500e-4)
    p = p * r + f32(1.3981999507e-3)
    p = p * r + f32(8.3334519073e-3)
    p = p * r + f32(4.1665795894e-2)
    p = p * r + f32(1.6666665459e-1)
    p = p * r + f32(5.0000001201e-1)
    y = p * (r * r) + r + f32(1.0)
    whole = i32(n)
    half = i32(whole >> i32(1))  # in two steps, so that subnormal results are rounded once and 2**128 is reached
    y = y * power_of_two(half) * power_of_two(i32(whole - half))
    return select(x != x, x, y)


def expm1_f32(x: f32) -> f32:
    """e**x - 1; 1.9 ulp."""
    inside = minimum(select(x > f32(-30.0), x, f32(-30.0)), f32(89.0))
    n = rint(inside * f32(1.44269504))
    r = inside - n * f32(0.693359375) - n * f32(-2.12194440e-4)
    p = f32(1.9875691500e-4)
    p = p * r + f32(1.3981999507e-3)
    p = p * r + f32(8.3334519073e-3)
    p = p * r + f32(4.1665795894e-2)
    p = p * r + f32(1.6666665459e-1)
    p = p * r + f32(5.0000001201e-1)
    p = p * (r * r) + r
    half = power_of_two(i32(i32(n) - i32(1)))  # half of 2**n, which may not fit
    y = (p * half + (half - f32(0.5))) * f32(2.0)
    return select((x != x) | (x == f32(0.0)), x, y)


def log_f32(x: f32) -> f32:
    """The natural logarithm; 1.0 ulp."""
    small = x < f32(1.17549435e-38)
    scaled = select(small, x * f32(8388608.0), x)
    above = i32(bits(scaled) - i32(0x3F3504F3))  # bits above those of sqrt(1/2): the exponent of a fraction in [sqrt(1/2), sqrt(2))
    n = f32(i32(above >> i32(23))) - select(small, f32(23.0), f32(0.0))
    m = from_bits(i32(i32(above & i32(0x7FFFFF)) + i32(0x3F3504F3))) - f32(1.0)
    z = m * m
    p = f32(7.0376836292e-2)
    p = p * m + f32(-1.1514610310e-1)
    p = p * m + f32(1.1676998740e-1)
    p = p * m + f32(-1.2420140846e-1)
    p = p * m + f32(1.4249322787e-1)
    p = p * m + f32(-1.6668057665e-1)
    p = p * m + f32(2.0000714765e-1)
    p = p * m + f32(-2.4999993993e-1)
    p = p * m + f32(3.3333331174e-1)
    y = m * z * p + n * f32(-2.12194440e-4) - f32(0.5) * z
    y = m + y + n * f32(0.693359375)
    y = select(x == f32("inf"), x, y)
    y = select(x == f32(0.0), f32("-inf"), y)
    return select((x < f32(0.0)) | (x != x), f32("nan"), y)


def log1p_f32(x: f32) -> f32:
    """log(1 + x); 2 ulp. The rounding error of 1 + x is known exactly and enters to first order."""
    u = f32(1.0) + x
    error = select(x > f32(1.0), f32(1.0) - (u - x), x - (u - f32(1.0)))
    y = log_f32(u) + select(u == f32(0.0), f32(0.0), error / u)
    return select((x == f32(0.0)) | (x == f32("inf")), x, y)


def tanh_f32(x: f32) -> f32:
    """The hyperbolic tangent; 3 ulp."""
    t = expm1_f32(f32(2.0) * minimum(absolute(x), f32(10.0)))
    return copysign(t / (t + f32(2.0)), x)


def sigmoid_f32(x: f32) -> f32:
    """1 / (1 + e**-x); 2.5 ulp, subnormal results included."""
    e = exp_f32(-absolute(x))
    return select(x >= f32(0.0), f32(1.0), e) / (f32(1.0) + e)


def sine(x: f32, turns: f64) -> f32:
    """sin(x + turns * pi/2) for whole `turns` and every finite x.

    x / (pi/2) is a sum of products of x with pieces of 28 bits of 2/pi, each exact in f64; of each, whole turns go to `n` (modulo 4) and the
    rest to `t`. (M. Payne and R. Hanek, SIGNUM Newsletter 18, 1983, without the table.)
    """
    finite = absolute(x) < f32("inf")
    wide = f64(select(finite, x, f32(0.0)))
    p = wide * f64(0.6366197690367699)
    k = rint(p)
    t = p - k
    n = turns + (k - f64(4.0) * rint(k * f64(0.25)))
    p = wide * f64(3.3308114738561656e-09)
    k = rint(p)
    t = t + (p - k)
    n = n + (k - f64(4.0) * rint(k * f64(0.25)))
    p = wide * f64(2.276010047810136e-18)
    k = rint(p)
    t = t + (p - k)
    n = n + (k - f64(4.0) * rint(k * f64(0.25)))
    p = wide * f64(2.5268260189002822e-26)
    k = rint(p)
    t = t + (p - k)
    n = n + (k - f64(4.0) * rint(k * f64(0.25)))
    p = wide * f64(1.6682867657019525e-34)
    k = rint(p)
    t = t + (p - k)
    n = n + (k - f64(4.0) * rint(k * f64(0.25)))
    t = t + wide * f64(1.158871328288855e-43)  # below 2**-14 of a turn from here on
    t = t + wide * f64(7.053959174404295e-52)
    k = rint(t)
    r = f32((t - k) * f64(1.5707963267948966))
    quarter = i32(n + k)
    z = r * r
    p_odd = f32(-1.9515295891e-4)
    p_odd = p_odd * z + f32(8.3321608736e-3)
    p_odd = p_odd * z + f32(-1.6666654611e-1)
    odd = p_odd * z * r + r
    p_even = f32(2.443315711809948e-5)
    p_even = p_even * z + f32(-1.388731625493765e-3)
    p_even = p_even * z + f32(4.166664568298827e-2)
    even = p_even * (z * z) - f32(0.5) * z + f32(1.0)
    y = select(i32(quarter & i32(1)) == i32(0), odd, even)
    return select(finite, select(i32(quarter & i32(2)) == i32(0), y, -y), f32("nan"))


def sin_f32(x: f32) -> f32:
    """The sine; 1.5 ulp for every finite x."""
    return select(x == f32(0.0), x, sine(x, f64(0.0)))


def cos_f32(x: f32) -> f32:
    """The cosine; 1.5 ulp for every finite x."""
    return sine(x, f64(1.0))


def tan_f32(x: f32) -> f32:
    """The tangent; 3.5 ulp for every finite x."""
    return select(x == f32(0.0), x, sine(x, f64(0.0)) / sine(x, f64(1.0)))


def erf_f32(x: f32) -> f32:
    """The error function; 2 ulp. Polynomials by N. Juffa (NVIDIA developer forum, 2016)."""
    t = minimum(absolute(x), f32(4.5))
    s = t * t
    r = f32(-1.72853470e-5) * t + f32(3.83197126e-4)
    u = f32(-3.88396438e-3) * t + f32(2.42546219e-2)
    r = r * s + u
    r = r * t + f32(-1.06777877e-1)
    r = r * t + f32(-6.34846687e-1)
    r = r * t + f32(-1.28717512e-1)
    r = r * t - t
    tail = copysign(f32(1.0) - exp_f32(r), x)
    p = f32(-5.96761703e-4)
    p = p * s + f32(4.99119423e-3)
    p = p * s + f32(-2.67681349e-2)
    p = p * s + f32(1.12819925e-1)
    p = p * s + f32(-3.76125336e-1)
    p = p * s + f32(1.28379166e-1)
    return select(t > f32(0.927734375), tail, select(x != x, x, p * x + x))


def log2_wide(x: f64) -> f64:
    """log2 of a positive finite f64 to 2**-40 relative: 2 atanh(s) / ln 2, s = (m - 1) / (m + 1), |s| < 0.172."""
    above = bits_f64(x) - i64(0x3FE6A09E667F3BCD)
    n = f64(above >> i64(52))
    m = from_bits_f64((above & i64(0xFFFFFFFFFFFFF)) + i64(0x3FE6A09E667F3BCD))
    s = (m - f64(1.0)) / (m + f64(1.0))
    z = s * s
    p = f64(1.0 / 17.0)
    p = p * z + f64(1.0 / 15.0)
    p = p * z + f64(1.0 / 13.0)
    p = p * z + f64(1.0 / 11.0)
    p = p * z + f64(1.0 / 9.0)
    p = p * z + f64(1.0 / 7.0)
    p = p * z + f64(1.0 / 5.0)
    p = p * z + f64(1.0 / 3.0)
    return n + f64(2.8853900817779268) * (s + s * z * p)


def exp2_wide(t: f64) -> f64:
    """2**t for |t| <= 1000 to 2**-38 relative."""
    n = rint(t)
    r = (t - n) * f64(0.6931471805599453)
    p = f64(1.0 / 362880.0)
    p = p * r + f64(1.0 / 40320.0)
    p = p * r + f64(1.0 / 5040.0)
    p = p * r + f64(1.0 / 720.0)
    p = p * r + f64(1.0 / 120.0)
    p = p * r + f64(1.0 / 24.0)
    p = p * r + f64(1.0 / 6.0)
    p = p * r + f64(0.5)
    p = p * r + f64(1.0)
    p = p * r + f64(1.0)
    return p * from_bits_f64((i64(n) + i64(1023)) << i64(52))


def power_f32(x: f32, y: f32) -> f32:
    """x**y; 0.51 ulp, computed in f64 and rounded once."""
    size = absolute(x)
    t = f64(y) * log2_wide(f64(select((size == f32(0.0)) | (size == f32("inf")), f32(1.0), size)))
    z = f32(exp2_wide(maximum(minimum(t, f64(300.0)), f64(-300.0))))
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


def mod_f32(x: f32, y: f32) -> f32:
    """The remainder with the sign of y, as NumPy has it."""
    r = fmod(x, y)
    zero = r == f32(0.0)
    return select(zero, copysign(f32(0.0), y), select((y < f32(0.0)) != (r < f32(0.0)), r + y, r))


def mod_f64(x: f64, y: f64) -> f64:
    """The remainder with the sign of y, as NumPy has it."""
    r = fmod(x, y)
    zero = r == f64(0.0)
    return select(zero, copysign(f64(0.0), y), select((y < f64(0.0)) != (r < f64(0.0)), r + y, r))


def floordiv_f32(x: f32, y: f32) -> f32:
    """The floor of the quotient, consistent with `mod_f32`, as NumPy has it."""
    r = fmod(x, y)
    q = (x - r) / y
    q = select((r != f32(0.0)) & ((y < f32(0.0)) != (r < f32(0.0))), q - f32(1.0), q)
    down = floor(q)
    down = select(q - down > f32(0.5), down + f32(1.0), down)
    return select(y == f32(0.0), x / y, select(q == f32(0.0), copysign(f32(0.0), x / y), down))


def floordiv_f64(x: f64, y: f64) -> f64:
    """The floor of the quotient, consistent with `mod_f64`, as NumPy has it."""
    r = fmod(x, y)
    q = (x - r) / y
    q = select((r != f64(0.0)) & ((y < f64(0.0)) != (r < f64(0.0))), q - f64(1.0), q)
    down = floor(q)
    down = select(q - down > f64(0.5), down + f64(1.0), down)
    return select(y == f64(0.0), x / y, select(q == f64(0.0), copysign(f64(0.0), x / y), down))


def power_i64(x: i64, y: i64) -> i64:
    """x**y modulo 2**64 for y >= 0, by squaring."""
    total = i64(1)
    while y > 0:
        if y & 1:
            total = total * x
        x = x * x
        y = y >> 1
    return total
