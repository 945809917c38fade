"""Columns of any dtypes become rows as NumPy's assignment makes them."""

import numpy as np
import pytest
from guarded import SENTINEL, assert_untouched_around, guarded
from hypothesis import given, settings
from hypothesis import strategies as st

from fastgd.kernels import COLUMNS_SCRATCH, ColumnKind, columns_to_rows, columns_to_rows_reference

KINDS = {kind: None if kind is ColumnKind.BITS else np.dtype(kind.name.lower()) for kind in ColumnKind}


def column_of(rng, kind, begin, n_rows):
    """What lies in memory, and the numbers that it stands for."""
    dtype = KINDS[kind]
    if dtype is None:
        bits = rng.integers(0, 2, begin + n_rows, dtype=np.uint8)
        return np.packbits(bits, bitorder="little"), bits[begin:]
    if dtype.kind == "f":
        numbers = rng.normal(size=begin + n_rows).astype(dtype)
    else:
        limits = np.iinfo(dtype)
        numbers = rng.integers(limits.min, limits.max, begin + n_rows, dtype=dtype, endpoint=True)
    return numbers, numbers[begin:]


def check(dtype, kernel, seed, n_rows, n_columns, first, n_beyond):
    rng = np.random.default_rng(seed)
    kinds = rng.choice(list(ColumnKind), n_columns)
    begins = rng.integers(0, 20, n_columns)
    columns = [column_of(rng, ColumnKind(kind), begin, n_rows) for kind, begin in zip(kinds, begins, strict=True)]
    expected = np.full((n_rows, first + n_columns + n_beyond), -1, dtype)
    numbers = guarded(expected, SENTINEL)
    out = numbers.reshape(expected.shape)
    for j, (_, column) in enumerate(columns):
        expected[:, first + j] = column
    addresses = np.array([memory.ctypes.data for memory, _ in columns], np.int64)
    scratch = np.empty(COLUMNS_SCRATCH, dtype)
    kernel(addresses, kinds.astype(np.int64), begins, first, scratch, out)
    np.testing.assert_array_equal(out, expected)
    assert_untouched_around(numbers)


CASES = {
    "seed": st.integers(0, 1 << 20),
    "n_rows": st.integers(0, 600),
    # Whole registers of columns and some more; lists of so many are rarely drawn.
    "n_columns": st.integers(1, 40),
    "first": st.integers(0, 3),
    "n_beyond": st.integers(0, 3),
}


@settings(max_examples=60)
@given(**CASES)
def test_any_columns(seed, n_rows, n_columns, first, n_beyond):
    check(np.float32, columns_to_rows, seed, n_rows, n_columns, first, n_beyond)


@pytest.mark.slow
@pytest.mark.parametrize("kernel", [columns_to_rows, columns_to_rows_reference])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@settings(max_examples=60)
@given(**CASES)
def test_any_columns_to_any_dtype(dtype, kernel, seed, n_rows, n_columns, first, n_beyond):
    check(dtype, kernel, seed, n_rows, n_columns, first, n_beyond)
