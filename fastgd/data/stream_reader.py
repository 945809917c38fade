"""How rows are read from a stream: its blocks are cut anew, so that parts of an epoch end where a data set's would."""

import itertools
from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING

import numpy as np

from fastgd.data.block import Block, MeanAndScale, take_rows
from fastgd.data.buffers import Buffers, Conversion
from fastgd.data.reader import UNKNOWN, Part, places, rows_of_a_copy
from fastgd.data.ring import Ring
from fastgd.data.stream_shuffle import StreamShuffle
from fastgd.threads import spare_threads

if TYPE_CHECKING:
    from fastgd.data.base import Stream

# Tables are decoded some blocks at a time: with fewer places, a thread that has some at hand waits for those in use.
_N_PLACES = 3


class StreamReader:
    """Gives the rows of one epoch as blocks of one dtype, as `Reader` does, without knowing how many there are.

    Parameters
    ----------
    dataset : Stream
    dtype, mean_and_scale, mean_and_scale_of_y, y_dtype : as for `Conversion`
    min_rows : int
        How many rows one block must be able to hold.
    """

    def __init__(
        self,
        dataset: "Stream",
        dtype: np.dtype,
        min_rows: int = 1,
        mean_and_scale: MeanAndScale | None = None,
        mean_and_scale_of_y: MeanAndScale | None = None,
        y_dtype: np.dtype | None = None,
    ) -> None:
        self.dataset = dataset
        self.order: StreamShuffle | None = None
        self._conversion = Conversion(dtype, mean_and_scale, mean_and_scale_of_y, y_dtype)
        self._n_rows, self._may_read_ahead = rows_of_a_copy(dataset, self._conversion, min_rows)
        self._buffers: Buffers | None = None
        self._places: list[Buffers] = []

    def parts(
        self,
        end_of_part: Callable[[int, int, int], int] | None = None,
        n_threads: int | None = 1,
        n_busy: int = 1,
        first: int = 0,
    ) -> Generator[Part, None, None]:
        """As `Reader.parts`; `n_epoch` is `UNKNOWN` but for the last part."""
        self.dataset.require_unchanged()
        if self._buffers is None:
            self._buffers = Buffers(self.dataset, self._n_rows, self._conversion)
        blocks = self.dataset.open(first) if self.order is None else self.order.blocks(first)
        one_pass = _Pass(self.dataset, blocks, self._buffers, self._n_rows, end_of_part, first)
        part = one_pass.next_part()
        # What has one part is done before a thread has paid for itself.
        ring = None if one_pass.is_over or spare_threads(n_threads, n_busy) == 0 else self._ring(one_pass)
        if ring is None or not ring.start():
            yield part
            while not one_pass.is_over:
                yield one_pass.next_part()
            return
        try:
            yield part
            yield from ring.blocks()
        finally:
            if not ring.close():
                self._buffers, self._places = None, []

    def _ring(self, one_pass: "_Pass") -> Ring | None:
        """What makes the rest of a pass ahead of its use, where the memory bears that."""
        if not self._may_read_ahead:
            return None
        self._places = self._places or places(self.dataset, self._n_rows, self._conversion, _N_PLACES)
        rest = itertools.takewhile(lambda _: not one_pass.is_over, itertools.count())
        return Ring(rest, one_pass.make, self._places)

    def row(self, position: int) -> int:
        """What errors call the row at a position of the epoch."""
        return self.dataset.row_number(position if self.order is None else self.order.row(position))


class _Pass:
    """One pass over a stream: rows of its blocks, one after the other, as parts of an epoch.

    is_over : bool, whether the last part was made
    """

    def __init__(
        self,
        stream: "Stream",
        blocks: Iterator[Block],
        buffers: Buffers,
        n_rows: int,
        end_of_part: Callable[[int, int, int], int] | None,
        first: int,
    ) -> None:
        self._stream, self._buffers, self._n_rows, self._end_of_part = stream, buffers, n_rows, end_of_part
        self._blocks = iter(blocks)
        # What is left of the stream's block, and the rows in the buffers: some that the last part had, and others.
        self._left: Block | None = None
        self._n_used = self._n_filled = 0
        self._start = first
        self.is_over = False

    def make(self, _: int, place: Buffers) -> Part:
        """The next part, in a place that nobody uses now; it holds as long as the place does."""
        before, self._buffers = self._buffers, place
        n_kept = self._n_filled - self._n_used
        for source, out in zip(before.rows[:3], place.rows[:3], strict=True):
            out[:n_kept] = source[self._n_used : self._n_filled]
        self._n_used, self._n_filled = 0, n_kept
        return self._filled()

    def next_part(self) -> Part:
        """The next part, where the one before was, which it takes the place of."""
        return self.make(0, self._buffers)

    def _filled(self) -> Part:
        while self._n_filled < self._n_rows and self._has_more():
            self._take(self._n_rows - self._n_filled)
        start, target = self._start, self._start + self._n_filled
        is_last = not self._has_more()
        if is_last:
            # A file that was cut short may end as if it were whole.
            self._stream.require_unchanged()
            self._check_size(target)
        n_epoch = target if is_last else UNKNOWN
        stop = target if self._end_of_part is None else self._end_of_part(start, target, n_epoch)
        self._start, self._n_used = stop, stop - start
        self.is_over = stop == n_epoch
        return Part(start, stop, n_epoch, self._buffers.block(self._buffers.rows.rows(0, stop - start)))

    def _take(self, n_rows: int) -> None:
        """Copy at most so many of the rows that are left of the stream's block."""
        n_rows = min(n_rows, len(self._left.X))
        for source, out in zip(self._left[:3], self._buffers.rows[:3], strict=True):
            if len(out):
                take_rows(source, slice(0, n_rows), out=out[self._n_filled : self._n_filled + n_rows])
        self._n_filled += n_rows
        self._left = self._left.rows(n_rows, len(self._left.X))

    def _has_more(self) -> bool:
        """Whether rows come after those in the buffers."""
        while self._left is None or len(self._left.X) == 0:
            try:
                self._left = next(self._blocks)
            except StopIteration:
                return False
            except Exception as error:
                error.add_note(f"while fastgd read the rows that come after row {self._start + self._n_filled}")
                raise
            self._check(self._left)
        return True

    def _check_size(self, n_rows: int) -> None:
        if n_rows == 0:
            raise ValueError(f"{self._stream.name} has no rows; expected at least one")
        if self._stream.n_samples not in (None, n_rows):
            raise ValueError(f"the stream ended after {n_rows} rows; expected n_samples, {self._stream.n_samples}")

    def _check(self, block: Block) -> None:
        """Raise a ValueError unless a block is of the stream's shape."""
        stream, n_rows = self._stream, len(block.X)
        expected = (
            (n_rows, stream.n_features),
            (n_rows, stream.n_outputs),
            (n_rows if stream.has_sample_weight else 0,),
        )
        shapes = tuple(array.shape for array in block[:3])
        if shapes != expected:
            raise ValueError(
                f"the stream gave a block of X, y and sample_weight with shapes {shapes} after row "
                f"{self._start + self._n_filled}; expected {expected}"
            )
