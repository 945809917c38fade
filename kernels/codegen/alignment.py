"""The machine's memory: where arrays begin in it, and how fast it is read."""

from collections.abc import Callable

import numpy as np

from ..tuning import LINE_BYTES
from .jit import kernel


def aligned_empty(size: int, dtype: np.dtype) -> np.ndarray:
    """A vector that begins with a line of the cache; NumPy's begin anywhere, and made products a tenth slower."""
    return _from_a_line_on(np.empty, size, np.dtype(dtype))


def aligned_zeros(size: int, dtype: np.dtype) -> np.ndarray:
    """The same, of zeros; memory that is never used costs no time."""
    return _from_a_line_on(np.zeros, size, np.dtype(dtype))


def aligned_zero_rows(n_rows: int, size: int, dtype: np.dtype) -> np.ndarray:
    """Vectors of zeros, each of which begins with a line of the cache: (n_rows, size and more)."""
    width = whole_lines(size)
    return aligned_zeros(n_rows * width, dtype).reshape(n_rows, width)


def whole_lines(size: int) -> int:
    """The size of an array after which another one may begin with a line of the cache."""
    return -(-size // LINE_BYTES) * LINE_BYTES


def _from_a_line_on(make: Callable[[int, type], np.ndarray], size: int, dtype: np.dtype) -> np.ndarray:
    memory = make(size * dtype.itemsize + LINE_BYTES, np.uint8)
    begin = -memory.ctypes.data % LINE_BYTES
    return memory[begin : begin + size * dtype.itemsize].view(dtype)


@kernel
def sum_elements(x):
    """Return Σ x_i: reads every byte once and does next to nothing with it.

    x : (size,)
    """
    total = x.dtype.type(0)
    for i in range(x.size):
        total += x[i]
    return total
