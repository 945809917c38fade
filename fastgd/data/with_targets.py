"""The rows of a data set or stream with other targets."""

from collections.abc import Callable, Iterator

import numpy as np

from fastgd.data.arrays import ArrayDataset
from fastgd.data.base import Dataset, Stream
from fastgd.data.block import Block, MeanAndScale, read_only, take_rows
from fastgd.data.derived import DerivedDataset
from fastgd.data.sparse_rows import SparseRows


class WithTargets(DerivedDataset):
    """The features of a data set, with targets and weights in memory.

    dataset : Dataset
    y, sample_weight : as for `ArrayDataset`
    """

    takes_targets_by_index = True

    def __init__(self, dataset: Dataset, y: np.ndarray, sample_weight: np.ndarray | None = None) -> None:
        super().__init__(dataset)
        # Checked as they are of arrays, beside no features to speak of.
        self._own = ArrayDataset(np.broadcast_to(np.float32(0), (dataset.n_samples, 1)), y, sample_weight)
        self.n_samples, self.starts, self.window_rows = dataset.n_samples, dataset.starts, dataset.window_rows
        self.n_outputs, self.has_sample_weight = self._own.n_outputs, self._own.has_sample_weight

    @property
    def sample_weight(self) -> np.ndarray | None:
        """The weights."""
        return self._own.sample_weight

    def read(self, rows: slice | np.ndarray, out: Block) -> None:
        """Read the features, and take targets and weights."""
        n_rows = len(out.X)
        others = np.empty((n_rows, self._dataset.n_outputs)), np.empty(n_rows * self._dataset.has_sample_weight)
        self._dataset.read(rows, Block(out.X, *others))
        self._take(rows, out)

    def read_sparse(self, rows: slice | np.ndarray, out: Block) -> SparseRows:
        """Read the features, and take targets and weights."""
        n_rows = len(out.y)
        others = np.empty((n_rows, self._dataset.n_outputs)), np.empty(n_rows * self._dataset.has_sample_weight)
        X = self._dataset.read_sparse(rows, Block(out.X, *others))
        self._take(rows, out)
        return X

    def _take(self, rows: slice | np.ndarray, out: Block) -> None:
        take_rows(self._own.y, rows, out=out.y)
        if self.has_sample_weight:
            take_rows(self._own.sample_weight, rows, out=out.sample_weight)

    def view(self, dtype: np.dtype, any_dtype: bool = False) -> Block | None:
        """The features where they lie, if they can be used there."""
        block = self._dataset.view(dtype, any_dtype)
        if block is None:
            return None
        weights = self._own.sample_weight if self.has_sample_weight else np.empty(0, dtype)
        return Block(block.X, read_only(self._own.y), read_only(weights))

    def targets(
        self, dtype: np.dtype, mean_and_scale: MeanAndScale | None = None, indices: np.ndarray | None = None
    ) -> Block:
        """As `ArrayDataset.targets`."""
        found = self._own.targets(dtype, mean_and_scale, indices)
        return found._replace(X=np.empty((0, self.n_features), dtype))

    def prefetch(self, rows: np.ndarray) -> None:
        """As the other data set does."""
        self._dataset.prefetch(rows)

    def release(self, start: int, stop: int) -> None:
        """As the other data set does."""
        self._dataset.release(start, stop)

    def row_number(self, row: int) -> int:
        """What the other data set calls it."""
        return self._dataset.row_number(row)


class StreamWithTargets(Stream):
    """The rows of a stream, with targets that are made of its own, block by block.

    stream : Stream
    targets_of : from (n, stream.n_outputs) to (n, n_outputs)
    weights_of : from the stream's own targets and its weights, or None, to weights, (n,); None: the stream's own
    """

    def __init__(
        self,
        stream: Stream,
        targets_of: Callable[[np.ndarray], np.ndarray],
        n_outputs: int,
        weights_of: Callable[[np.ndarray, np.ndarray | None], np.ndarray] | None = None,
    ) -> None:
        self._stream, self._targets_of, self._weights_of, self.name = stream, targets_of, weights_of, stream.name
        self.n_features, self.n_outputs, self.n_samples = stream.n_features, n_outputs, stream.n_samples
        self.has_sample_weight, self.dtype = stream.has_sample_weight or weights_of is not None, stream.dtype
        self.feature_names, self.columns = stream.feature_names, stream.columns
        self.starts, self.is_read_once = stream.starts, stream.is_read_once

    def open(self, cursor: int = 0) -> Iterator[Block]:
        """As the other stream does."""
        for block in self._stream.open(cursor):
            y = np.asarray(block.y)
            if self._weights_of is not None:
                given = np.asarray(block.sample_weight) if self._stream.has_sample_weight else None
                block = block._replace(sample_weight=self._weights_of(y, given))
            yield block._replace(y=self._targets_of(y))

    def require_unchanged(self) -> None:
        """As the other stream does."""
        self._stream.require_unchanged()

    def row_number(self, row: int) -> int:
        """As the other stream has it."""
        return self._stream.row_number(row)
