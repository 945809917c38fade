"""The order in which a shuffled epoch takes its rows."""

import numpy as np

from fastgd.kernels import chunked_rows, shuffle_windows

# Whole permutations, as long as all features together are so many: they lie in a cache.
_FEATURES_AT_RANDOM = 1 << 20
# Else chunks of consecutive rows with so many features, and windows of so many chunks.
_FEATURES_PER_CHUNK = 1 << 12
_CHUNKS_PER_WINDOW = 16


class Shuffle:
    """A permutation of all rows, which depends on their number and length, a seed and the epoch alone.

    Up to 2^20 features in all it is `default_rng([seed, epoch]).permutation(n_samples)`. A larger data set would spend
    its time waiting for rows from all over the memory, so it is shuffled on two levels: chunks of consecutive rows, of
    4096 features (rounded down to a power of two of rows, at least one), are laid out in the order
    `default_rng([seed, epoch]).permutation(n_chunks)`, and then each window of 16 chunks is shuffled row by row, by
    `kernels.shuffle_windows` with the generator's next 64 bits as its key.

    Parameters
    ----------
    n_samples, n_features : int
    seed : int
    epoch : int
        From 0.
    """

    def __init__(self, n_samples: int, n_features: int, seed: int, epoch: int) -> None:
        self.n_samples = n_samples
        rng = np.random.default_rng([seed, epoch])
        if n_samples * n_features <= _FEATURES_AT_RANDOM:
            self._permutation: np.ndarray | None = rng.permutation(n_samples)
            return
        self._permutation = None
        self._chunk_bits = max(_FEATURES_PER_CHUNK // n_features, 1).bit_length() - 1
        self._window_bits = self._chunk_bits + _CHUNKS_PER_WINDOW.bit_length() - 1
        n_chunks = -(-n_samples >> self._chunk_bits)
        self._chunks = rng.permutation(n_chunks)
        self._short_place = int(np.flatnonzero(self._chunks == n_chunks - 1)[0])
        self._key = rng.integers(2**64, dtype=np.uint64)
        self._buffers = np.empty((2, 0), np.int64)
        self._places = np.empty(1 << self._window_bits, np.uint32)

    def rows(self, start: int, stop: int) -> np.ndarray:
        """Which rows stand at positions start to stop, (stop - start,) int64. The array holds until the next call."""
        return self.rows_and_later(start, stop)[0]

    def rows_and_later(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows as above, and for each position a row that a later position will need: to ask the memory for.

        Both hold until the next call.
        """
        if self._permutation is not None:
            rows = self._permutation[start:stop]
            return rows, rows
        window_rows = 1 << self._window_bits
        first_window, last_window = start >> self._window_bits, -(-stop >> self._window_bits)
        begin, end = first_window << self._window_bits, min(last_window << self._window_bits, self.n_samples)
        n_rows, n_read = end - begin, end - begin + window_rows
        if self._buffers.shape[1] < n_read:
            self._buffers = np.empty((2, n_read), np.int64)
        unshuffled, rows = self._buffers[0, :n_read], self._buffers[1, :n_rows]
        chunked_rows(self._chunks, self._short_place, self._chunk_bits, self.n_samples, begin, unshuffled)
        shuffle_windows(unshuffled[:n_rows], self._window_bits, self._key, first_window, self._places, rows)
        part = slice(start - begin, stop - begin)
        return rows[part], unshuffled[window_rows:][part]


class ChosenRows:
    """Some rows in an order of one's own.

    rows : (n_samples,) int64
    """

    def __init__(self, rows: np.ndarray) -> None:
        self._rows = rows

    def rows(self, start: int, stop: int) -> np.ndarray:
        """Which rows stand at positions start to stop."""
        return self._rows[start:stop]
