"""Some of the rows of another data set."""

import numpy as np

from fastgd.data.base import Dataset
from fastgd.data.block import Block, MeanAndScale, read_only
from fastgd.data.chunks.chunk_shuffle import ChunkShuffle
from fastgd.data.derived import DerivedDataset
from fastgd.data.reader import blocks
from fastgd.data.shuffle import Shuffle
from fastgd.data.sparse_rows import SparseRows


class Subset(DerivedDataset):
    """The rows of a data set that an array of indices names, in its order."""

    def __init__(self, dataset: Dataset, indices: np.ndarray) -> None:
        super().__init__(dataset)
        self._indices = indices
        self.n_samples = len(indices)
        self.n_outputs, self.has_sample_weight = dataset.n_outputs, dataset.has_sample_weight

    def view(self, dtype: np.dtype, any_dtype: bool = False) -> Block | None:
        """The rows where they lie, with a copy of y and the weights, of sparse rows alone."""
        if not self.is_sparse:
            return None
        rows = self._dataset.view(dtype, any_dtype)
        if rows is None:
            return None
        y, weights = (read_only(part[self._indices] if len(part) else part) for part in rows[1:3])
        return Block(rows.X[self._indices], y, weights)

    def read(self, rows: slice | np.ndarray, out: Block) -> None:
        """Read the rows where they are."""
        self._dataset.read(self._indices[rows], out)

    def order(self, seed: int, epoch: int) -> Shuffle | ChunkShuffle:
        """Chunk by chunk, where the other data set is read so, and most of its rows are here, in its order."""
        whole, n_samples = self._dataset, self.n_samples
        is_most = whole.starts is not None and 2 * n_samples >= whole.n_samples
        if not (is_most and (np.diff(self._indices) > 0).all()):
            return super().order(seed, epoch)
        starts = np.unique(np.searchsorted(self._indices, whole.starts))
        window_rows = max(whole.window_rows * n_samples // whole.n_samples, 1)
        return ChunkShuffle(starts[starts < n_samples], n_samples, self.n_features, window_rows, seed, epoch)

    def prefetch(self, rows: np.ndarray) -> None:
        """Tell the other data set."""
        self._dataset.prefetch(self._indices[rows])

    def read_sparse(self, rows: slice | np.ndarray, out: Block) -> SparseRows:
        """Read the rows where they are."""
        return self._dataset.read_sparse(self._indices[rows], out)

    def targets(self, dtype: np.dtype, mean_and_scale: MeanAndScale | None = None) -> Block:
        """As `Dataset.targets`; where X is an array, without a look at it: a few rows may lie on all pages of a map."""
        if isinstance(self._dataset, Subset):
            return Subset(self._dataset._dataset, self._dataset._indices[self._indices]).targets(dtype, mean_and_scale)
        if self._dataset.takes_targets_by_index:
            return self._dataset.targets(dtype, mean_and_scale, self._indices)
        return super().targets(dtype, mean_and_scale)

    def release(self, start: int, stop: int) -> None:
        """The rows may lie anywhere between the first and the last of them."""
        if stop - start == self.n_samples:
            self._dataset.release(0, self._dataset.n_samples)
        else:
            rows = self._indices[start:stop]
            self._dataset.release(int(rows.min()), int(rows.max()) + 1)

    def row_number(self, row: int) -> int:
        """What the row is called where it comes from."""
        return self._dataset.row_number(int(self._indices[row]))


def split(dataset: Dataset, fraction: float, rng: np.random.Generator) -> tuple[Subset, Subset]:
    """The data set without a fraction of its rows, drawn at random, and that fraction; both in the data's order.

    Raises ValueError where either would be empty.
    """
    n_held_out = round(dataset.n_samples * fraction) if 0 < fraction < 1 else 0
    if not 0 < n_held_out < dataset.n_samples:
        raise ValueError(
            f"validation is {fraction} of {dataset.n_samples} rows; expected a fraction that leaves rows on both sides"
        )
    held_out = np.zeros(dataset.n_samples, np.bool_)
    held_out[rng.permutation(dataset.n_samples)[:n_held_out]] = True
    return Subset(dataset, np.flatnonzero(~held_out)), Subset(dataset, np.flatnonzero(held_out))


def rows_that_count(dataset: Dataset) -> np.ndarray | None:
    """The rows whose weight is not zero, or None where that is every row."""
    if not dataset.has_sample_weight:
        return None
    counts = np.empty(dataset.n_samples, np.bool_)
    for start, block in blocks(dataset, np.dtype(np.float64)):
        np.not_equal(block.sample_weight, 0, out=counts[start : start + block.n_samples])
    return None if counts.all() else np.flatnonzero(counts)
