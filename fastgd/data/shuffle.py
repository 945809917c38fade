"""The order in which a shuffled epoch takes its rows."""

import math

import numpy as np

from fastgd.kernels import Layout, shuffle_windows

# Whole permutations, as long as all features together are so many: they lie in a cache.
FEATURES_AT_RANDOM = 1 << 20
# In float32 a window has 256 KB: it and the one that is asked for meanwhile leave half of a cache of 1 MB.
_FEATURES_PER_WINDOW = 1 << 16
# Memory is read the faster the longer the chunks, and rows are mixed the better the fewer of them a chunk has: the
# longer the rows, the longer the chunks. Rows of up to so many features have chunks of so many.
_FEATURES_PER_CHUNK = ((64, 1 << 12), (512, 1 << 13), (math.inf, 1 << 14))
# Shorter rows are mixed as if they had so many: chunks of more rows are hardly read faster.
_FEWEST_FEATURES = 16


def _bits(number: int) -> int:
    """How often a number can be halved, down to one."""
    return max(number.bit_length() - 1, 0)


class Shuffle:
    """A permutation of all rows, which depends on their number and length, a seed and the epoch alone.

    Up to 2^20 features in all it is `default_rng([seed, epoch]).permutation(n_samples)`. A larger data set would spend
    its time waiting for rows from all over the memory, so it is shuffled on two levels: windows hold chunks of
    consecutive rows from all over the data, and each window is shuffled row by row.

    A chunk has 2^12 features, 2^13 where rows have more than 64, or 2^14 where they have more than 512, and a window
    2^16, as if rows had 16 at least; both rounded down to a power of two of rows, a chunk to one row at least and a
    window to two. There are n_windows = ⌈n_samples / rows of a window⌉. The data is cut into as many parts as a window
    has chunks, each of n_windows chunks, and each window takes a chunk of each part: row w of
    `default_rng([seed, epoch]).permuted(chunks, axis=1).T` numbers those of window w, where chunks, (n_parts,
    n_windows), counts from 0. So a window has rows from 16 places of the data, or from 8 or 4 where they are longer. At
    the end of the data chunks are missing or shorter, and their windows have fewer rows. A window's rows, chunk after
    chunk and part after part, are shuffled by `kernels.shuffle_windows`, with the generator's next 64 bits as its key.

    Parameters
    ----------
    n_samples, n_features : int
    seed : int
    epoch : int
        From 0.
    """

    def __init__(self, n_samples: int, n_features: int, seed: int, epoch: int) -> None:
        #: The seed and the epoch.
        self.drawn_from = seed, epoch
        rng = np.random.default_rng([seed, epoch])
        if n_samples * n_features <= FEATURES_AT_RANDOM:
            self._permutation: np.ndarray | None = rng.permutation(n_samples)
            return
        self._permutation = None
        n_features = max(n_features, _FEWEST_FEATURES)
        chunk_bits = _bits(next(n for most, n in _FEATURES_PER_CHUNK if n_features <= most) // n_features)
        window_bits = max(_bits(_FEATURES_PER_WINDOW // n_features), 1)
        n_parts = 1 << window_bits - chunk_bits
        n_windows = -(-n_samples >> window_bits)
        chunks = rng.permuted(np.arange(n_parts * n_windows).reshape(n_parts, n_windows), axis=1)
        self._key = rng.integers(2**64, dtype=np.uint64)
        begins = np.ascontiguousarray(chunks.T) << chunk_bits
        sizes = np.clip(n_samples - begins, 0, 1 << chunk_bits).sum(axis=1)
        self._layout = Layout(begins, np.append(0, sizes.cumsum()), n_samples, chunk_bits, window_bits)
        self._buffer = np.empty(0, np.int64)
        self._places = np.empty(1 << window_bits, np.uint32)

    def rows(self, start: int, stop: int) -> np.ndarray:
        """Which rows stand at positions start to stop, (stop - start,) int64. The array holds until the next call."""
        return self.rows_and_prefetches(start, stop)[0]

    def rows_and_prefetches(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows as above, and for each position the row a window on, to prefetch.

        Both hold until the next call. Past the window that follows these rows, that window's last row stands for all.
        """
        if self._permutation is not None:
            rows = self._permutation[start:stop]
            return rows, rows
        starts, window_rows = self._layout.starts, 1 << self._layout.window_bits
        first, last = starts.searchsorted((start, stop - 1), side="right") - 1
        begin, end = starts[first], starts[min(last + 2, len(starts) - 1)]
        n_rows = end - begin
        if self._buffer.size < n_rows + window_rows:
            self._buffer = np.empty(n_rows + window_rows, np.int64)
        shuffle_windows(self._layout, self._key, first, self._places, self._buffer[:n_rows])
        self._buffer[n_rows : n_rows + window_rows] = self._buffer[n_rows - 1]
        part = slice(start - begin, stop - begin)
        return self._buffer[part], self._buffer[window_rows:][part]


class ChosenRows:
    """Some rows in an order of one's own.

    rows : (n_samples,) int64
    """

    def __init__(self, rows: np.ndarray) -> None:
        self._rows = rows

    def rows(self, start: int, stop: int) -> np.ndarray:
        """Which rows stand at positions start to stop."""
        return self._rows[start:stop]

    def rows_and_prefetches(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """The rows, and the same to prefetch, as hardly any come after them."""
        return (self._rows[start:stop],) * 2
