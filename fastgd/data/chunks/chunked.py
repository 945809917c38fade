"""Rows that are read from files chunk by chunk, in order or shuffled, of which few are in memory at once."""

import threading
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Protocol

import numpy as np

from fastgd.data import checks
from fastgd.data.base import Dataset
from fastgd.data.block import Block, MeanAndScale, read_only, take_rows, take_targets
from fastgd.data.chunks.chunk_shuffle import MOST_WINDOW_ROWS, WINDOW_BYTES
from fastgd.data.chunks.held_rows import HeldRows

# A disk takes about as long to find a chunk of so many bytes as to read it, or less.
_CHUNK_BYTES = 1 << 20
# Rows are fetched into the cache this many before they are copied.
_ROWS_AHEAD = 16
# Targets are taken so many rows at a time, and so few one by one.
_TARGET_ROWS, _FEW_ROWS = 1 << 16, 1 << 8


class RowSource(Protocol):
    """What rows of X, y or the weights are read from.

    shape : tuple of int, (n_rows, n_columns), or (n_rows,) for weights
    dtype : numpy dtype, of real numbers
    gap_bytes : int, how much is better read for nothing than left out by another read
    reads_in_parallel : bool, whether several threads may call `read` at once
    """

    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def gap_bytes(self) -> int:
        """As above."""
        ...

    @property
    def reads_in_parallel(self) -> bool:
        """As above."""
        ...

    def row_number(self, row: int) -> int:
        """What errors call a row."""
        ...

    def require_unchanged(self) -> None:
        """Raise an error that names a file which is not as it was opened."""
        ...

    def read(self, start: int, stop: int, out: np.ndarray) -> None:
        """out[:] = rows start to stop, converted; errors say which rows of which file could not be read."""
        ...


class ChunkedDataset(Dataset):
    """Rows of files or of other sources that are read in parts.

    In order they are read block by block. An epoch that is shuffled takes them by `ChunkShuffle`, in windows of 64 MB,
    2^20 rows or one chunk, whichever is least but for the last; two and a half of these are held in memory.

    Parameters
    ----------
    X : RowSource of shape (n_samples, n_features)
    y : RowSource of shape (n_samples, n_outputs), or None
    sample_weight : RowSource of shape (n_samples,), or None
    starts : (n_chunks,) int64
        The first row of each chunk, rising from 0.
    feature_names : sequence of str, optional

    Raises
    ------
    ValueError
        For unequal lengths, or no rows.
    """

    takes_targets_by_index = True

    def __init__(
        self,
        X: RowSource,
        y: RowSource | None,
        sample_weight: RowSource | None,
        starts: np.ndarray,
        feature_names: Sequence[str] | None = None,
    ) -> None:
        self.n_samples, self.n_features = X.shape
        if self.n_samples == 0:
            raise ValueError("there are no rows; expected at least one")
        for name, part in (("y", y), ("sample_weight", sample_weight)):
            if part is not None and part.shape[0] != self.n_samples:
                raise ValueError(f"{name} has {part.shape[0]} rows and X has {self.n_samples}; expected as many")
        self._X, self._y, self._sample_weight = X, y, sample_weight
        self.n_outputs = 0 if y is None else y.shape[1]
        self.has_sample_weight = sample_weight is not None
        self.dtype = checks.floating_dtype(X.dtype)
        self.feature_names = feature_names
        self.starts = starts
        self.window_rows = min(max(WINDOW_BYTES // self.row_bytes, 1), MOST_WINDOW_ROWS)
        self._gap_rows = max(X.gap_bytes // self.row_bytes, 1)
        self._held: HeldRows | None = None
        self._holding = threading.Lock()
        parts = [part for part in (X, y, sample_weight) if part is not None]
        self.reads_in_parallel = self.finds_rows = all(part.reads_in_parallel for part in parts)

    @property
    def row_bytes(self) -> int:
        """Size of a row of X where it lies."""
        return self.n_features * self._X.dtype.itemsize

    @property
    def dtypes(self) -> dict[str, np.dtype]:
        """What X, y and the weights are where they lie."""
        parts = {"X": self._X, "y": self._y, "sample_weight": self._sample_weight}
        return {name: part.dtype for name, part in parts.items() if part is not None}

    def read(self, rows: slice | np.ndarray, out: Block) -> None:
        """Read the rows, or take those that are held."""
        if isinstance(rows, slice):
            self._read_range(rows.start, rows.stop, out.rows(0, rows.stop - rows.start))
            return
        out = out.rows(0, len(rows))
        held = self._held
        if held is None:
            self._read_scattered(rows, np.arange(len(rows)), out)
            return
        moment = held.moment
        places = held.places(rows)
        missing = np.flatnonzero(places < 0)
        places[missing] = 0
        to_prefetch = np.concatenate((places[_ROWS_AHEAD:], places[:_ROWS_AHEAD]))
        for source, target in zip(held.rows[:3], out[:3], strict=True):
            if target.size:
                take_rows(source, places, to_prefetch, out=target)
        # Another thread may have others in their places meanwhile.
        missing = np.union1d(missing, held.gone_since(moment, rows))
        if len(missing):
            self._read_scattered(rows[missing], missing, out)

    def arrays_as_they_lie(self) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
        """X, y and the weights of all rows in memory, in their own dtypes."""
        self.require_unchanged()
        out = self._allocate(self.n_samples)
        self._read_range(0, self.n_samples, out)
        return out.X, None if self._y is None else out.y, None if self._sample_weight is None else out.sample_weight

    def require_unchanged(self) -> None:
        """As `Dataset.require_unchanged`."""
        for source in (self._X, self._y, self._sample_weight):
            if source is not None:
                source.require_unchanged()

    def prefetch(self, rows: np.ndarray) -> None:
        """Have the chunks of these rows in memory."""
        with self._holding:
            if self._held is None:
                largest = int(np.diff(self.starts, append=self.n_samples).max())
                n_rows = min(5 * self.window_rows // 2 + 3 * largest, self.n_samples)
                self._held = HeldRows(self._allocate(n_rows), self.starts, self.n_samples)
            self._held.hold(rows, self._read_range)

    def row_number(self, row: int) -> int:
        """As `Dataset.row_number`; of several files, the row of a file, printed with its name."""
        return self._X.row_number(row)

    def targets(
        self, dtype: np.dtype, mean_and_scale: MeanAndScale | None = None, indices: np.ndarray | None = None
    ) -> Block:
        """As `Dataset.targets`, of all rows or of those of some indices, without a look at X."""
        if indices is not None and len(indices) <= _FEW_ROWS and self.finds_rows:
            return self._targets_of([(row, row + 1) for row in indices.tolist()], dtype, mean_and_scale)
        starts = range(0, self.n_samples, _TARGET_ROWS)
        spans = [(start, min(start + _TARGET_ROWS, self.n_samples)) for start in starts]
        out = self._targets_of(spans, dtype, mean_and_scale)
        if indices is None:
            return out
        return Block(out.X, read_only(out.y[indices]), read_only(out.sample_weight[indices[: len(out.sample_weight)]]))

    def _targets_of(self, spans: list[tuple[int, int]], dtype: np.dtype, mean_and_scale: MeanAndScale | None) -> Block:
        """Those of the rows from one to another, of all spans one after the other."""
        n_rows = sum(stop - start for start, stop in spans)
        out = Block(
            np.empty((0, self.n_features), dtype),
            np.empty((n_rows, self.n_outputs), dtype),
            np.empty(n_rows if self.has_sample_weight else 0, dtype),
        )
        end = 0
        for start, stop in spans:
            begin, end = end, end + stop - start
            if self._y is not None:
                y = np.empty((stop - start, self.n_outputs), self._y.dtype)
                self._y.read(start, stop, y)
                take_targets(y, slice(0, len(y)), mean_and_scale=mean_and_scale, out=out.y[begin:end])
            if self._sample_weight is not None:
                self._sample_weight.read(start, stop, out.sample_weight[begin:end])
        return Block(*map(read_only, out[:3]))

    def _allocate(self, n_rows: int) -> Block:
        """Memory for rows as they lie."""
        y_dtype = self.dtype if self._y is None else self._y.dtype
        weights = np.empty(0) if self._sample_weight is None else np.empty(n_rows, self._sample_weight.dtype)
        return Block(
            np.empty((n_rows, self.n_features), self._X.dtype), np.empty((n_rows, self.n_outputs), y_dtype), weights
        )

    def _read_range(self, start: int, stop: int, out: Block) -> None:
        self._X.read(start, stop, out.X)
        if self._y is not None:
            self._y.read(start, stop, out.y)
        if self._sample_weight is not None:
            self._sample_weight.read(start, stop, out.sample_weight)

    def _read_scattered(self, rows: np.ndarray, places: np.ndarray, out: Block) -> None:
        """out[places] = rows, in runs of rows that are near one another and in one chunk."""
        order = np.argsort(rows, kind="stable")
        rows, places = rows[order], places[order]
        chunks = np.searchsorted(self.starts, rows, side="right")
        is_apart = (np.diff(rows) > self._gap_rows) | (np.diff(chunks) > 0)
        ends = np.append(np.flatnonzero(is_apart) + 1, len(rows))
        begin = 0
        for end in ends.tolist():
            first = int(rows[begin])
            run = self._allocate(int(rows[end - 1]) + 1 - first)
            self._read_range(first, first + len(run.X), run)
            for source, target in zip(run[:3], out[:3], strict=True):
                if target.size:
                    target[places[begin:end]] = _taken(source, rows[begin:end] - first, target.dtype)
            begin = end

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("_held", "_holding")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _held=None, _holding=threading.Lock())


def _taken(source: np.ndarray, rows: np.ndarray, dtype: np.dtype) -> np.ndarray:
    taken = np.empty((len(rows), *source.shape[1:]), dtype)
    take_rows(source, rows, out=taken)
    return taken


def starts_of(shards: np.ndarray, X: RowSource, multiple: int = 1) -> np.ndarray:
    """The first rows of chunks of about a megabyte at most, none of which has rows of two shards.

    shards : (n_shards + 1,) int64, the first row of each shard, and how many there are
    multiple : of how many rows chunks are to be, which is the least
    """
    row_bytes = X.dtype.itemsize * X.shape[1]
    chunk_rows = max(_CHUNK_BYTES // (row_bytes * multiple), 1) * multiple
    parts = [np.arange(begin, end, chunk_rows) for begin, end in pairwise(shards)]
    return np.concatenate(parts).astype(np.int64)
