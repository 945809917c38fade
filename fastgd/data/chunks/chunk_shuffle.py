"""The order of a shuffled epoch of rows that are read chunk by chunk, from files."""

import numpy as np

from fastgd.data.shuffle import FEATURES_AT_RANDOM

# What tells the draws of windows from all others.
WINDOWS = 1
# Rows are mixed within so many bytes; those and the next ones are in memory.
WINDOW_BYTES = 64 << 20
# Short rows are more in number, and each has a place in the order.
MOST_WINDOW_ROWS = 1 << 20


class ChunkShuffle:
    """A permutation of all rows that keeps those of a chunk near one another.

    It depends on the chunks, on the rows of a window, on the seed and the epoch alone. The chunks are taken in the
    order `default_rng([seed, epoch]).permutation(n_chunks)`, and cut into windows: a chunk whose first row comes to
    position p is in window p // window_rows. The rows of window w, one chunk after the other, are permuted by
    `default_rng([seed, epoch, w, 1])`. So each window has rows from as many places of the data as it has chunks, and
    all of them have to be in memory, with those of the next one as they are read.

    Up to 2^20 features in all, it is `default_rng([seed, epoch]).permutation(n_samples)`, as of rows in memory.

    Parameters
    ----------
    starts : (n_chunks,) int64
        The first row of each chunk, rising from 0.
    n_samples, n_features : int
    window_rows : int
        About how many rows a window has, at least 1; one chunk is the least.
    seed : int
    epoch : int
        From 0.
    """

    def __init__(
        self, starts: np.ndarray, n_samples: int, n_features: int, window_rows: int, seed: int, epoch: int
    ) -> None:
        self._starts, self._n_samples = starts, n_samples
        #: The seed and the epoch.
        self.drawn_from = seed, epoch
        self._is_one = n_samples * n_features <= FEATURES_AT_RANDOM
        chunks = np.arange(len(starts))
        self._order = chunks if self._is_one else np.random.default_rng(self.drawn_from).permutation(chunks)
        self._sizes = np.diff(starts, append=n_samples)[self._order]
        positions = np.cumsum(self._sizes) - self._sizes
        windows = np.zeros_like(positions) if self._is_one else positions // window_rows
        # The first chunk of each window in the order of the chunks, and its position in the epoch.
        begins = np.flatnonzero(np.diff(windows, prepend=-1))
        self._begins, self._positions = np.append(begins, len(starts)), np.append(positions[begins], n_samples)
        self._made: dict[int, np.ndarray] = {}

    def rows(self, start: int, stop: int) -> np.ndarray:
        """Which rows stand at positions start to stop, (stop - start,) int64."""
        first, last = self._windows(start, stop)
        parts = []
        for w in range(first, last + 1):
            begin = int(self._positions[w])
            parts.append(self._window(w)[max(start - begin, 0) : stop - begin])
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def upcoming(self, start: int, stop: int) -> np.ndarray:
        """The first rows of the chunks to have in memory for positions start to stop, (n_chunks,) int64.

        Those of the next window are among them by and by, so that reading them goes on while a window is used.
        """
        first, last = self._windows(start, stop)
        begin, end = self._positions[last : last + 2]
        n_next = 0
        if last + 2 < len(self._begins):
            n_next = int(-(-(self._begins[last + 2] - self._begins[last + 1]) * (stop - begin) // (end - begin)))
        return self._starts[self._order[self._begins[first] : self._begins[last + 1] + n_next]]

    def _windows(self, start: int, stop: int) -> tuple[int, int]:
        first, last = np.searchsorted(self._positions, (start, stop - 1), side="right") - 1
        return int(first), int(last)

    def _window(self, w: int) -> np.ndarray:
        rows = self._made.get(w)
        if rows is None:
            if len(self._made) > 1:
                del self._made[min(self._made)]
            part = slice(self._begins[w], self._begins[w + 1])
            sizes = self._sizes[part]
            ends = np.cumsum(sizes)
            rows = np.arange(ends[-1]) + np.repeat(self._starts[self._order[part]] - (ends - sizes), sizes)
            key = self.drawn_from if self._is_one else (*self.drawn_from, w, WINDOWS)
            rows = self._made[w] = np.random.default_rng(key).permutation(rows)
        return rows
