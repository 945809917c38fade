"""gemm, gemv and ger: every micro-kernel, panel, block and remainder, held to plain loops in float64."""

import os
import subprocess
import sys
from typing import NamedTuple

import numpy as np
import pytest
from cases import rounding
from hypothesis import example, given
from hypothesis import strategies as st
from llvmlite.binding import get_host_cpu_features
from protected import run_with_protected_memory

from fastgd import kernels
from fastgd.kernels.gemm import reference
from fastgd.kernels.gemm.packing import panel_size
from fastgd.kernels.parallel.thread_pool import _N_BLOCKS, WORTH_SHARING
from fastgd.kernels.tuning import FAR_APART, FEW, MOST_LANES, MR, NR_VECTORS, PANEL_ROWS
from fastgd.threads import ThreadPool

DTYPES = st.sampled_from([np.float32, np.float64])
# Micro-kernels have up to 8 rows and 64 columns.
ROWS, COLUMNS = st.integers(1, 20), st.integers(1, 140)
ACCUMULATE = st.booleans()
SEEDS = st.integers(0, 2**32 - 1)


def normal(seed, dtype, *shapes):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


# What stands around an output: a NaN could not be told from what a spoilt operand would leave there.
SENTINEL = -77
# The rows of a micro-kernel that a matrix does not have would fit into it.
EDGE = 2304


def guarded(matrix, outside=np.nan):
    """The matrix's numbers as a vector, with others before and after them in its base."""
    edge = np.full(EDGE, outside)
    return np.concatenate([edge, matrix.ravel(), edge]).astype(matrix.dtype)[EDGE:-EDGE]


def assert_untouched_around(output):
    np.testing.assert_array_equal(output.base[:EDGE], SENTINEL)
    np.testing.assert_array_equal(output.base[-EDGE:], SENTINEL)


def guarded_matrix(matrix, by_columns):
    return guarded(matrix.T).reshape(matrix.T.shape).T if by_columns else guarded(matrix).reshape(matrix.shape)


class Case(NamedTuple):
    """Operands of c = a b + bias, or c += a b; a and b may lie column by column."""

    a: np.ndarray
    b: np.ndarray
    before: np.ndarray
    bias: np.ndarray
    accumulate: bool
    a_by_columns: bool
    b_by_columns: bool

    def result_of(self, kernel, *rest):
        """What the kernel makes of it; around the operands stand numbers that would spoil it."""
        before = self.before if self.accumulate else np.full_like(self.before, np.nan)
        c = guarded(before, SENTINEL).reshape(before.shape)
        a, b = guarded_matrix(self.a, self.a_by_columns), guarded_matrix(self.b, self.b_by_columns)
        kernel(a, b, c, guarded(self.bias), self.accumulate, *rest)
        assert_untouched_around(c)
        return c

    def by_gemm(self):
        panel = guarded(np.full(panel_size(self.a.shape[1]), np.nan, self.a.dtype), SENTINEL)
        result = self.result_of(kernels.gemm, panel, kernels.ALONE, 0)
        assert_untouched_around(panel)
        return result

    def by_gemm_small(self):
        (m, k), n = self.a.shape, self.b.shape[1]
        c = guarded(self.before if self.accumulate else np.full_like(self.before, np.nan), SENTINEL).reshape(m, n)
        a, strides = (self.a.T, (1, m)) if self.a_by_columns else (self.a, (k, 1))
        kernels.gemm_small(guarded(a), strides, guarded(self.b), k, self.accumulate, c)
        assert_untouched_around(c)
        return c

    def by_thread_pool(self, n_workers):
        made = kernels.products(self.a.dtype, 1, self.a.shape[1], n_workers=n_workers)
        made.pool[WORTH_SHARING] = 0
        with ThreadPool(made).working():
            return self.result_of(kernels.parallel_gemm, made.panel, made.pool, 0)

    def by_reference(self):
        """By plain loops, in float64."""
        a, b, before, bias = (array.astype(float) for array in (self.a, self.b, self.before, self.bias))
        exact = self._replace(a=a, b=b, before=before, bias=bias)
        return exact.result_of(reference.gemm, np.empty(0), kernels.ALONE, 0)


def operands_of(dtype, m, k, n, has_bias, seed):
    return normal(seed, dtype, (m, k), (k, n), (m, n), n if has_bias else 0)


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
    n_rows, n_columns = (-(-size // MOST_LANES) * MOST_LANES for size in (n, m))
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


@pytest.mark.parametrize("n_workers", [2, 3, 5])
@given(DTYPES, st.integers(1, 40), st.integers(1, 300), ACCUMULATE, SEEDS)
def test_a_thread_pool_transposes_to_the_same_bits(n_workers, dtype, m, n, accumulate, seed):
    a, before = normal(seed, dtype, (m, n), n)
    made = kernels.products(dtype, m + 1, m + 1, (FAR_APART,), n_workers)
    made.pool[WORTH_SHARING] = 0
    with ThreadPool(made).working():
        shared = transposed(kernels.parallel_transpose, a, before, accumulate, pool=made.pool)
    assert (made.pool[_N_BLOCKS] > 1) == (n > MOST_LANES)
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
    """Two are always needed, one for the sums of biases; others are compiled where products are small enough."""
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
        assert made.gemm == kernels.gemm.pointer(dtype)
        assert made.gemm_small == kernels.gemm_small.pointer(dtype)
        assert (made.gemv, made.gemm_nt_small, made.ger) == expected
