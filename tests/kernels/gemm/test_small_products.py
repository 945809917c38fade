"""gemv, ger and the products of few rows."""

import numpy as np
import pytest
from cases import rounding
from guarded import (
    ACCUMULATE,
    COLUMNS,
    DTYPES,
    ROWS,
    SEEDS,
    SENTINEL,
    Case,
    assert_untouched_around,
    guarded,
    normal,
    operands_of,
)
from hypothesis import given
from hypothesis import strategies as st

from fastgd import kernels
from fastgd.kernels.gemm import reference
from fastgd.kernels.tuning import FEW


@given(DTYPES, st.integers(1, 9), st.integers(1, 140), st.integers(1, 9), st.booleans(), st.booleans(), SEEDS)
def test_gemm_nt_small_and_gemv(dtype, m, k, n, has_bias, prefetches, seed):
    a, b, bias = normal(seed, dtype, (m, k), (n, k), n if has_bias else 0)
    c = guarded(np.full((m, n), np.nan, dtype), SENTINEL).reshape(m, n)
    exact = Case(a, b.T, c, bias, False, False, True).by_reference()
    for kernel in (kernels.gemm_nt_small, *[kernels.gemv] * (n == 1)):
        c[:] = np.nan
        kernel(guarded(a), k, guarded(b), guarded(bias), c, prefetches)
        np.testing.assert_allclose(c, exact, rtol=0, atol=4 * rounding(dtype, k))
        assert_untouched_around(c)


@given(DTYPES, ROWS, COLUMNS, ACCUMULATE, SEEDS)
def test_ger(dtype, m, n, accumulate, seed):
    a, b, before = normal(seed, dtype, m, n, (m, n))
    c = guarded(before if accumulate else np.full_like(before, np.nan), SENTINEL).reshape(m, n)
    kernels.ger(guarded(a), guarded(b), accumulate, c)
    exact = before.astype(float)
    reference.ger(a.astype(float), b.astype(float), accumulate, exact)
    np.testing.assert_allclose(c, exact, rtol=0, atol=8 * rounding(dtype, 1))
    assert_untouched_around(c)


@given(DTYPES, ROWS, st.integers(1, 200), ACCUMULATE, SEEDS)
def test_gemm_small_sums_rows(dtype, m, n, accumulate, seed):
    """The sum of rows, from a single one."""
    a, before = normal(seed, dtype, (m, n), n)
    c = guarded(before if accumulate else np.full_like(before, np.nan), SENTINEL)
    one = guarded(np.ones(1, dtype))
    kernels.gemm_small(one, (0, 0), guarded(a), m, accumulate, c.reshape(1, n))
    exact = a.sum(axis=0, dtype=float) + (before.astype(float) if accumulate else 0)
    np.testing.assert_allclose(c, exact, rtol=0, atol=8 * rounding(dtype, m))
    assert_untouched_around(c)


@given(DTYPES, ROWS, ROWS, st.integers(1, 200), ACCUMULATE, st.booleans(), SEEDS)
def test_gemm_small(dtype, m, k, n, accumulate, a_by_columns, seed):
    case = Case(*operands_of(dtype, m, k, n, False, seed), accumulate, a_by_columns, False)
    np.testing.assert_allclose(case.by_gemm_small(), case.by_reference(), rtol=0, atol=4 * rounding(dtype, k))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_which_kernels_serve_small_products(dtype):
    """One is always needed, for the sums of biases; others are compiled where products are small, or large, enough."""
    small = kernels.gemv, kernels.gemm_nt_small, kernels.ger
    row, rows, outer = (kernel.pointer(dtype) for kernel in small)
    cases = {
        (1, FEW): (0, rows, outer),
        (2, FEW): (0, rows, 0),
        (FEW - 1, FEW): (0, rows, 0),
        (FEW, FEW): (0, 0, 0),
        (FEW, FEW - 1): (0, rows, 0),
        (1000, 1): (row, 0, 0),
        (1000, 2): (0, rows, 0),
        (FEW - 1, 1): (row, rows, 0),
        (1000, 1000): (0, 0, 0),
    }
    for (n_rows, n_outputs), expected in cases.items():
        made = kernels.products(dtype, n_rows, 3, (1000, n_outputs, 1000))
        assert made.gemm == (kernels.gemm.pointer(dtype) if n_rows >= FEW else 0)
        assert made.gemm_small == kernels.gemm_small.pointer(dtype)
        assert (made.gemv, made.gemm_nt_small, made.ger) == expected
    assert kernels.products(dtype, 1000, 3, (FEW - 1, 1)).gemm == 0
