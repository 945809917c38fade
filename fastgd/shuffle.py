"""The order in which a shuffled epoch takes its rows."""

import numpy as np

from fastgd.kernels import Layout, lay_out_chunks, shuffle_windows

# Whole permutations, as long as all features together are so many: they lie in a cache.
_FEATURES_AT_RANDOM = 1 << 20
# Else chunks of consecutive rows with so many features, and windows of so many chunks.
FEATURES_PER_CHUNK = 1 << 12
CHUNKS_PER_WINDOW = 16
# A neuron takes four rows at a time, where they are about so narrow.
_NARROW_ROWS_PER_PIECE = 4
_FEATURES_OF_A_NARROW_ROW = 128


def _bits(number: int) -> int:
    """How often a number can be halved."""
    return number.bit_length() - 1


class Shuffle:
    """A permutation of all rows, which depends on their number and length, a seed and the epoch alone.

    Up to 2^20 features in all it is `default_rng([seed, epoch]).permutation(n_samples)`. A larger data set would spend
    its time waiting for rows from all over the memory, so it is shuffled on two levels: chunks of consecutive rows, of
    4096 features (rounded down to a power of two of rows, at least one), are laid out in the order
    `default_rng([seed, epoch]).permutation(n_chunks)`, and then each window of 16 chunks is shuffled row by row, by
    `kernels.shuffle_windows` with the generator's next 64 bits as its key. Before that, the window's chunks take turns,
    row by row, or four rows by four where a row has up to 128 features (`kernels.lay_out_chunks`): in the same order
    the window is asked for in advance, and memory is faster read from several places at a time.

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
        chunk_bits = _bits(max(FEATURES_PER_CHUNK // n_features, 1))
        window_bits = chunk_bits + _bits(CHUNKS_PER_WINDOW)
        n_chunks = -(-n_samples >> chunk_bits)
        chunks = rng.permutation(n_chunks)
        short_place = int(np.flatnonzero(chunks == n_chunks - 1)[0])
        piece_bits = _bits(_NARROW_ROWS_PER_PIECE) if n_features <= _FEATURES_OF_A_NARROW_ROW else 0
        self._layout = Layout(chunks, short_place, n_samples, piece_bits, chunk_bits, window_bits)
        self._key = rng.integers(2**64, dtype=np.uint64)
        self._buffers = np.empty((2, 0), np.int64)
        self._places = np.empty(1 << window_bits, np.uint32)

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
        bits = self._layout.window_bits
        first_window, last_window = start >> bits, -(-stop >> bits)
        begin, n_rows, n_ahead = first_window << bits, (last_window - first_window) << bits, 1 << bits
        if self._buffers.shape[1] < n_rows + n_ahead:
            self._buffers = np.empty((2, n_rows + n_ahead), np.int64)
        laid_out, rows = self._buffers[0, : n_rows + n_ahead], self._buffers[1, : min(n_rows, self.n_samples - begin)]
        lay_out_chunks(self._layout, begin, laid_out)
        shuffle_windows(laid_out[: rows.size], bits, self._key, first_window, self._places, rows)
        part = slice(start - begin, stop - begin)
        return rows[part], laid_out[n_ahead:][part]


class ChosenRows:
    """Some rows in an order of one's own.

    rows : (n_samples,) int64
    """

    def __init__(self, rows: np.ndarray) -> None:
        self._rows = rows

    def rows(self, start: int, stop: int) -> np.ndarray:
        """Which rows stand at positions start to stop."""
        return self._rows[start:stop]
