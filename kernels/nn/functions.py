"""Elementary functions of floats, numbers or SIMD vectors: exp, log1p, tanh and the logistic functions.

Without a branch, so that they run at the speed of vectors; of float32 or float64, and within 2 units in the last place
of the true value (2.5 for tanh where products are not fused with sums). An element has the same bits wherever it stands
in an array, and as a number alone. NaN stays NaN.

The methods are those of W. J. Cody and W. Waite, "Software Manual for the Elementary Functions", 1980, and of Sun's
fdlibm: an argument is reduced by a multiple of ln 2, held in two parts of which the first has so few bits that its
product is exact. The polynomials are minimax ones, fitted by Remez's algorithm in 200 bits and rounded.
"""

import numpy as np

from ..codegen.floats import (
    constant,
    constant_of,
    fma,
    horizontal_max,
    keep_first,
    nearest_integer,
    polynomial,
    select_less,
    split_exponent,
    with_sign_of,
)
from ..codegen.jit import exact_inlined_kernel, inlined_kernel
from ..codegen.simd import broadcast, horizontal_sum, load, store, vector_width
from ..tuning import FEW_ELEMENTS

_LOG2_E = 1.4426950408889634

# ln 2 in two parts: nine bits and the rest in float32, 32 and the rest in float64.
_LN2_HIGH = 0.693359375, 0.6931471803691238
_LN2_LOW = -0.00021219444005469057, 1.9082149292705877e-10

# (e^r - 1 - r) / r² where |r| <= ½ ln 2, to 1.4e-9 and 1.4e-18.
_EXP_SINGLE = (
    0.5,
    0.1666666716337204,
    0.041666463017463684,
    0.00833328627049923,
    0.0013933732407167554,
    0.00019907605019398034,
)
_EXP_DOUBLE = (
    0.5,
    0.1666666666666667,
    0.041666666666666685,
    0.008333333333326084,
    0.0013888888888874333,
    0.00019841269875001003,
    2.480158734749191e-05,
    2.7557255171615333e-06,
    2.755725276731344e-07,
    2.510531208819186e-08,
    2.0921637927883833e-09,
)

# (log((1 + s) / (1 - s)) - 2 s) / s³ as a polynomial of s², where |s| <= (√2 - 1) / (√2 + 1), to 2e-7 and 3e-16.
_LOG_SINGLE = (0.6666668653488159, 0.39988672733306885, 0.2958412766456604)
_LOG_DOUBLE = (
    0.666666666666667,
    0.3999999999989726,
    0.28571428626933626,
    0.2222221098582481,
    0.1818289954210266,
    0.1533138729457845,
    0.14620458241848702,
)

# Beyond them e^x is zero and infinite.
_LOWEST = -104.5, -746.0
_HIGHEST = 89.5, 710.5


@exact_inlined_kernel
def _expm1_parts(x):
    """e^x = 2^a 2^b (1 + q): return q, |q| < 0.42, and the two powers of two."""
    n, first, second = nearest_integer(x, constant(x, _LOG2_E))
    r = fma(n, constant_of(x, -_LN2_HIGH[0], -_LN2_HIGH[1]), x)
    r = fma(n, constant_of(x, -_LN2_LOW[0], -_LN2_LOW[1]), r)
    return fma(r * r, polynomial(r, _EXP_SINGLE, _EXP_DOUBLE), r), first, second


@exact_inlined_kernel
def exp(x):
    """e^x; subnormal results are rounded to the nearest number, like others."""
    lowest, highest = constant_of(x, *_LOWEST), constant_of(x, *_HIGHEST)
    x = select_less(x, lowest, lowest, x)
    x = select_less(highest, x, highest, x)
    q, first, second = _expm1_parts(x)
    return fma(first, q, first) * second


@exact_inlined_kernel
def log1p_finite(x):
    """log(1 + x) for a finite x > -1."""
    one = constant(x, 1.0)
    u = one + x
    # u + c = 1 + x.
    c = select_less(one, x, one - (u - x), x - (u - one))
    m, k, inverse = split_exponent(u)
    # Where x is so large that 2^-k is no normal number, c is nothing beside it.
    f = m - one
    f = select_less(x, constant(x, 1e30), fma(c, inverse, f), f)
    s = f / (constant(x, 2.0) + f)
    z = s * s
    tail = fma(z, polynomial(z, _LOG_SINGLE, _LOG_DOUBLE), constant(x, 0.5) * f * f)
    tail = fma(s, tail, k * constant_of(x, *_LN2_LOW))
    tail = fma(constant(x, -0.5) * f, f, tail)
    return with_sign_of(fma(k, constant_of(x, *_LN2_HIGH), f + tail), x)


@exact_inlined_kernel
def log1p(x):
    """log(1 + x); -inf at -1, NaN below."""
    edge, infinity, nan = constant(x, -1.0), constant(x, np.inf), constant(x, np.nan)
    result = select_less(x, infinity, log1p_finite(x), x)
    return select_less(edge, x, result, select_less(x, edge, nan, x * infinity))


@exact_inlined_kernel
def tanh(x):
    """(e^2|x| - 1) / (e^2|x| + 1), with the sign of x."""
    one, two = constant(x, 1.0), constant(x, 2.0)
    # Beyond it, tanh is 1 in either dtype.
    largest = constant(x, 64.0)
    y = two * with_sign_of(x, one)
    q, first, second = _expm1_parts(select_less(largest, y, largest, y))
    power = first * second
    t = fma(power, q, power - one)
    total = t + two
    inverse = one / total
    quotient = t * inverse
    # What the sum and the quotient lost to rounding.
    rest = fma(constant(x, -1.0) * quotient, t - (total - two), fma(constant(x, -1.0) * quotient, total, t))
    return with_sign_of(fma(rest, inverse, quotient), x)


@exact_inlined_kernel
def sigmoid_and_power(x):
    """1 / (1 + e^-x), and e^-|x|."""
    zero, one, lowest = constant(x, 0.0), constant(x, 1.0), constant_of(x, *_LOWEST)
    y = with_sign_of(x, constant(x, -1.0))
    q, first, second = _expm1_parts(select_less(y, lowest, lowest, y))
    power = first * second
    # The sum does not wait for the exponential.
    small, total = fma(power, q, power), fma(power, q, one + power)
    quotient = select_less(x, zero, small, one) / total
    # e / (1 + e) = e - e · e / (1 + e), where rounding in the quotient counts for less.
    return select_less(x, zero, fma(constant(x, -1.0) * small, quotient, small), quotient), small


@exact_inlined_kernel
def sigmoid(x):
    """1 / (1 + e^-x)."""
    result, _ = sigmoid_and_power(x)
    return result


@exact_inlined_kernel
def softplus(x):
    """log(1 + e^x)."""
    zero = constant(x, 0.0)
    _, small = sigmoid_and_power(x)
    return select_less(x, zero, zero, x) + log1p_finite(small)


@inlined_kernel
def subtract_largest(z, begin, n, out):
    """out_j = z_j - the largest z for the n elements from place `begin` of both on; return the largest.

    No exponential of these overflows, and one of them is 1.

    z and out : C-contiguous, of one dtype          out : overwritten
    """
    zero = z.dtype.type(0)
    if n <= FEW_ELEMENTS:
        highest = z[begin]
        for j in range(1, n):
            highest = max(highest, z[begin + j])
        for j in range(n):
            out[begin + j] = z[begin + j] - highest
        return highest
    count = vector_width(zero)
    least = broadcast(z.dtype.type(-np.inf))
    largest = least
    for j in range(0, n, count):
        values = keep_first(load(z, begin + j, n - j, zero), n - j, least)
        largest = select_less(largest, values, values, largest)
    highest = horizontal_max(largest)
    shift = broadcast(highest)
    for j in range(0, n, count):
        store(out, begin + j, n - j, load(z, begin + j, n - j, zero) - shift)
    return highest


@inlined_kernel
def sum_of_row(x, begin, n):
    """Σ x_j over the n elements from place `begin` on, of a C-contiguous array."""
    zero = x.dtype.type(0)
    if n <= FEW_ELEMENTS:
        sum_ = zero
        for j in range(n):
            sum_ += x[begin + j]
        return sum_
    count = vector_width(zero)
    total = broadcast(zero)
    for j in range(0, n, count):
        total += load(x, begin + j, n - j, zero)
    return horizontal_sum(total)
