"""Operands that are guarded: nothing around an output may change."""

from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st

from fastgd import kernels
from fastgd.kernels.gemm import reference
from fastgd.kernels.gemm.packing import panel_size
from fastgd.kernels.parallel.thread_pool import WORTH_SHARING
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
