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
    places : (n_columns,) int64, of each column that is centred among these, or -1; None where none is

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
        places: np.ndarray | None = None,
    ) -> None:
        self._begin, self._end = begin, end
        self._indices, self._values = indices, values
        self._scaling, self._places = scaling, places
        self.shape = len(begin), n_columns
        self.dtype = values.dtype if dtype is None else dtype

    @property
    def csr(self) -> kernels.CSR:
        """The rows as the kernels take them: a copy where some lack an entry of a column that is centred."""
        rows = self._whole()
        values = rows._values.view(np.uint8) if rows._values.dtype == np.bool_ else rows._values
        return kernels.CSR(rows._begin, rows._end, rows._indices, values, rows._scaling)

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
        begin, end = read_only(self._begin[rows]), read_only(self._end[rows])
        indices, values = self._indices, self._values
        return type(self)(begin, end, indices, values, self.shape[1], self.dtype, self._scaling, self._places)

    def counting_as(self, dtype: np.dtype) -> Self:
        """The same rows in another dtype, as they are given."""
        return type(self)(self._begin, self._end, self._indices, self._values, self.shape[1], dtype)

    def standardized(self, dtype: np.dtype, mean: np.ndarray, scale: np.ndarray) -> Self:
        """The same rows in another dtype, of which each column counts (x - mean) · scale, both (n_columns,) float64."""
        scaling, places = kernels.Scaled(read_only(np.ascontiguousarray(scale, np.float64))), None
        centred = np.flatnonzero(mean)
        if len(centred):
            scaling = kernels.Standardized(read_only(np.stack([mean, scale], axis=1).ravel()))
            places = np.full(self.shape[1], -1)
            places[centred] = np.arange(len(centred))
        begin, end, indices, values = self._begin, self._end, self._indices, self._values
        return type(self)(begin, end, indices, values, self.shape[1], dtype, scaling, places)

    def _whole(self) -> Self:
        """The rows with one entry in each column that is centred: a copy, unless they have it."""
        if self._places is None:
            return self
        begin, end, indices, values = self._begin, self._end, self._indices, self._values
        given = type(self)(begin, end, indices, values, self.shape[1])
        centred = np.flatnonzero(self._places >= 0)
        if not kernels.csr_has_one_entry_each(given.csr, read_only(self._places), np.empty(len(centred), np.int64)):
            begin, end, indices, values = given._with_sums(self._places, centred)
        return type(self)(begin, end, indices, values, self.shape[1], self.dtype, self._scaling)

    def _with_sums(self, places: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, ...]:
        """begin, end, indices and values of rows whose entries in some columns are added up, or zeros."""
        n_rows = len(self)
        # What adds up may be more than a small integer holds.
        exact = self.dtype if self.dtype.kind == "f" else np.dtype(np.float64)
        indices, values = self.counting_as(exact).entries()
        row_of = np.repeat(np.arange(n_rows), self.lengths)
        is_other = places[indices] < 0
        sums = self.dense_columns(columns, exact)
        order = np.argsort(
            np.concatenate([row_of[is_other], np.repeat(np.arange(n_rows), len(columns))]), kind="stable"
        )
        indices = np.concatenate([indices[is_other], np.tile(columns.astype(indices.dtype), n_rows)])[order]
        values = np.concatenate([values[is_other], sums.ravel()])[order]
        lengths = np.bincount(row_of[is_other], minlength=n_rows) + len(columns)
        end = np.cumsum(lengths)
        return tuple(map(read_only, (end - lengths, end, indices, values)))

    def dense_columns(self, columns: np.ndarray, dtype: np.dtype) -> np.ndarray:
        """Some columns, by their numbers, as they are given: (n_rows, n) of a floating-point dtype."""
        indices, values = self.counting_as(dtype).entries()
        places = np.full(self.shape[1], -1)
        places[columns] = np.arange(len(columns))
        place = places[indices]
        is_one = place >= 0
        dense = np.zeros((len(self), len(columns)), dtype)
        row_of = np.repeat(np.arange(len(self)), self.lengths)
        np.add.at(dense, (row_of[is_one], place[is_one]), values[is_one])
        return dense

    def astype(self, dtype: np.dtype, copy: bool = True) -> Self:
        """The rows with a copy of their entries, scaled and in a dtype; without a copy, they only count as that."""
        begin, end, indices, values = self._begin, self._end, self._indices, self._values
        rows = type(self)(begin, end, indices, values, self.shape[1], dtype, self._scaling, self._places)
        if not copy:
            return rows
        rows = rows._whole()
        end = np.cumsum(rows.lengths)
        return type(self)(*map(read_only, (end - rows.lengths, end, *rows.entries())), self.shape[1])

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
        rows = self._whole()
        indices, values = np.empty(rows.n_entries, rows._indices.dtype), np.empty(rows.n_entries, rows.dtype)
        kernels.compact_rows(rows.csr, indices, values)
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
        rows = self._whole()
        indices, values = rows.entries()
        bad = np.flatnonzero(~np.isfinite(values))
        if not len(bad):
            return None
        row = int(np.searchsorted(np.cumsum(rows.lengths), bad[0], side="right"))
        return row, int(indices[bad[0]]), values[bad[0]]

    def largest(self) -> float:
        """The largest size of an entry; zero where there are none."""
        return float(np.abs(self.entries()[1]).max(initial=0))


def read_only(array: np.ndarray) -> np.ndarray:
    """A read-only view: the kernels are compiled for these alone, whether or not the caller's own array is writable."""
    view = array.view()
    view.flags.writeable = False
    return view
