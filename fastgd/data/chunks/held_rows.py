"""Chunks of rows in memory, of which the oldest make room for new ones."""

from collections.abc import Callable

import numpy as np

from fastgd.data.block import Block

# A search among all chunks for each row would take as long as its copy: so many bins tell where to look.
_MOST_BINS = 1 << 20


class HeldRows:
    """A ring of rows: each chunk lies in one piece, after the one that came before it.

    One thread at a time may have chunks held. Others may copy rows from their places meanwhile, and ask afterwards
    whether they were still there.

    Parameters
    ----------
    rows : Block, writable
        The memory; it has room for each chunk.
    starts : (n_chunks,) int64
        The first row of each chunk.
    n_samples : int
        How many rows all chunks have.
    """

    def __init__(self, rows: Block, starts: np.ndarray, n_samples: int) -> None:
        self.rows = rows
        self._starts, self._ends = starts, np.append(starts[1:], n_samples)
        self._bin_rows = max(int(np.diff(starts, append=n_samples).min()), -(-n_samples // _MOST_BINS))
        bins = np.arange(0, n_samples, self._bin_rows)
        self._chunk_of_bin = np.searchsorted(starts, bins, side="right") - 1
        last_of_bin = np.searchsorted(starts, np.minimum(bins + self._bin_rows, n_samples) - 1, side="right") - 1
        self._is_one_or_next = bool((last_of_bin - self._chunk_of_bin <= 1).all())
        # The place of each chunk's first row, or -1; and the chunks that are held, the oldest first.
        self._places = np.full(len(starts), -1)
        self._held: dict[int, int] = {}
        self._next = 0
        #: How many chunks have gone so far, and with how many each of them went.
        self.moment = 0
        self._gone_at = np.zeros(len(starts), np.int64)

    def gone_since(self, moment: int, rows: np.ndarray) -> np.ndarray:
        """Which of some rows belong to chunks that have gone since a moment, as indices into `rows`."""
        if self.moment == moment:
            return np.empty(0, np.int64)
        return np.flatnonzero(self._gone_at[self._chunks_of(rows)] > moment)

    def places(self, rows: np.ndarray) -> np.ndarray:
        """Where in memory some rows lie, (n_rows,) int64; negative for those that are not there."""
        chunks = self._chunks_of(rows)
        places = self._places[chunks]
        is_held = places >= 0
        places += rows
        places -= self._starts[chunks]
        return places if is_held.all() else np.where(is_held, places, -1)

    def _chunks_of(self, rows: np.ndarray) -> np.ndarray:
        if not self._is_one_or_next:
            return np.searchsorted(self._starts, rows, side="right") - 1
        chunks = self._chunk_of_bin[rows // self._bin_rows]
        chunks += rows >= self._ends[chunks]
        return chunks

    def hold(self, rows: np.ndarray, read: Callable[[int, int, Block], None]) -> None:
        """Have the chunks of some rows, in their order, read by read(start, stop, out) unless they are there."""
        chunks = np.searchsorted(self._starts, rows, side="right") - 1
        for chunk in chunks[self._places[chunks] < 0].tolist():
            if self._places[chunk] >= 0:
                continue
            start, stop = int(self._starts[chunk]), int(self._ends[chunk])
            place = self._make_room(stop - start)
            read(start, stop, self.rows.rows(place, place + stop - start))
            self._places[chunk] = self._held[chunk] = place
            self._next = place + stop - start

    def _make_room(self, n_rows: int) -> int:
        """The place of so many rows, from which the oldest chunks have gone."""
        if self._next + n_rows > len(self.rows.X):
            self._let_go(self._next, len(self.rows.X))
            self._next = 0
        self._let_go(self._next, self._next + n_rows)
        return self._next

    def _let_go(self, begin: int, end: int) -> None:
        while self._held:
            chunk, place = next(iter(self._held.items()))
            if not begin <= place < end and not place <= begin < place + self._ends[chunk] - self._starts[chunk]:
                return
            del self._held[chunk]
            self._places[chunk] = -1
            self._gone_at[chunk] = self.moment + 1
            self.moment += 1
