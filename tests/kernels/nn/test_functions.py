"""Elementary functions: two units in the last place, the ends of the numbers, and the same bits in any place."""

import numba
import numpy as np
import pytest

from fastgd.kernels.codegen.jit import kernel
from fastgd.kernels.codegen.simd import load, store, vector_width
from fastgd.kernels.nn import functions

# Compiling takes most of the time, and both dtypes run the same operations.
DTYPES = ["float32", pytest.param("float64", marks=pytest.mark.slow)]
MOST_ULP = 2

with_80_bits = pytest.mark.skipif(
    np.finfo(np.longdouble).nmant < 63, reason="long double is no longer than float64 here"
)


def sigmoid(x):
    return np.where(x < 0, np.exp(-np.abs(x)), 1) / (1 + np.exp(-np.abs(x)))


def softplus(x):
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


FORMULAS = {"exp": np.exp, "log1p": np.log1p, "tanh": np.tanh, "sigmoid": sigmoid, "softplus": softplus}


def made(name):
    """The function of an array, in SIMD vectors, and in numbers within a kernel whose sums may be reordered."""
    function = getattr(functions, name)

    @numba.njit
    def in_vectors(x, out):
        zero = x.dtype.type(0)
        count = vector_width(zero)
        for i in range(0, x.size, count):
            store(out, i, x.size - i, function(load(x, i, x.size - i, zero)))

    @numba.njit(fastmath={"reassoc", "contract", "nsz", "arcp"})
    def in_numbers(x, out):
        for i in range(x.size):
            out[i] = function(x[i])

    return in_vectors, in_numbers


def grid(dtype):
    """Numbers of every size and sign, more of them where the functions bend, and those at the ends."""
    rng = np.random.default_rng(0)
    info = np.finfo(dtype)
    sizes = np.exp2(rng.uniform(np.log2(info.smallest_subnormal), np.log2(info.max), 40_000))
    small = np.exp2(rng.uniform(-30, 0, 40_000))
    bends = rng.uniform(-2, 2, 60_000)
    wide = rng.uniform(-1.1, 1.1, 100_000) * np.log(info.max)
    ends = [0, 1, info.max, info.tiny, info.smallest_subnormal, info.eps, np.inf, np.nan]
    # Where e^x is the largest number, the smallest normal one and the smallest.
    ends = np.array([*ends, *np.log([info.max, info.tiny, info.smallest_subnormal])], dtype)
    with np.errstate(over="ignore"):
        beside = [np.nextafter(ends, np.array(side, dtype)) for side in (-np.inf, np.inf)]
    numbers = np.concatenate([sizes, small, bends, wide, ends, *beside]).astype(dtype)
    return np.concatenate([numbers, -numbers])


@with_80_bits
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FORMULAS)
def test_two_units_in_the_last_place(name, dtype):
    x = grid(dtype)
    found, in_numbers = np.empty((2, x.size), dtype)
    for run, out in zip(made(name), (found, in_numbers), strict=True):
        run(x, out)
    np.testing.assert_array_equal(found.view(f"u{found.itemsize}"), in_numbers.view(f"u{found.itemsize}"))
    with np.errstate(all="ignore"):
        exact = FORMULAS[name](x.astype(np.longdouble))
        expected = exact.astype(dtype)
        units = np.spacing(np.abs(expected)).astype(np.longdouble)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    numbers = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(found[numbers]), np.signbit(expected[numbers]))
    finite = np.isfinite(expected) & np.isfinite(found)
    np.testing.assert_array_equal(found[numbers & ~finite], expected[numbers & ~finite])
    assert (np.abs(found[finite] - exact[finite]) / units[finite]).max() <= MOST_ULP


def test_the_same_bits_in_any_place():
    """In whole vectors and in what remains; the elements around stay as they are."""
    in_vectors, _ = made("tanh")
    x = np.random.default_rng(1).standard_normal(40).astype(np.float32)
    expected = np.empty_like(x)
    in_vectors(x, expected)
    for begin in range(20):
        for end in range(begin, 40):
            out = np.full(40, np.float32(7))
            in_vectors(x[begin:end], out[begin:end])
            np.testing.assert_array_equal(out[begin:end], expected[begin:end])
            assert (np.delete(out, range(begin, end)) == 7).all()


@kernel
def subtract_largest(z, begin, n, out):
    return functions.subtract_largest(z, begin, n, out), functions.sum_of_row(out, begin, n)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_row_less_its_largest(dtype, rng):
    eps = float(np.finfo(dtype).eps)
    for n in range(1, 40):
        z = rng.standard_normal(45).astype(dtype)
        out = np.full(45, 7, dtype)
        largest, total = subtract_largest(z, 3, n, out)
        row = z[3 : 3 + n]
        assert largest == row.max()
        np.testing.assert_array_equal(out[3 : 3 + n], row - row.max())
        assert total == pytest.approx((row - row.max()).sum(dtype=np.float64), rel=n * eps)
        assert (np.delete(out, range(3, 3 + n)) == 7).all()
        for spoilt in (np.nan, np.inf):
            z[3 + n // 2] = spoilt
            assert np.isnan(subtract_largest(z, 3, n, out)[1])
