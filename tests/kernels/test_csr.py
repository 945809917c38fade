"""What is learnt of sparse rows before training, against NumPy: in order or not, columns that come twice."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sparse_cases import csr

from fastgd import kernels
from fastgd.data.sparse import sparse_rows

N_ROWS, N_COLUMNS = 50, 20


def _rows(kind, is_scaled):
    X, dense = csr(N_ROWS, N_COLUMNS, seed=1)
    if kind == "sorted":
        X.sum_duplicates()
    elif kind == "sorted, some twice":
        X.sort_indices()
    # Powers of two: entries that add up to zero do so when scaled.
    scale = 2.0 ** np.random.default_rng(0).integers(-3, 4, N_COLUMNS) if is_scaled else None
    return _counting(X, "float64", scale), dense if scale is None else dense * scale


def _counting(X, dtype, scale):
    rows, dtype = sparse_rows(X), np.dtype(dtype)
    return rows.counting_as(dtype) if scale is None else rows.standardized(dtype, np.zeros(N_COLUMNS), scale)


@pytest.mark.parametrize("is_scaled", [False, True])
@pytest.mark.parametrize("kind", ["in no order", "sorted, some twice", "sorted"])
def test_squares_and_moments(kind, is_scaled, rng):
    rows, dense = _rows(kind, is_scaled)
    scratch, squares = np.zeros(N_COLUMNS), np.empty(N_ROWS)
    kernels.csr_row_squares(rows.csr, scratch, squares)
    np.testing.assert_allclose(squares, (dense**2).sum(axis=1))
    for v in (np.empty(0), rng.integers(0, 3, N_ROWS).astype(np.float64)):
        v.flags.writeable = False
        weights = v if v.size else np.ones(N_ROWS)
        mean = rng.standard_normal(N_COLUMNS)
        for about in (np.empty(0), mean, np.zeros(N_COLUMNS)):
            n_weights, moments = np.zeros((2, N_COLUMNS))
            kernels.csr_moments(rows.csr, v, about, scratch, n_weights, moments)
            np.testing.assert_allclose(n_weights, weights @ (dense != 0))
            terms = (dense != 0) * (dense - about) ** 2 if about.size else dense
            np.testing.assert_allclose(moments, weights @ terms, atol=1e-12)
    np.testing.assert_array_equal(scratch, 0)


@pytest.mark.parametrize("is_scaled", [False, True])
def test_what_is_not_finite_is_seen(is_scaled):
    rows, _ = _rows("in no order", is_scaled)
    assert rows.all_finite()
    # As large a value as float64 holds, which float32 does not, and one that is scaled out of range.
    X, _ = csr(N_ROWS, N_COLUMNS, seed=1)
    for bad, dtype in ((np.nan, "float64"), (-np.inf, "float64"), (1e300, "float32")):
        X.data[-1] = bad
        scale = np.ones(N_COLUMNS) if is_scaled else None
        assert not _counting(X, dtype, scale).all_finite()
    X.data[-1] = 1e300
    assert sparse_rows(X).all_finite()
    assert not _counting(X, "float64", np.full(N_COLUMNS, 1e10)).all_finite()


@given(seed=st.integers(0, 10**6), n_centred=st.integers(1, 4), dtype=st.sampled_from(["u1", "i8", "f4", "f8"]))
@settings(max_examples=40, deadline=None)
def test_centred_columns_get_the_entries_that_they_lack(seed, n_centred, dtype):
    """Some columns have an entry in each row, one, two or none; in one case in four all have one."""
    rng = np.random.default_rng(seed)
    n_rows = int(rng.integers(1, 9))
    columns = rng.permutation(6)[:n_centred]
    entries = [(i, j) for i in range(n_rows) for j in range(6) for _ in range(rng.integers(0, 3))]
    if seed % 4 == 0:
        entries = [pair for pair in entries if pair[1] not in columns] + [
            (i, j) for i in range(n_rows) for j in columns
        ]
    entries = rng.permutation(np.array(entries, np.int64).reshape(-1, 2))
    values = rng.integers(0, 200, len(entries)).astype(dtype)
    by_row = np.argsort(entries[:, 0], kind="stable")
    offsets = np.concatenate([[0], np.bincount(entries[:, 0], minlength=n_rows).cumsum()])
    X = sparse.csr_array((values[by_row], entries[by_row, 1], offsets), (n_rows, 6))
    dense = np.zeros((n_rows, 6))
    np.add.at(dense, tuple(entries.T), values)
    mean, scale = np.zeros(6), rng.uniform(0.5, 2, 6)
    mean[columns] = rng.uniform(1, 9, n_centred)
    out = np.empty((n_rows, 6))
    sparse_rows(X).standardized(np.dtype(np.float64), mean, scale).densify(out)
    np.testing.assert_allclose(out, (dense - mean) * scale, rtol=1e-5 if dtype == "f4" else 1e-12, atol=1e-9)
