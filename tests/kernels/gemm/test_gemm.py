"""gemm: every micro-kernel, panel, block and remainder."""

import os
import subprocess
import sys

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
from hypothesis import example, given
from hypothesis import strategies as st
from llvmlite.binding import get_host_cpu_features
from protected import run_with_protected_memory

from fastgd import kernels
from fastgd.kernels.gemm import reference
from fastgd.kernels.parallel.thread_pool import _N_BLOCKS, WORTH_SHARING
from fastgd.kernels.tuning import FAR_APART, FEW, MAX_VECTOR_WIDTH, MR, NR_VECTORS, PANEL_ROWS
from fastgd.threads import ThreadPool


@pytest.mark.parametrize("accumulate", [False, True])
@pytest.mark.parametrize("has_bias", [False, True])
def test_reference(accumulate, has_bias, dtype, rng):
    """Plain loops, whatever the strides, against NumPy; small integers make every sum exact."""
    a, b, c = (rng.integers(-9, 10, shape).astype(dtype) for shape in ((5, 3), (3, 4), (5, 4)))
    bias = rng.integers(-9, 10, 4 if has_bias else 0).astype(dtype)
    expected = a @ b + (c if accumulate else bias if has_bias else 0)
    for left in (a, np.asfortranarray(a)):
        for right in (b, np.asfortranarray(b)):
            result = c.copy()
            reference.gemm(left, right, result, bias, accumulate, c[0], kernels.ALONE, 0)
            np.testing.assert_array_equal(result, expected)
    if not accumulate:
        result = np.full_like(c, np.nan)
        reference.gemv(a.ravel(), 3, b.T.ravel(), bias, result, False)
        np.testing.assert_array_equal(result, expected)
    if not has_bias:
        for left, strides in ((a, (3, 1)), (a.T, (1, 5))):
            result = c.copy()
            reference.gemm_small(left.ravel(), strides, b.ravel(), 3, accumulate, result)
            np.testing.assert_array_equal(result, expected)
    result = c.copy()
    reference.ger(a[:, 0].copy(), b[0], accumulate, result)
    np.testing.assert_array_equal(result, np.outer(a[:, 0], b[0]) + (c if accumulate else 0))


@given(DTYPES, ROWS, st.integers(1, 40), COLUMNS, ACCUMULATE, st.booleans(), st.booleans(), st.booleans(), SEEDS)
@example(np.float32, 9, PANEL_ROWS + 5, 33, True, True, True, True, 0)
@example(np.float64, 9, 2 * PANEL_ROWS, 17, False, True, False, False, 0)
@example(np.float32, 9, PANEL_ROWS + 40, 32, True, True, False, False, 0)
@example(np.float32, 9, PANEL_ROWS, 64, True, True, False, False, 0)
@example(np.float64, 9, PANEL_ROWS, 16, True, True, False, False, 0)
@example(np.float64, 9, PANEL_ROWS, 128, True, True, False, False, 0)
@example(np.float64, 9, PANEL_ROWS, 160, True, True, False, False, 0)
@example(np.float32, 9, PANEL_ROWS, 256, True, True, False, False, 0)
@example(np.float32, 9, PANEL_ROWS, 320, True, True, False, False, 0)
def test_gemm(dtype, m, k, n, accumulate, has_bias, a_by_columns, b_by_columns, seed):
    case = Case(*operands_of(dtype, m, k, n, has_bias, seed), accumulate, a_by_columns, b_by_columns)
    np.testing.assert_allclose(case.by_gemm(), case.by_reference(), rtol=0, atol=8 * rounding(dtype, k))


def transposed(kernel, a, before, accumulate, n_more_rows=0, n_more_columns=0, pool=kernels.ALONE):
    """Transpose in one block; return the result with the rows and columns beyond it, and the sums."""
    m, n = a.shape
    n_rows, n_columns = (-(-size // MAX_VECTOR_WIDTH) * MAX_VECTOR_WIDTH for size in (n, m))
    n_rows, n_columns = n_rows + n_more_rows, n_columns + n_more_columns
    c = guarded(np.full((n_rows, n_columns), SENTINEL, a.dtype), SENTINEL)
    sums = guarded(before if accumulate else np.full_like(before, np.nan), SENTINEL)
    scratch = np.empty(0, a.dtype)
    kernel(guarded(a), m, n, c.reshape(n_rows, n_columns), accumulate, sums, (0, n), pool, scratch)
    assert_untouched_around(c)
    assert_untouched_around(sums)
    return c.reshape(n_rows, n_columns), sums


@given(
    DTYPES,
    st.integers(1, 40),
    st.integers(1, 70),
    st.integers(0, 2),
    st.integers(0, 2),
    ACCUMULATE,
    st.booleans(),
    SEEDS,
)
def test_transpose(dtype, m, n, n_more_rows, n_more_columns, accumulate, has_sums, seed):
    a, before = normal(seed, dtype, (m, n), n if has_sums else 0)
    c, sums = transposed(kernels.transpose, a, before, accumulate, n_more_rows, n_more_columns)
    np.testing.assert_array_equal(c[:n, :m], a.T)
    np.testing.assert_array_equal(c[len(c) - n_more_rows :], SENTINEL)
    np.testing.assert_array_equal(c[:, c.shape[1] - n_more_columns :], SENTINEL)
    if has_sums:
        exact = a.astype(float).sum(axis=0) + (before if accumulate else 0)
        np.testing.assert_allclose(sums, exact, rtol=0, atol=4 * rounding(dtype, m))


@pytest.mark.slow
@pytest.mark.parametrize("n_workers", [3, *(pytest.param(n, marks=pytest.mark.slow) for n in (2, 5))])
@given(DTYPES, st.integers(1, 40), st.integers(1, 300), ACCUMULATE, SEEDS)
def test_a_thread_pool_transposes_to_the_same_bits(n_workers, dtype, m, n, accumulate, seed):
    a, before = normal(seed, dtype, (m, n), n)
    made = kernels.products(dtype, m + 1, m + 1, (FAR_APART,), n_workers)
    made.pool[WORTH_SHARING] = 0
    with ThreadPool(made).working():
        shared = transposed(kernels.parallel_transpose, a, before, accumulate, pool=made.pool)
    assert (made.pool[_N_BLOCKS] > 1) == (n > MAX_VECTOR_WIDTH)
    for mine, ours in zip(transposed(kernels.transpose, a, before, accumulate), shared, strict=True):
        np.testing.assert_array_equal(mine, ours)


@pytest.mark.parametrize("n_out", [FAR_APART - 1, FAR_APART, FAR_APART + 1, FAR_APART + 7])
@pytest.mark.parametrize("n_samples", [2, 40, 1024])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_that_lie_far_apart(dtype, n_samples, n_out):
    """Products of small integers are exact, whether the outputs' derivatives are transposed first or not."""
    rng = np.random.default_rng(n_out)
    d_out, x = (rng.integers(-9, 10, (n_samples, n)).astype(dtype) for n in (n_out, 35))
    results = []
    for n_widest in (n_out, 1):
        made = kernels.products(dtype, n_samples, n_samples, (FEW, n_widest))
        assert (made.transpose != 0) == (n_widest >= FAR_APART)
        d_weight, d_bias = np.full((n_out, 35), np.nan, dtype), np.full(n_out, np.nan, dtype)
        kernels.linear_backward_parameters(d_out, x, False, False, d_weight, d_bias, made)
        results.append(np.column_stack([d_weight, d_bias]))
    np.testing.assert_array_equal(results, [np.column_stack([d_out.T @ x, d_out.sum(axis=0)])] * 2)


@pytest.mark.parametrize("n_workers", [2, 3, 5])
@given(DTYPES, st.integers(1, 150), st.integers(1, 40), st.integers(1, 300), ACCUMULATE, st.booleans(), SEEDS)
def test_a_thread_pool_gives_the_same_bits(n_workers, dtype, m, k, n, accumulate, a_by_columns, seed):
    case = Case(*operands_of(dtype, m, k, n, True, seed), accumulate, a_by_columns, False)
    np.testing.assert_array_equal(case.by_thread_pool(n_workers), case.by_gemm())


@pytest.mark.parametrize("m", range(1, 18))
@pytest.mark.parametrize("n", [1, 3, 16, 17, 32, 33, 49, 64, 65])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_number_of_remaining_rows(m, n, dtype):
    """Products of small integers are exact; remaining rows, fewer than MR, go by the same micro-kernel."""
    rng = np.random.default_rng(m)
    shapes = (m, 5), (5, n), (m, n), n
    operands = [rng.integers(-9, 10, shape).astype(dtype) for shape in shapes]
    for accumulate in (False, True):
        for a_by_columns in (False, True):
            for b_by_columns in (False, True):
                case = Case(*operands, accumulate, a_by_columns, b_by_columns)
                np.testing.assert_array_equal(case.by_gemm(), case.by_reference())


AT_THE_END = """
import itertools

import numpy as np
from fastgd import kernels
from protected import assert_protected, at_the_end

assert_protected()
for dtype in (np.float32, np.float64):
    for m in range(1, 18):
        for n in (1, 3, 17, 33, 50, 64):
            a, b, bias, c = (at_the_end(np.ones(shape, dtype)) for shape in (m * 5, 5 * n, n, (m, n)))
            matrices = [(a.reshape(m, 5), a.reshape(5, m).T), (b.reshape(5, n), b.reshape(n, 5).T)]
            panel = at_the_end(kernels.products(dtype, 5, 5, (1, m)).panel)
            square, none = at_the_end(np.ones((64, 32), dtype)), np.empty(0, dtype)
            for accumulate in (False, True):
                bias[:] = 1
                rest = accumulate, bias, (0, n), kernels.ALONE, none
                kernels.transpose(at_the_end(np.ones((m, n), dtype)).ravel(), m, n, square, *rest)
                np.testing.assert_array_equal(bias, m + accumulate)
            bias[:] = 1
            for left, right in itertools.product(*matrices):
                # The bias, or what is there already.
                for accumulate in (False, True):
                    c[:] = 2
                    kernels.gemm(left, right, c, bias, accumulate, panel, kernels.ALONE, 0)
                    np.testing.assert_array_equal(c, 6 + accumulate)
            kernels.gemm_nt_small(a, 5, b, bias, c, True)
            np.testing.assert_array_equal(c, 6)
            for k in (29, 61, 64, 67, 127, 133):
                rows, row = (at_the_end(np.ones(size, dtype)) for size in (m * k, k))
                out = at_the_end(np.ones((m, 1), dtype))
                kernels.gemv(rows, k, row, bias[-1:], out, True)
                np.testing.assert_array_equal(out, k + 1)
            for accumulate in (False, True):
                c[:] = 1
                kernels.ger(a[-m:], b[-n:], accumulate, c)
                np.testing.assert_array_equal(c, 1 + accumulate)
            for accumulate in (False, True):
                c[:] = 1
                kernels.gemm_small(a, (1, m), b, 5, accumulate, c)
                np.testing.assert_array_equal(c, 5 + accumulate)
            c[:] = 1
            kernels.gemm_small(a[-m:], (m, 1), c.ravel(), m, False, bias.reshape(1, n))
            np.testing.assert_array_equal(bias, m)
"""


OLDEST = "+sse2,+sse4.2"
OLDER = "+sse2,+avx,+avx2,+fma,+f16c"
NEWER = OLDER + ",+avx512f,+avx512vl,+avx512bw,+avx512dq,+avx512cd"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "features", "shape"),
    [
        ("x86-64-v2", OLDEST, (6, 2)),
        ("x86-64-v3", OLDER, (6, 2)),
        ("x86-64-v4", NEWER, (4, 4)),
    ],
    ids=["short registers", "16 registers", "32 registers"],
)
def test_processors_with_other_micro_kernels(tmp_path, name, features, shape):
    """The tests of this file once more, with the MR and NR that another processor has."""
    if shape == (MR, NR_VECTORS) and features != OLDEST:
        pytest.skip("this processor's own")
    if not all(get_host_cpu_features().get(feature[1:]) for feature in features.split(",")):
        pytest.skip(f"runs the instructions {features}")
    processor = {"NUMBA_CPU_NAME": name, "NUMBA_CPU_FEATURES": features}
    environment = os.environ | processor | {"NUMBA_CACHE_DIR": str(tmp_path)}
    code = f"from fastgd.kernels.tuning import MR, NR_VECTORS; assert (MR, NR_VECTORS) == {shape}"
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    pytest_again = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", __file__]
    done = subprocess.run(pytest_again, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="protects pages as Linux does")
def test_products_touch_nothing_beyond_their_operands():
    run_with_protected_memory(AT_THE_END)
