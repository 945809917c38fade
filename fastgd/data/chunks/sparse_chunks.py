"""Sparse rows that are read chunk by chunk, of which few are in memory at once."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from fastgd.data import checks
from fastgd.data.arrays import ArrayDataset
from fastgd.data.base import Dataset
from fastgd.data.block import Block, FileRow, MeanAndScale, take_rows
from fastgd.data.chunks.chunk_shuffle import MOST_WINDOW_ROWS, WINDOW_BYTES
from fastgd.data.sparse_rows import SparseRows, read_only
from fastgd.data.stamps import Stamps


class SparseChunk(NamedTuple):
    """What is known of a chunk before it is read."""

    n_rows: int
    n_entries: int
    n_features: int


class SparseChunks(Dataset):
    """Sparse rows of files, as `SparseDataset` has them of a matrix, with targets and weights in memory.

    Chunks are read as a whole, when some of their rows are needed; those of about two windows of 64 MB, and three more,
    are kept.

    Parameters
    ----------
    chunks : sequence of SparseChunk
        With as many features.
    load : callable
        load(k) -> SparseRows, the rows of chunk k; errors name the file.
    stamps : Stamps
        Of the files.
    dtypes : dict
        The dtypes of "X", the values, and "indices", the columns; rows of several chunks are brought to these.
    y, sample_weight : as for `ArrayDataset`
    names : sequence of str, optional
        What errors call each chunk, where it is a file.
    """

    takes_targets_by_index = True

    def __init__(
        self,
        chunks: Sequence[SparseChunk],
        load: Callable[[int], SparseRows],
        stamps: Stamps,
        dtypes: dict[str, np.dtype],
        y: np.ndarray | None = None,
        sample_weight: np.ndarray | None = None,
        names: Sequence[str] = (),
    ) -> None:
        sizes = np.array([chunk.n_rows for chunk in chunks])
        # What has no rows would have the first row of the next one.
        self._numbers = np.flatnonzero(sizes)
        self._load, self._stamps, self._sizes = load, stamps, sizes[self._numbers]
        self._names = names
        self.n_samples, self.n_features = int(sizes.sum()), chunks[0].n_features
        if self.n_samples == 0:
            raise ValueError("there are no rows; expected at least one")
        # Checked as they are of arrays, beside no features to speak of.
        self._own = ArrayDataset(np.broadcast_to(np.float32(0), (self.n_samples, 1)), y, sample_weight)
        self.n_outputs, self.has_sample_weight = self._own.n_outputs, self._own.has_sample_weight
        self.dtypes = dtypes
        self.dtype = checks.floating_dtype(dtypes["X"])
        self.entries_per_row = sum(chunk.n_entries for chunk in chunks) / self.n_samples
        self.starts = np.cumsum(self._sizes) - self._sizes
        self.window_rows = min(max(WINDOW_BYTES // self.row_bytes, 1), MOST_WINDOW_ROWS)
        # The chunks in memory, the oldest first, and how many rows these may have.
        self._held: dict[int, SparseRows] = {}
        self._most_held = 5 * self.window_rows // 2 + 3 * int(self._sizes.max())

    @property
    def row_bytes(self) -> int:
        """The mean size of a row's entries, with their columns, and of where they begin and end."""
        return 16 + int(self.entries_per_row * (self.dtypes["X"].itemsize + self.dtypes["indices"].itemsize))

    def read(self, rows: slice | np.ndarray, out: Block) -> None:
        """Densify the rows."""
        self.read_sparse(rows, out).densify(out.X)

    def read_sparse(self, rows: slice | np.ndarray, out: Block) -> SparseRows:
        """The rows, copied unless they are in one chunk."""
        take_rows(self._own.y, rows, out=out.y)
        if self.has_sample_weight:
            take_rows(self._own.sample_weight, rows, out=out.sample_weight)
        indices = np.arange(rows.start, rows.stop) if isinstance(rows, slice) else rows
        chunks = np.searchsorted(self.starts, indices, side="right") - 1
        used = np.unique(chunks)
        if len(used) == 1:
            k = int(used[0])
            first = int(self.starts[k])
            is_slice = isinstance(rows, slice)
            return self._chunk(k)[slice(rows.start - first, rows.stop - first) if is_slice else rows - first]
        # Rows may lie anywhere: those of each chunk are copied together.
        begin, end = np.empty(len(indices), np.int64), np.empty(len(indices), np.int64)
        parts, n_entries = [], 0
        for k in used.tolist():
            places = np.flatnonzero(chunks == k)
            part = self._chunk(k)[indices[places] - self.starts[k]]
            ends = n_entries + np.cumsum(part.lengths)
            begin[places], end[places] = ends - part.lengths, ends
            parts.append(part.entries())
            n_entries = int(ends[-1])
        columns, values = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        return SparseRows(*map(read_only, (begin, end, columns, values)), self.n_features)

    def row_number(self, row: int) -> int:
        """As `Dataset.row_number`; of several files, the row of a file, printed with its name."""
        if len(self._names) < 2:
            return row
        k = int(np.searchsorted(self.starts, row, side="right")) - 1
        return FileRow.of(int(row - self.starts[k]), self._names[int(self._numbers[k])])

    def require_unchanged(self) -> None:
        """As `Dataset.require_unchanged`."""
        self._stamps.require_same()

    def prefetch(self, rows: np.ndarray) -> None:
        """Have the chunks of these rows in memory."""
        for k in (np.searchsorted(self.starts, rows, side="right") - 1).tolist():
            self._chunk(k)

    def targets(
        self, dtype: np.dtype, mean_and_scale: MeanAndScale | None = None, indices: np.ndarray | None = None
    ) -> Block:
        """As `ArrayDataset.targets`."""
        found = self._own.targets(dtype, mean_and_scale, indices)
        return found._replace(X=np.empty((0, self.n_features), dtype))

    def _chunk(self, k: int) -> SparseRows:
        rows = self._held.get(k)
        if rows is not None:
            return rows
        n_rows = int(self._sizes[k])
        while self._held and sum(map(len, self._held.values())) + n_rows > self._most_held:
            del self._held[next(iter(self._held))]
        rows = self._load(int(self._numbers[k]))
        if rows.shape != (n_rows, self.n_features):
            raise ValueError(
                f"rows {self.starts[k]} to {self.starts[k] + n_rows} have become {rows.shape[0]} rows of "
                f"{rows.shape[1]} features; expected files that stay as they are as long as fastgd reads them"
            )
        self._held[k] = rows.with_dtypes(self.dtypes["indices"], self.dtypes["X"])
        return self._held[k]

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_held": {}}
