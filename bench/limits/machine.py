"""What bounds a training loop on this machine, as runs to time beside it.

The limits of arithmetic count one floating-point operation as a row: their seconds per row are seconds per operation.
"""

from itertools import pairwise

import numba
import numpy as np

from fastgd.data.shuffle import Shuffle
from fastgd.kernels.codegen.simd import broadcast, horizontal_sum, load, prefetch, prefetch_l2, vector_width
from fastgd.kernels.tuning import LINE_BYTES

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
    """Return what n fused multiply-adds come to, in each element of twelve vectors that wait for none but themselves.

    x : (2, width)
    """
    zero = x.dtype.type(0)
    width = vector_width(zero)
    a, b = load(x, 0, width, zero), load(x, width, width, zero)
    s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11 = a, b, a, b, a, b, a, b, a, b, a, b
    for _ in range(n):
        s0, s1, s2, s3 = s0 * a + b, s1 * a + b, s2 * a + b, s3 * a + b
        s4, s5, s6, s7 = s4 * a + b, s5 * a + b, s6 * a + b, s7 * a + b
        s8, s9, s10, s11 = s8 * a + b, s9 * a + b, s10 * a + b, s11 * a + b
    return horizontal_sum(s0 + s1 + s2 + s3 + s4 + s5 + s6 + s7 + s8 + s9 + s10 + s11)


# Near enough to stay in the first-level cache.
_L1_NUMBERS = 1024
# Processors lose requests for the second-level cache while too many others are under way, but not so many rows on.
_ROWS_UNTIL_AGAIN = 8


@numba.njit
def prefetch_rows(x, j, l1, l2, again):
    prefetch(x, l1 + j)
    prefetch_l2(x, l2 + j)
    prefetch_l2(x, again + j)


@numba.njit
def sum_rows(x, n_features, rows, l2):
    """Return the sum of rows in an order; each is prefetched to L2 twice, long before its turn, and then to L1.

    x : (n_rows * n_features,)          rows, l2 : (n_rows,) int64, as `fastgd.data.shuffle.Shuffle` gives them
    """
    zero = x.dtype.type(0)
    width, line, last = vector_width(zero), LINE_BYTES // x.itemsize, rows.size - 1
    n_whole = n_features // line * line
    rows_to_l1 = max(_L1_NUMBERS // n_features, 1)
    even, odd = broadcast(zero), broadcast(zero)
    for i in range(rows.size):
        begin, l1 = rows[i] * n_features, rows[min(i + rows_to_l1, last)] * n_features
        first, again = l2[i] * n_features, l2[max(i - _ROWS_UNTIL_AGAIN, 0)] * n_features
        for j in range(0, n_whole, line):
            prefetch_rows(x, j, l1, first, again)
            for k in range(j, j + line, width):
                even, odd = odd, even + load(x, begin + k, width, zero)
        if n_whole < n_features:
            prefetch_rows(x, n_features - 1, l1, first, again)
        for k in range(n_whole, n_features, width):
            even, odd = odd, even + load(x, begin + k, n_features - k, zero)
    return horizontal_sum(even + odd)


class ReadShuffled(Limit):
    """Reading the rows in the order of a shuffled epoch."""

    def __init__(self, X: np.ndarray) -> None:
        self.n_samples, self._n_features = X.shape
        self._x = X.reshape(-1)
        self._order = Shuffle(*X.shape, 0, 0).rows_and_prefetches(0, self.n_samples)

    def epoch(self) -> float:
        return sum_rows(self._x, self._n_features, *self._order)


class MultiplyAdds(Limit):
    """Fused multiply-adds of float32 from registers alone, two operations each."""

    def __init__(self) -> None:
        width = width_of(np.float32(0))
        self.n_samples = 2 * _SUMS * width * _REPEATS
        # s = s / 2 + 1/2 stays near 1: no number is so small that the processor slows down.
        self._x = np.full((2, width), 0.5, np.float32)

    def epoch(self) -> None:
        multiply_add(self._x, _REPEATS)


@numba.njit
def width_of(number):
    return vector_width(number)


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
