"""The rows of a stream as data sets, one for each block."""

from collections.abc import Iterator

from numpy.typing import ArrayLike

from fastgd.data.arrays import ArrayDataset
from fastgd.data.base import Stream


class BlockRows(ArrayDataset):
    """The features of a block of a stream, whose rows errors call by their places in it.

    X : (n_samples, n_features)          start : the row that it begins with
    """

    def __init__(self, X: ArrayLike, stream: Stream, start: int) -> None:
        super().__init__(X)
        self._stream, self._start = stream, start

    def row_number(self, row: int) -> int:
        """What the stream calls it."""
        return self._stream.row_number(self._start + row)


def blocks_of(stream: Stream) -> Iterator[BlockRows]:
    """All rows, block by block; each holds until the next."""
    start = 0
    for block in stream.open():
        if len(block.X):
            yield BlockRows(block.X, stream, start)
        start += len(block.X)
