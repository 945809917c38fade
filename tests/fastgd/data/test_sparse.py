"""Sparse matrices as data sets."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from sparse_cases import csr

import fastgd as gd
from fastgd.data.as_dataset import array_dataset
from fastgd.data.sparse import SparseDataset, sparse_rows
from fastgd.data.subset import Subset
from fastgd.model_data import reader_of


def _dense(rows, dtype="float64"):
    out = np.empty(rows.shape, dtype)
    rows.densify(out)
    return out


@given(st.integers(0, 2**16), st.sampled_from(["float32", "float64", "int8", "uint16", "int64"]), st.booleans())
def test_rows_are_those_of_the_matrix(seed, dtype, is_long):
    X, dense = csr(20, 7, seed, dtype, "int64" if is_long else "int32")
    rows = sparse_rows(X)
    np.testing.assert_array_equal(_dense(rows), dense)
    picked = np.random.default_rng(seed).integers(0, 20, 9)
    np.testing.assert_array_equal(_dense(rows[picked]), dense[picked])
    np.testing.assert_array_equal(_dense(rows[3:11][picked % 8]), dense[3:11][picked % 8])
    np.testing.assert_array_equal(_dense(rows[picked].astype(np.dtype("float32"))), dense[picked])


def test_entries_are_neither_copied_nor_converted():
    X, _ = csr(20, 7, dtype="int16")
    given_to_kernels = sparse_rows(X)[np.array([3, 1])].csr
    assert np.shares_memory(given_to_kernels.values, X.data)
    assert np.shares_memory(given_to_kernels.indices, X.indices)


def test_booleans_count_as_numbers():
    X = sparse.csr_array(np.array([[True, False], [False, True]]))
    np.testing.assert_array_equal(_dense(sparse_rows(X)), np.eye(2))


def test_a_subset_is_sparse_and_has_its_own_rows():
    X, dense = csr(20, 7)
    y = np.arange(20.0)
    subset = Subset(Subset(SparseDataset(X, y, y + 1), np.arange(4, 14)), np.array([5, 2, 2]))
    view = subset.view(np.dtype("float64"))
    np.testing.assert_array_equal(_dense(view.X), dense[[9, 6, 6]])
    np.testing.assert_array_equal(view.y[:, 0], [9, 6, 6])
    np.testing.assert_array_equal(view.sample_weight, [10, 7, 7])
    assert subset.is_sparse
    assert subset.row_number(1) == 6


def test_blocks_are_sparse_in_any_order():
    X, dense = csr(50, 7)
    model = gd.Model([gd.Linear(7, 1)], dtype="float64")
    reader = reader_of(model, SparseDataset(X, np.arange(50)), 5)
    rows = np.concatenate([_dense(part.block.X) for part in reader.parts()])
    np.testing.assert_array_equal(rows, dense)


@pytest.mark.parametrize("kind", [sparse.csc_array, sparse.coo_matrix, sparse.lil_array])
def test_other_formats_are_converted_with_a_warning(kind):
    _, dense = csr(20, 7)
    with pytest.warns(
        gd.UsageWarning, match=r"X is a \w+ matrix, which was copied to CSR format; expected X.tocsr"
    ) as w:
        rows = sparse_rows(kind(dense))
    assert len(w) == 1
    assert w[0].filename == __file__
    np.testing.assert_array_equal(_dense(rows), dense)


@pytest.mark.parametrize("kind", [sparse.csr_array, sparse.csr_matrix])
def test_csr_is_taken_without_a_word(kind):
    X, dense = csr(20, 7, kind=kind)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dataset = array_dataset(X)
    assert isinstance(dataset, SparseDataset)
    assert (dataset.n_samples, dataset.n_features, dataset.n_outputs) == (20, 7, 0)
    np.testing.assert_array_equal(_dense(dataset.X), dense)


def test_values_that_no_kernel_loads_are_copied_with_a_warning():
    X, dense = csr(20, 7)
    X.data = X.data.astype(np.longdouble)
    with pytest.warns(gd.UsageWarning, match="X.data is of dtype .*, and was copied as float64; .* float32, f"):
        rows = sparse_rows(X)
    np.testing.assert_array_equal(_dense(rows), dense)


def _damaged(**changes):
    X = sparse.csr_array(np.eye(3))
    for name, value in changes.items():
        setattr(X, name, np.asarray(value))
    return X


BAD = {
    "a column that is not there": (_damaged(indices=[0, 3, 2]), r"X.indices holds 3 in row 1; expected .* 0 to 2"),
    "a negative column": (_damaged(indices=[0, 1, -1]), r"X.indices holds -1 in row 2"),
    "offsets that fall": (_damaged(indptr=[0, 2, 1, 3]), "X.indptr is not a non-decreasing array of 4 numbers"),
    "too many entries": (_damaged(indptr=[0, 1, 2, 4]), "X.indptr ends with 4, and there are 3 indices and 3 values"),
    "no rows": (sparse.csr_array((0, 3)), r"X has shape \(0, 3\); expected"),
}


@pytest.mark.parametrize("case", BAD)
def test_matrices_that_are_damaged(case):
    X, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        sparse_rows(X)


def test_complex_numbers_are_refused():
    with pytest.raises(TypeError, match="X has dtype complex128; expected real numbers"):
        sparse_rows(sparse.csr_array(np.eye(2) * 1j))


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_values_that_are_not_finite_are_named(value):
    X, _ = csr(20, 7)
    row = int(np.flatnonzero(np.diff(X.indptr))[8])
    X.data[X.indptr[row]] = value
    column = X.indices[X.indptr[row]]
    model = gd.Model([gd.Linear(7, 1)], seed=1)
    message = rf"X holds (nan|inf) \(as float32\) in row {row}, column {column}; expected finite numbers"
    y = np.zeros(20)
    for call in (
        lambda: gd.Trainer(model).fit(X, y),
        lambda: gd.Trainer(model, shuffle=True, batch_size=4).fit(X, y),
        lambda: model.loss(X, y),
        lambda: model.loss_and_gradient(X, y),
        lambda: gd.Trainer(model).step(X, y),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_dense_rows_are_not_made_of_all_of_it(tmp_path):
    dataset = SparseDataset(csr(20, 7)[0], np.zeros(20))
    with pytest.raises(TypeError, match=r"the rows are sparse; expected the matrix itself, or X.toarray"):
        dataset.arrays()
    with pytest.raises(TypeError, match=r"expected scipy.sparse.save_npz"):
        dataset.save(tmp_path)
