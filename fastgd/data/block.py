"""Blocks of rows: what they hold, how arrays fill them, and whether all that they hold is finite."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastgd.data.columnar.column_rows import ColumnRows
from fastgd.data.sparse_rows import SparseRows, read_only
from fastgd.kernels import (
    InOrder,
    Shuffled,
    ShuffledX,
    gather_rows,
    gather_rows_prefetching,
    standardize_rows,
)

if TYPE_CHECKING:
    from fastgd.data.base import Dataset, Stream

# With a limit, what is standardised is clipped smoothly.
MeanAndScale = tuple[np.ndarray, np.ndarray] | tuple[np.ndarray, np.ndarray, float]

# Of so few, a look at each takes less time than their sum and what guards it.
_FEW_NUMBERS = 1 << 14


class FileRow(int):
    """The number of a row, which errors call by its file.

    place : str
    """

    place: str

    @classmethod
    def of(cls, number: int, place: str) -> "FileRow":
        """Row so many of a file."""
        row = cls(number)
        row.place = place
        return row

    def __str__(self) -> str:
        return f"{int(self)} of {self.place}"


class Block(NamedTuple):
    """Consecutive rows of an epoch: C-contiguous, read-only, in the model's dtype but for X or y where asked otherwise.

    X : (n_samples, n_features), or SparseRows, whose entries lie as they are given          y : (n_samples, n_outputs)
    sample_weight : (n_samples,), or (0,) where every weight is one
    order : row by row, unless the block is of rows where they lie: then X, y and the weights are those of all rows, or
        X alone is
    """

    X: np.ndarray | SparseRows
    y: np.ndarray
    sample_weight: np.ndarray
    order: InOrder | Shuffled | ShuffledX = InOrder()

    @property
    def n_samples(self) -> int:
        """How many samples it holds."""
        return len(self.order.rows) if isinstance(self.order, Shuffled) else len(self.y)

    def rows(self, start: int, stop: int) -> "Block":
        """View of some of the samples."""
        if isinstance(self.order, InOrder):
            return Block(self.X[start:stop], self.y[start:stop], self.sample_weight[start:stop])
        order = type(self.order)(*(part[start:stop] for part in self.order))
        if isinstance(order, Shuffled):
            return self._replace(order=order)
        return Block(self.X, self.y[start:stop], self.sample_weight[start:stop], order)

    def in_order(self, array: np.ndarray) -> np.ndarray:
        """The samples' rows of y or the weights, one after the other."""
        return array[self.order.rows] if isinstance(self.order, Shuffled) and len(array) else array

    def in_rows(self) -> "Block":
        """The same samples row by row; of sparse rows, entries stay where they are."""
        if isinstance(self.order, InOrder):
            return self
        y, weights = (read_only(self.in_order(part)) for part in (self.y, self.sample_weight))
        return Block(self.X[self.order.rows], y, weights)

    def dense(self) -> "Block":
        """The same samples row by row, sparse rows made dense."""
        rows = self.in_rows()
        X = np.empty(rows.X.shape, rows.X.dtype)
        rows.X.densify(X)
        return rows._replace(X=read_only(X))

    def gathered(self, dtype: np.dtype) -> "Block":
        """The same samples row by row, with X in a dtype."""
        rows = self.in_rows()
        with np.errstate(over="ignore", invalid="ignore"):
            return rows._replace(X=rows.X.astype(dtype, copy=False))


def allocate(
    dataset: "Dataset | Stream",
    n_rows: int,
    dtype: np.dtype,
    X_dtype: np.dtype | None = None,
    y_dtype: np.dtype | None = None,
) -> Block:
    """A writable block for some rows of a data set; X_dtype and y_dtype are those of X and y, where they differ."""
    return Block(
        np.empty((n_rows, dataset.n_features), X_dtype or dtype),
        np.empty((n_rows, dataset.n_outputs), y_dtype or dtype),
        np.empty(n_rows if dataset.has_sample_weight else 0, dtype),
    )


def take_rows(
    source: np.ndarray | ColumnRows,
    rows: slice | np.ndarray,
    prefetch_rows: np.ndarray | None = None,
    *,
    out: np.ndarray,
) -> None:
    """out[:] = source[rows], converted. What float32 cannot hold becomes infinite, and is found as such.

    prefetch_rows : for each row, one that is needed long after, to prefetch
    """
    with np.errstate(over="ignore", invalid="ignore"):
        if isinstance(source, ColumnRows):
            source[rows].write(out)
        elif isinstance(rows, slice):
            out[...] = source[rows]
        elif source.dtype.isnative and source.flags.aligned and source.dtype.char not in "eg":
            matrix = read_only(source.reshape(len(source), -1) if source.ndim == 1 else source)
            out = out.reshape(len(out), -1)
            if prefetch_rows is not None and source.flags.c_contiguous:
                gather_rows_prefetching(matrix, rows, prefetch_rows, out)
            else:
                gather_rows(matrix, rows, out)
        else:
            # Numba knows neither half precision nor foreign byte orders.
            out[...] = source[rows]


def take_targets(
    source: np.ndarray,
    rows: slice | np.ndarray,
    prefetch_rows: np.ndarray | None = None,
    *,
    mean_and_scale: MeanAndScale | None,
    out: np.ndarray,
) -> None:
    """As `take_rows`, but (source - mean) · scale, in float64 from the source's own dtype."""
    if mean_and_scale is None:
        take_rows(source, rows, prefetch_rows, out=out)
        return
    exact = np.empty(out.shape)
    take_rows(source, rows, prefetch_rows, out=exact)
    standardize_rows(exact, *mean_and_scale, out)


def all_finite(array: np.ndarray | SparseRows) -> bool:
    """Whether no element is NaN or infinite."""
    if isinstance(array, SparseRows):
        return array.all_finite()
    if array.size <= 1:
        return array.size == 0 or math.isfinite(array.item())
    if array.size <= _FEW_NUMBERS:
        return bool(np.isfinite(array).all())
    # A finite sum has finite terms, and costs a fraction of a look at each. Where it is not, it may have overflowed.
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(array.sum()) or np.isfinite(array).all())


def require_finite(block: Block, row_of: Callable[[int], int] = int) -> None:
    """Raise a ValueError that names the first row of a block with a NaN, an infinity or a negative weight.

    row_of : callable
        Turns a row of the block into a row of the data set.
    """
    for name, array in zip(Block._fields, block[:3], strict=False):
        if all_finite(array):
            continue
        bad = _first_not_finite(array)
        if bad is not None:
            row, column, value = bad
            place = f"row {row_of(row)}" + (f", column {column}" if array.shape[1:] > (1,) else "")
            raise ValueError(f"{name} holds {value} (as {array.dtype}) in {place}; expected finite numbers")
    negative = np.flatnonzero(block.sample_weight < 0)
    if len(negative):
        value = block.sample_weight[negative[0]]
        raise ValueError(f"sample_weight holds {value} in row {row_of(int(negative[0]))}; expected at least 0")


def _first_not_finite(array: np.ndarray | SparseRows) -> tuple[int, int, Any] | None:
    """Row, column and value of the first element that is NaN or infinite."""
    if isinstance(array, SparseRows):
        return array.first_not_finite()
    bad = np.argwhere(~np.isfinite(array))
    return (int(bad[0][0]), int(bad[0][-1]), array[tuple(bad[0])]) if len(bad) else None
