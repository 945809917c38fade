"""Rows of a sparse matrix where they lie, as blocks hold them in place of a dense X."""

from typing import Any, Self

import numpy as np

from fastgd import kernels


class SparseRows:
    """Some rows of a matrix in compressed sparse row format (CSR), whose entries are neither copied nor converted.

    begin, end : (n_rows,) int64, each row's entries
    indices : (n_entries,) int32 or int64, their columns
    values : (n_entries,), of any real dtype that kernels can load; all of these read-only
    n_columns : int
    dtype : what entries count as, by default the dtype of the values
    scale : (n_columns,) float64, what the columns count times, or None

    Attributes
    ----------
    shape : pair of int
    """

    def __init__(
        self,
        begin: np.ndarray,
        end: np.ndarray,
        indices: np.ndarray,
        values: np.ndarray,
        n_columns: int,
        dtype: np.dtype | None = None,
        scale: np.ndarray | None = None,
    ) -> None:
        self._begin, self._end = begin, end
        self._indices, self._values = indices, values
        self._scale = scale
        self.shape = len(begin), n_columns
        self.dtype = values.dtype if dtype is None else dtype

    @property
    def csr(self) -> kernels.CSR:
        """The rows as the kernels take them."""
        values = self._values.view(np.uint8) if self._values.dtype == np.bool_ else self._values
        scaling = kernels.Unscaled() if self._scale is None else kernels.Scaled(self._scale)
        return kernels.CSR(self._begin, self._end, self._indices, values, scaling)

    @property
    def lengths(self) -> np.ndarray:
        """How many entries each row has, (n_rows,) int64."""
        return self._end - self._begin

    @property
    def n_entries(self) -> int:
        """How many entries the rows have together."""
        return int((self._end - self._begin).sum())

    @property
    def row_bytes(self) -> int:
        """The mean size of a row's entries, with their columns, and of where they begin and end."""
        entries = self.n_entries * (self._values.itemsize + self._indices.itemsize)
        return 2 * self._begin.itemsize + entries // max(len(self), 1)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice | np.ndarray) -> Self:
        """Some of the rows, by a slice or (n_rows,) indices."""
        return self._with(read_only(self._begin[rows]), read_only(self._end[rows]), self._indices, self._values)

    def _with(self, begin: np.ndarray, end: np.ndarray, indices: np.ndarray, values: np.ndarray) -> Self:
        return type(self)(begin, end, indices, values, self.shape[1], self.dtype, self._scale)

    def counting_as(self, dtype: np.dtype, scale: np.ndarray | None = None) -> Self:
        """The same rows in another dtype, of which each column counts times its scale."""
        scale = None if scale is None else read_only(np.ascontiguousarray(scale, np.float64))
        return type(self)(self._begin, self._end, self._indices, self._values, self.shape[1], dtype, scale)

    def astype(self, dtype: np.dtype, copy: bool = True) -> Self:
        """The rows with a copy of their entries, scaled and in a dtype; without a copy, they only count as that."""
        if not copy:
            return self.counting_as(dtype, self._scale)
        indices, values = map(read_only, self.counting_as(dtype, self._scale).entries())
        end = np.cumsum(self._end - self._begin)
        begin = end - (self._end - self._begin)
        return type(self)(read_only(begin), read_only(end), indices, values, self.shape[1])

    def with_dtypes(self, indices: np.dtype, values: np.dtype) -> Self:
        """The rows with columns and values of wider dtypes, or of the same."""
        columns = self._indices.astype(indices, copy=False)
        entries = self._values.astype(values, copy=False)
        return type(self)(self._begin, self._end, read_only(columns), read_only(entries), self.shape[1])

    def entries(self) -> tuple[np.ndarray, np.ndarray]:
        """The columns of all entries and what these count as, row by row: copies."""
        n_entries = self.n_entries
        indices, values = np.empty(n_entries, self._indices.dtype), np.empty(n_entries, self.dtype)
        kernels.compact_rows(self.csr, indices, values)
        return indices, values

    def densify(self, out: np.ndarray) -> None:
        """out = the rows, in the dtype of out, (n_rows, n_columns) and C-contiguous."""
        kernels.densify_rows(self.csr, out)

    def all_finite(self) -> bool:
        """Whether no entry counts as NaN or infinity."""
        if self._values.dtype.kind != "f" and self._scale is None:
            return True
        return bool(kernels.csr_is_finite(self.csr, self.dtype.type(0)))

    def first_not_finite(self) -> tuple[int, int, Any] | None:
        """Row, column and value of the first entry that counts as NaN or infinity."""
        indices, values = self.entries()
        bad = np.flatnonzero(~np.isfinite(values))
        if not len(bad):
            return None
        row = int(np.searchsorted(np.cumsum(self._end - self._begin), bad[0], side="right"))
        return row, int(indices[bad[0]]), values[bad[0]]

    def largest(self) -> float:
        """The largest size of an entry; zero where there are none."""
        return float(np.abs(self.entries()[1]).max(initial=0))


def read_only(array: np.ndarray) -> np.ndarray:
    """A read-only view: the kernels are compiled for these alone, whether or not the caller's own array is writable."""
    view = array.view()
    view.flags.writeable = False
    return view
