"""Rows of a sparse matrix where they lie, as blocks hold them in place of a dense X."""

from typing import Any, Self

import numpy as np

from fastgd import kernels

_UNSCALED = kernels.Unscaled()


class SparseRows:
    """Some rows of a matrix in compressed sparse row format (CSR), whose entries are neither copied nor converted.

    begin, end : (n_rows,) int64, each row's entries
    indices : (n_entries,) int32 or int64, their columns
    values : (n_entries,), of any real dtype that kernels can load; all of these read-only
    n_columns : int
    dtype : what entries count as, by default the dtype of the values
    scaling : by what columns are scaled, or standardised

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
        scaling: kernels.Unscaled | kernels.Scaled | kernels.Standardized = _UNSCALED,
    ) -> None:
        self._begin, self._end = begin, end
        self._indices, self._values = indices, values
        self._scaling = scaling
        self.shape = len(begin), n_columns
        self.dtype = values.dtype if dtype is None else dtype

    @property
    def csr(self) -> kernels.CSR:
        """The rows as the kernels take them."""
        values = self._values.view(np.uint8) if self._values.dtype == np.bool_ else self._values
        return kernels.CSR(self._begin, self._end, self._indices, values, self._scaling)

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
        return type(self)(begin, end, indices, values, self.shape[1], self.dtype, self._scaling)

    def counting_as(self, dtype: np.dtype) -> Self:
        """The same rows in another dtype, as they are given."""
        return type(self)(self._begin, self._end, self._indices, self._values, self.shape[1], dtype)

    def standardized(self, dtype: np.dtype, mean: np.ndarray, scale: np.ndarray) -> Self:
        """The same rows in another dtype, of which each column counts (x - mean) · scale, both (n_columns,) float64.

        Where a mean is not zero, every row needs one entry: they are copied, with these zeros, unless each has it.
        """
        rows, scaling = self, kernels.Scaled(read_only(np.ascontiguousarray(scale, np.float64)))
        columns = np.flatnonzero(mean)
        if len(columns):
            rows = self._with_one_entry_each(columns)
            scaling = kernels.Standardized(read_only(np.stack([mean, scale], axis=1).ravel()))
        return type(self)(rows._begin, rows._end, rows._indices, rows._values, self.shape[1], dtype, scaling)

    def _with_one_entry_each(self, columns: np.ndarray) -> Self:
        """Rows, as they are given, with one entry in each of some columns; the same, if they have it."""
        places = np.full(self.shape[1], -1)
        places[columns] = np.arange(len(columns))
        given = self.counting_as(self.dtype)
        if kernels.csr_has_one_entry_each(given.csr, read_only(places), np.empty(len(columns), np.int64)):
            return given
        # What adds up may be more than a small integer holds.
        exact = self._values.dtype if self._values.dtype.kind == "f" else np.dtype(np.float64)
        indices, values = given.counting_as(exact).entries()
        row_of = np.repeat(np.arange(len(self)), self.lengths)
        is_other = places[indices] < 0
        sums = np.zeros((len(self), len(columns)), values.dtype)
        np.add.at(sums, (row_of[~is_other], places[indices[~is_other]]), values[~is_other])
        of_all = np.concatenate([row_of[is_other], np.repeat(np.arange(len(self)), len(columns))])
        order = np.argsort(of_all, kind="stable")
        indices = np.concatenate([indices[is_other], np.tile(columns.astype(indices.dtype), len(self))])[order]
        values = np.concatenate([values[is_other], sums.ravel()])[order]
        lengths = np.bincount(row_of[is_other], minlength=len(self)) + len(columns)
        return self._of(lengths, indices, values)

    def _of(self, lengths: np.ndarray, indices: np.ndarray, values: np.ndarray) -> Self:
        """Rows of so many entries each, which lie one row after the other."""
        end = np.cumsum(lengths)
        return type(self)(*map(read_only, (end - lengths, end, indices, values)), self.shape[1])

    def astype(self, dtype: np.dtype, copy: bool = True) -> Self:
        """The rows with a copy of their entries, scaled and in a dtype; without a copy, they only count as that."""
        begin, end, columns, values = self._begin, self._end, self._indices, self._values
        rows = type(self)(begin, end, columns, values, self.shape[1], dtype, self._scaling)
        return self._of(self.lengths, *rows.entries()) if copy else rows

    def used_columns(self) -> np.ndarray:
        """The columns of which some row has an entry, in their order."""
        is_used = np.zeros(self.shape[1], np.bool_)
        kernels.mark_columns(self.csr, is_used)
        return np.flatnonzero(is_used)

    def with_columns(self, columns: np.ndarray) -> Self:
        """The rows, as they are given, of these columns alone, which are in their order and all that rows have."""
        places = np.full(self.shape[1], -1, self._indices.dtype)
        places[columns] = np.arange(len(columns))
        indices = read_only(places[self._indices])
        return type(self)(self._begin, self._end, indices, self._values, len(columns), self.dtype)

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
        if self._values.dtype.kind != "f" and isinstance(self._scaling, kernels.Unscaled):
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
