"""Records of four numbers as SIMD vectors, four rows at a time: any rows, also the same twice, and fewer than four."""

import numba
import numpy as np
import pytest

from fastgd.kernels.codegen.records import RECORD, in_records, load_records, square_root, store_records, where_not_zero
from fastgd.kernels.codegen.simd import store


@numba.njit
def combine(table, rows, begin, n, number, out):
    """Leave the numbers of rows in out, vector by vector, and store (b, a where d is not zero, √c, number)."""
    a, b, c, d = load_records(table, rows, begin, n)
    store(out, 0, RECORD, a)
    store(out, 4, RECORD, b)
    store(out, 8, RECORD, c)
    store(out, 12, RECORD, d)
    store_records(table, rows, begin, n, (b, where_not_zero(d, a), square_root(c), in_records(number)))


@pytest.mark.parametrize("n", [1, 2, 3, 4, 9])
@pytest.mark.parametrize("index", ["int32", "int64"])
def test_records_are_loaded_and_stored(n, index, dtype, rng):
    table = rng.random((7, RECORD)).astype(dtype)
    table[2::3, 3] = 0
    table[5, 3] = np.nan
    rows = np.array([6, 5, 2, 0, 5, 3, 1], index)
    for begin in range(len(rows) - min(n, RECORD) + 1):
        # The last row stands for those beyond.
        taken = rows[begin : begin + min(n, RECORD)]
        padded = np.resize(np.append(taken, [taken[-1]] * RECORD), RECORD)
        expected, before, out = table.copy(), table.copy(), np.empty(16, dtype)
        combine(table, rows, begin, n, np.dtype(dtype).type(2.5), out)
        np.testing.assert_array_equal(out.reshape(RECORD, RECORD), before[padded].T)
        a, b, c, d = before[taken].T
        expected[taken] = np.stack([b, np.where(d != 0, a, 0), np.sqrt(c), np.full(len(d), 2.5)], axis=1)
        np.testing.assert_array_equal(table, expected)
        table = before
