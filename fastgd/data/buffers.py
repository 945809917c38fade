"""Memory that blocks are made in, and what is made there of rows as they are given."""

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fastgd.data.block import Block, MeanAndScale, read_only
from fastgd.data.sparse_rows import SparseRows
from fastgd.kernels import standardize_rows, standardize_rows_robustly

if TYPE_CHECKING:
    from fastgd.data.base import Dataset, Stream

# Large arrays begin at a boundary of large pages, which systems use for them where they can: fewer page faults.
_HUGE_PAGE = 2 << 20


class Conversion(NamedTuple):
    """What rows become in a block.

    dtype : numpy dtype
    mean_and_scale : pair of (n_features,) float64 arrays, and perhaps a limit, or None
        Features become (x - mean) · scale.
    mean_and_scale_of_y : pair of (n_outputs,) float64 arrays, or None
        Targets become (y - mean) · scale.
    y_dtype : numpy dtype, or None
        That of y, where it differs.
    """

    dtype: np.dtype
    mean_and_scale: MeanAndScale | None = None
    mean_and_scale_of_y: MeanAndScale | None = None
    y_dtype: np.dtype | None = None

    def row_bytes(self, source: "Dataset | Stream") -> int:
        """The size of a row's features while they are copied; where they are sparse, they are not."""
        if source.is_sparse:
            return source.row_bytes
        return source.n_features * (self.dtype if self.mean_and_scale is None else source.dtype).itemsize

    @property
    def dtype_of_y(self) -> np.dtype:
        """The dtype of y in a block."""
        return self.y_dtype or self.dtype


def empty(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """An array that begins with a huge page where it is large."""
    n_bytes = math.prod(shape) * dtype.itemsize
    if n_bytes < _HUGE_PAGE:
        return np.empty(shape, dtype)
    memory = np.empty(n_bytes + _HUGE_PAGE, np.uint8)
    begin = -memory.ctypes.data % _HUGE_PAGE
    return memory[begin : begin + n_bytes].view(dtype).reshape(shape)


class Buffers:
    """Memory for one block of at most `n_rows` rows.

    rows : Block, writable
        The rows as they are given: what is standardised, in a dtype that holds it exactly.
    beside : Buffers, optional
        Others that the same thread fills: what is standardised at once need not last, and is read into one place.
    """

    def __init__(
        self, dataset: "Dataset | Stream", n_rows: int, conversion: Conversion, beside: "Buffers | None" = None
    ) -> None:
        self._conversion = conversion
        dtype, of_X, of_y, _ = conversion
        # A float32 may not hold a mean far from zero exactly, and neither the mean of targets nor their scale.
        X_dtype = dtype if of_X is None else dataset.dtype
        y_dtype = conversion.dtype_of_y if of_y is None else np.dtype(np.float64)
        n_features = 0 if dataset.is_sparse else dataset.n_features
        has_X, has_y = beside is not None and of_X is not None, beside is not None and of_y is not None
        self.rows = Block(
            beside.rows.X if has_X else empty((n_rows, n_features), X_dtype),
            beside.rows.y if has_y else empty((n_rows, dataset.n_outputs), y_dtype),
            empty((n_rows if dataset.has_sample_weight else 0,), dtype),
        )
        self._X = None if of_X is None else empty((n_rows, n_features), dtype)
        self._y = None if of_y is None else empty((n_rows, dataset.n_outputs), conversion.dtype_of_y)

    def block(self, rows: Block) -> Block:
        """The first of the rows, as `rows.rows(0, n_rows)` gives them, converted."""
        X, y, sample_weight, _ = rows
        n_rows = len(X)
        _, of_X, of_y, _ = self._conversion
        if isinstance(X, SparseRows):
            dtype = self._conversion.dtype
            X = X.counting_as(dtype) if of_X is None else X.standardized(dtype, *of_X)
        elif of_X is not None:
            mean, scale, *limit = of_X
            given, X = X, self._X[:n_rows]
            if limit:
                standardize_rows_robustly(given, mean, scale, limit[0], X)
            else:
                standardize_rows(given, mean, scale, X)
        if of_y is not None:
            given, y = y, self._y[:n_rows]
            standardize_rows(given, *of_y, y)
        return Block(X if isinstance(X, SparseRows) else read_only(X), read_only(y), read_only(sample_weight))
