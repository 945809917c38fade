"""The order in which a shuffled epoch takes its rows."""

import numpy as np

from fastgd.kernels import chunked_rows, shuffle_windows

# Whole permutations, as long as all features together are so many: they lie in a cache.
_FEATURES_AT_RANDOM = 1 << 20
# Else chunks of consecutive rows with so many features, and windows of so many chunks.
_FEATURES_PER_CHUNK = 1 << 12
_CHUNKS_PER_WINDOW = 32


class Shuffle:
    """A permutation of all rows, which depends on their number and length, a seed and the epoch alone.

    Up to 2^20 features in all it is `default_rng([seed, epoch]).permutation(n_samples)`. A larger data set would spend
    its time waiting for rows from all over the memory, so it is shuffled on two levels: chunks of consecutive rows, of
    4096 features (rounded down to a power of two of rows, at least one), are laid out in the order
    `default_rng([seed, epoch]).permutation(n_chunks)`, and then each window of 32 chunks is shuffled row by row, with
    `kernels.shuffle_windows` and the generator's next 64 bits as its key.

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
        self._window_rows = _CHUNKS_PER_WINDOW << self._chunk_bits
        n_chunks = -(-n_samples >> self._chunk_bits)
        self._chunks = rng.permutation(n_chunks)
        self._short_place = int(np.flatnonzero(self._chunks == n_chunks - 1)[0])
        self._key = rng.integers(2**64, dtype=np.uint64)

    def rows(self, start: int, stop: int) -> np.ndarray:
        """Which rows stand at positions start to stop, (stop - start,) int64."""
        return self.rows_and_later(start, stop)[0]

    def rows_and_later(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows as above, and for each position a row that a later position will need: to ask the memory for."""
        if self._permutation is not None:
            rows = self._permutation[start:stop]
            return rows, rows
        first_window, last_window = start // self._window_rows, -(-stop // self._window_rows)
        begin, end = first_window * self._window_rows, min(last_window * self._window_rows, self.n_samples)
        unshuffled = np.empty(end - begin + self._window_rows, np.int64)
        chunked_rows(self._chunks, self._short_place, self._chunk_bits, self.n_samples, begin, unshuffled)
        rows = unshuffled[: end - begin].copy()
        shuffle_windows(rows, self._window_rows, self._key, first_window)
        part = slice(start - begin, stop - begin)
        return rows[part], unshuffled[self._window_rows :][part]


class ChosenRows:
    """Some rows in an order of one's own.

    rows : (n_samples,) int64
    """

    def __init__(self, rows: np.ndarray) -> None:
        self._rows = rows

    def rows(self, start: int, stop: int) -> np.ndarray:
        """Which rows stand at positions start to stop."""
        return self._rows[start:stop]
