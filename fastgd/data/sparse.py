"""Sparse matrices as data sets, told by what they have: SciPy is not imported."""

import os
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastgd.data import checks
from fastgd.data.arrays import ArrayDataset
from fastgd.data.block import Block, read_only, take_rows
from fastgd.data.sparse_rows import SparseRows
from fastgd.errors import warn


class SparseDataset(ArrayDataset):
    """Rows of a sparse matrix and dense targets; entries are read where they lie, in their own dtype.

    Parameters
    ----------
    X : sparse matrix or array of SciPy's, of shape (n_samples, n_features)
        In CSR format, with values of any real dtype and int32 or int64 indices, sorted or not. Entries of one place add
        up, and rows may have none. Other formats are converted to CSR, which copies them whole: a UsageWarning says so.
        Where each row begins and ends is kept in 8 bytes more for each row.
    y, sample_weight : as for `ArrayDataset`

    Raises
    ------
    ValueError, TypeError
        For wrong shapes, unequal lengths, no rows, indices out of range, or values that are no real numbers.

    Examples
    --------
    >>> import fastgd as gd
    >>> from scipy import sparse
    >>> data = gd.data.SparseDataset(sparse.csr_array([[0, 2.0], [0, 0], [1, 0]]), [1, 0, 1])
    >>> data.n_samples, data.n_features, data.entries_per_row
    (3, 2, 0.6666666666666666)
    """

    def __init__(self, X: Any, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None) -> None:
        self.X: SparseRows = sparse_rows(X)
        self.n_samples, self.n_features = self.X.shape
        self.y = np.empty((self.n_samples, 0), np.float32) if y is None else checks.targets(y, self.n_samples)
        self.n_outputs = self.y.shape[1]
        self.sample_weight = checks.sample_weights(sample_weight, self.n_samples)
        self.has_sample_weight = self.sample_weight is not None
        self.dtype = checks.floating_dtype(self.X.dtype)
        self.entries_per_row = self.X.n_entries / self.n_samples
        self._is_mapped, self._maps = False, None

    def read(self, rows: slice | np.ndarray, out: Block) -> None:
        """Densify the rows, which are some of a block's."""
        self.X[rows].densify(out.X)
        take_rows(self.y, rows, out=out.y)
        if self.sample_weight is not None:
            take_rows(self.sample_weight, rows, out=out.sample_weight)

    def view(self, dtype: np.dtype, any_dtype: bool = False) -> Block:
        """The rows themselves, with SparseRows for X."""
        weight = np.empty(0, dtype) if self.sample_weight is None else self.sample_weight
        return Block(self.X.counting_as(dtype), read_only(self.y), read_only(weight))

    @property
    def row_bytes(self) -> int:
        """The mean size of a row's entries."""
        return self.X.row_bytes

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Not for sparse rows: a TypeError that says what is."""
        raise TypeError("the rows are sparse; expected the matrix itself, or X.toarray() where it fits into memory")

    def save(self, folder: str | os.PathLike) -> None:
        """Not for sparse rows: a TypeError that says what is."""
        raise TypeError("the rows are sparse, and a folder of .npy files is dense; expected scipy.sparse.save_npz")


def is_sparse(X: Any) -> bool:
    """Whether X is a sparse matrix of some format."""
    return isinstance(getattr(X, "format", None), str) and hasattr(X, "tocsr") and hasattr(X, "shape")


def as_csr(X: Any, name: str = "X") -> Any:
    """A sparse matrix in CSR format: as it is, or copied, with a warning."""
    if X.format == "csr":
        return X
    warn(f"{name} is a {X.format} matrix, which was copied to CSR format; expected {name}.tocsr(), made once")
    return X.tocsr()


def sparse_rows(X: Any, name: str = "X") -> SparseRows:
    """The rows of a sparse matrix, checked: as `SparseDataset` says."""
    if len(X.shape) != 2 or 0 in X.shape:
        raise ValueError(f"{name} has shape {tuple(X.shape)}; expected (n_samples, n_features) with at least one row")
    if np.dtype(X.dtype).kind not in "fiub":
        raise TypeError(f"{name} has dtype {X.dtype}; expected real numbers (floats, integers or booleans)")
    X = as_csr(X, name)
    n_rows, n_columns = map(int, X.shape)
    offsets = np.ascontiguousarray(X.indptr, np.int64)
    indices, values = _loadable(X.indices, np.int64, f"{name}.indices"), _loadable(X.data, np.float64, f"{name}.data")
    if len(offsets) != n_rows + 1 or offsets[0] < 0 or (offsets[1:] < offsets[:-1]).any():
        raise ValueError(
            f"{name}.indptr is not a non-decreasing array of {n_rows + 1} numbers; expected a valid CSR matrix"
        )
    if offsets[-1] > min(len(indices), len(values)):
        raise ValueError(
            f"{name}.indptr ends with {offsets[-1]}, and there are {len(indices)} indices and {len(values)} values; "
            "expected as many"
        )
    used = indices[offsets[0] : offsets[-1]]
    # Unsigned, what is negative is larger than any column.
    if len(used) and used.view(f"u{used.itemsize}").max() >= n_columns:
        place = int(offsets[0]) + int(np.flatnonzero((used < 0) | (used >= n_columns))[0])
        row = int(np.searchsorted(offsets, place, side="right")) - 1
        raise ValueError(
            f"{name}.indices holds {indices[place]} in row {row}; expected columns from 0 to {n_columns - 1}"
        )
    return SparseRows(*map(read_only, (offsets[:-1], offsets[1:], indices, values)), n_columns)


def _loadable(array: np.ndarray, otherwise: type, name: str) -> np.ndarray:
    """An array as kernels can load it: as it is, or copied, with a warning."""
    array = np.asarray(array)
    kinds = (
        ("i4", "i8") if otherwise is np.int64 else ("f4", "f8", "b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8")
    )
    if array.dtype.str[1:] in kinds and array.dtype.isnative and array.flags.c_contiguous and array.flags.aligned:
        return array
    names = ", ".join(np.dtype(kind).name for kind in kinds)
    warn(f"{name} is of dtype {array.dtype}, and was copied as {np.dtype(otherwise)}; expected one of {names}")
    return np.ascontiguousarray(array, otherwise)
