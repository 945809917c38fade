"""Rows that lie column by column, and become rows where they are needed."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from fastgd.kernels import COLUMNS_SCRATCH, ColumnKind, columns_to_rows


class Column(NamedTuple):
    """A column in memory.

    address : int          kind : what lies there          begin : which of the numbers there is the first row's
    owner : what keeps the memory
    """

    address: int
    kind: ColumnKind
    begin: int
    owner: Any


#: The code of a row in which none of them is one.
NO_CATEGORY = -1


class Codes(NamedTuple):
    """A column that stands for several of zeros and ones.

    codes : (n_rows,) integers, which of them is one, or `NO_CATEGORY`          width : int, how many they are
    """

    codes: np.ndarray
    width: int


class ColumnRows:
    """Columns that are read as a matrix: sliced by rows without a copy, and written into arrays row by row.

    Parameters
    ----------
    parts : sequence of Column, Codes, or array of shape (n_rows, n_columns)
        What stands beside each other in a row.
    n_rows : int
    dtype : numpy dtype, what `np.asarray` makes of it
    """

    ndim = 2

    def __init__(self, parts: Sequence[Column | Codes | np.ndarray], n_rows: int, dtype: DTypeLike) -> None:
        self.dtype = np.dtype(dtype)
        self._start, self._stop = 0, n_rows
        self._runs: list[_Run] = []
        # The other parts, and the column that each begins with.
        self._others: list[tuple[int, Codes | np.ndarray]] = []
        column, run = 0, []
        for part in parts:
            if isinstance(part, Column):
                run.append(part)
                continue
            self._add_run(column, run)
            column, run = column + len(run), []
            self._others.append((column, part))
            column += part.width if isinstance(part, Codes) else part.shape[1]
        self._add_run(column, run)
        self._width = column + len(run)

    def _add_run(self, first: int, columns: list[Column]) -> None:
        if columns:
            self._runs.append(_Run.of(first, columns))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return len(self), self._width

    def __len__(self) -> int:
        return self._stop - self._start

    def __getitem__(self, rows: Any) -> Any:
        """Consecutive rows as they lie; any others as an array."""
        if not (isinstance(rows, slice) and rows.step in (None, 1)):
            return np.asarray(self)[rows]
        start, stop, _ = rows.indices(len(self))
        view = object.__new__(ColumnRows)
        view.__dict__.update(self.__dict__)
        view._start, view._stop = self._start + start, self._start + max(start, stop)
        return view

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("columns become rows by being copied; expected copy=None or True")
        out = np.empty(self.shape, self.dtype)
        self.write(out)
        return out if dtype is None else out.astype(dtype, copy=False)

    def write(self, out: np.ndarray) -> None:
        """Overwrite a matrix of this shape, each number rounded once to its dtype."""
        if out.dtype.char not in "fd" or not out.flags.c_contiguous:
            out[...] = np.asarray(self)
            return
        scratch = np.empty(COLUMNS_SCRATCH, out.dtype)
        for first, addresses, kinds, begins, _ in self._runs:
            columns_to_rows(addresses, kinds, begins + self._start, first, scratch, out)
        for first, part in self._others:
            if isinstance(part, Codes):
                out[:, first : first + part.width] = 0
                codes = part.codes[self._start : self._stop]
                rows = np.flatnonzero(codes != NO_CATEGORY)
                out[rows, first + codes[rows]] = 1
            else:
                out[:, first : first + part.shape[1]] = part[self._start : self._stop]


class _Run(NamedTuple):
    """Columns that stand beside each other, as `columns_to_rows` takes them.

    first : int, the column of the first          owners : what keeps their memory
    """

    first: int
    addresses: np.ndarray
    kinds: np.ndarray
    begins: np.ndarray
    owners: list[Any]

    @classmethod
    def of(cls, first: int, columns: list[Column]) -> "_Run":
        addresses, kinds, begins, owners = zip(*columns, strict=True)
        return cls(first, *(np.array(part, np.int64) for part in (addresses, kinds, begins)), list(owners))
