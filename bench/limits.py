"""What bounds a training loop on this machine, as runs to time beside it.

The limits of arithmetic count one floating-point operation as a row: their seconds per row are seconds per operation.
"""

from itertools import pairwise

import numba
import numpy as np

from fastgd.kernels.lanes import everywhere, lane_count, load, prefetch, prefetch_for_later, total
from fastgd.kernels.memory import LINE_BYTES
from fastgd.shuffle import CHUNKS_PER_WINDOW, FEATURES_PER_CHUNK

_REPEATS = 100_000
_SUMS = 12
_SIDE = 1024


class Limit:
    """A run without parameters."""

    n_samples: int

    def reset(self) -> None:
        """Nothing to go back from."""


@numba.njit
def multiply_add(x, n):
    """Return what n fused multiply-adds come to, in each lane of twelve sums that wait for none but themselves.

    x : (2, lanes)
    """
    zero = x.dtype.type(0)
    lanes = lane_count(zero)
    a, b = load(x, 0, lanes, zero), load(x, lanes, lanes, zero)
    s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11 = a, b, a, b, a, b, a, b, a, b, a, b
    for _ in range(n):
        s0, s1, s2, s3 = s0 * a + b, s1 * a + b, s2 * a + b, s3 * a + b
        s4, s5, s6, s7 = s4 * a + b, s5 * a + b, s6 * a + b, s7 * a + b
        s8, s9, s10, s11 = s8 * a + b, s9 * a + b, s10 * a + b, s11 * a + b
    return total(s0 + s1 + s2 + s3 + s4 + s5 + s6 + s7 + s8 + s9 + s10 + s11)


# Near enough to stay in the first-level cache.
_SOON = 1024


@numba.njit
def sum_chunks(x, chunks):
    """Return the sum of chunks of numbers in an order; each is asked for long before it is added up, and soon before.

    x : (size,)
    chunks : (n + CHUNKS_PER_WINDOW,) int64, where they begin in x; the last ones are only asked for
    """
    zero = x.dtype.type(0)
    lanes = lane_count(zero)
    s0, s1, s2, s3 = everywhere(zero), everywhere(zero), everywhere(zero), everywhere(zero)
    for i in range(chunks.size - CHUNKS_PER_WINDOW):
        for j in range(0, FEATURES_PER_CHUNK, 4 * lanes):
            begin, later = chunks[i] + j, chunks[i + CHUNKS_PER_WINDOW] + j
            soon = begin + _SOON if j + _SOON < FEATURES_PER_CHUNK else chunks[i + 1] + j + _SOON - FEATURES_PER_CHUNK
            for k in range(0, 4 * lanes, LINE_BYTES // x.itemsize):
                prefetch(x, soon + k)
                # On some processors a second request made this a tenth faster, as if some first ones were lost.
                prefetch_for_later(x, later + k)
                prefetch_for_later(x, later + k)
            s0 += load(x, begin, lanes, zero)
            s1 += load(x, begin + lanes, lanes, zero)
            s2 += load(x, begin + 2 * lanes, lanes, zero)
            s3 += load(x, begin + 3 * lanes, lanes, zero)
    return total((s0 + s1) + (s2 + s3))


class ReadChunks(Limit):
    """Reading the rows chunk by chunk, in a random order."""

    def __init__(self, X: np.ndarray) -> None:
        n_chunks = X.size // FEATURES_PER_CHUNK
        self.n_samples = n_chunks * FEATURES_PER_CHUNK / X.shape[1]
        self._x = X.reshape(-1)
        order = np.random.default_rng(0).permutation(n_chunks)
        self._chunks = FEATURES_PER_CHUNK * np.append(order, np.repeat(order[-1:], CHUNKS_PER_WINDOW))

    def epoch(self) -> None:
        sum_chunks(self._x, self._chunks)


class MultiplyAdds(Limit):
    """Fused multiply-adds of float32 from registers alone, two operations each."""

    def __init__(self) -> None:
        n_lanes = count_lanes(np.float32(0))
        self.n_samples = 2 * _SUMS * n_lanes * _REPEATS
        # s = s / 2 + 1/2 stays near 1: no number is so small that the processor slows down.
        self._x = np.full((2, n_lanes), 0.5, np.float32)

    def epoch(self) -> None:
        multiply_add(self._x, _REPEATS)


@numba.njit
def count_lanes(number):
    return lane_count(number)


class BlasProduct(Limit):
    """NumPy's product of two square float32 matrices."""

    def __init__(self) -> None:
        self.n_samples = 2 * _SIDE**3
        rng = np.random.default_rng(0)
        self._matrices = [rng.standard_normal((_SIDE, _SIDE), np.float32) for _ in range(3)]

    def epoch(self) -> None:
        a, b, c = self._matrices
        np.matmul(a, b, out=c)


@numba.njit(fastmath={"contract"})
def chain(gram, target, rate, n):
    """Return the last of n steps, each after the one before: z from it, the loss's derivative, the step."""
    step = target
    for _ in range(n):
        z = target - step * gram
        derivative = z - target
        step = rate * derivative
    return step


class Chain(Limit):
    """What an update after each row has to wait for, if everything else is done in the meantime.

    The row's z waits for the step of the row before, the half squared error's derivative for z, and the row's own step
    for the derivative.
    """

    n_samples = _REPEATS

    def epoch(self) -> None:
        chain(np.float32(0.5), np.float32(1), np.float32(-1), self.n_samples)


def flops_per_row(widths: tuple[int, ...]) -> int:
    """Operations of a network's products: x Wᵀ, d_outᵀ x, and d_out W except for the first layer."""
    sizes = [n_in * n_out for n_in, n_out in pairwise(widths)]
    return 6 * sum(sizes) - 2 * sizes[0]
