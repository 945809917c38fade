"""The order of a shuffled epoch of a stream, which can be read from some of its rows on and no others."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fastgd.data.block import Block, take_rows
from fastgd.data.chunks.chunk_shuffle import MOST_WINDOW_ROWS, WINDOW_BYTES, WINDOWS

if TYPE_CHECKING:
    from fastgd.data.base import Stream

# Rows leave a window in blocks of so many bytes.
_BLOCK_BYTES = 4 << 20


class _Window(NamedTuple):
    """Where a window begins in the epoch, and which of the stream's rows it has, in its order."""

    start: int
    rows: np.ndarray


class StreamShuffle:
    """The rows of a stream in an order that depends on its parts, on the seed and the epoch alone.

    A part is what `stream.starts` says can be read by itself: a file, or a row group of one. The parts are taken in the
    order `default_rng([seed, epoch]).permutation(n_parts)`, one after the other, and the rows that come so are cut into
    windows of 64 MB of features, or 2^20 rows where these are less. Those of window w are permuted by
    `default_rng([seed, epoch, w, 1])`. So rows are mixed well where parts are much smaller than a window, and where
    they are larger, only with those that lie near them in their part.

    Parameters
    ----------
    stream : Stream
        With `starts`.
    seed : int
    epoch : int
        From 0.
    """

    def __init__(self, stream: "Stream", seed: int, epoch: int) -> None:
        self._stream, self._key = stream, (seed, epoch)
        self._row_bytes = stream.n_features * stream.dtype.itemsize
        self._window_rows = min(max(WINDOW_BYTES // self._row_bytes, 1), MOST_WINDOW_ROWS)
        # Those that errors may be about: what trains is behind what is read, but not by a window.
        self._windows: list[_Window] = []
        self._n_windows = 0

    def blocks(self, first: int = 0) -> Iterator[Block]:
        """The rows of the epoch from a position on; each block holds until the next. Those before are read as well."""
        for block in self._all_blocks():
            n_left_out = min(first, len(block.X))
            first -= n_left_out
            if n_left_out < len(block.X):
                yield block.rows(n_left_out, len(block.X))

    def _all_blocks(self) -> Iterator[Block]:
        stream, n_rows = self._stream, self._window_rows
        rows = Block(
            np.empty((n_rows, stream.n_features), stream.dtype),
            np.empty((n_rows, stream.n_outputs)),
            np.empty(n_rows if stream.has_sample_weight else 0),
        )
        numbers = np.empty(n_rows, np.int64)
        filled, self._windows, self._n_windows = 0, [], 0
        for start, part in self._parts():
            taken = 0
            while taken < len(part.X):
                n_taken = min(len(part.X) - taken, n_rows - filled)
                for source, out in zip(part[:3], rows[:3], strict=True):
                    if out.size:
                        take_rows(source, slice(taken, taken + n_taken), out=out[filled : filled + n_taken])
                numbers[filled : filled + n_taken] = np.arange(start + taken, start + taken + n_taken)
                taken, filled = taken + n_taken, filled + n_taken
                if filled == n_rows:
                    yield from self._permuted(rows, numbers)
                    filled = 0
        if filled:
            yield from self._permuted(rows.rows(0, filled), numbers[:filled])

    def row(self, position: int) -> int:
        """Which row stands at a position of the epoch that was read last."""
        window = next(window for window in reversed(self._windows) if window.start <= position)
        return int(window.rows[position - window.start])

    def _parts(self) -> Iterator[tuple[int, Block]]:
        """The first row and the rows of each block of each part."""
        starts = self._stream.starts
        for k in np.random.default_rng(self._key).permutation(len(starts)).tolist():
            row, stop = int(starts[k]), int(starts[k + 1]) if k + 1 < len(starts) else None
            # What has a file open closes it when it is left alone.
            for block in self._stream.open(row):
                n_rows = len(block.X) if stop is None else min(len(block.X), stop - row)
                yield row, block.rows(0, n_rows)
                row += n_rows
                if row == stop:
                    break

    def _permuted(self, rows: Block, numbers: np.ndarray) -> Iterator[Block]:
        """A window in its order, block by block."""
        before = self._windows[-1:]
        order = np.random.default_rng((*self._key, self._n_windows, WINDOWS)).permutation(len(numbers))
        self._n_windows += 1
        start = before[0].start + len(before[0].rows) if before else 0
        self._windows = [*before, _Window(start, numbers[order])]
        n_rows = max(_BLOCK_BYTES // self._row_bytes, 1)
        for begin in range(0, len(order), n_rows):
            places = order[begin : begin + n_rows]
            parts = [np.empty((len(places), *source.shape[1:]), source.dtype) for source in rows[:2]]
            weights = np.empty(len(places) if rows.sample_weight.size else 0)
            for source, out in zip(rows[:3], (*parts, weights), strict=True):
                if out.size:
                    take_rows(source, places, out=out)
            yield Block(*parts, weights)
