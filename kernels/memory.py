"""The machine's memory as the yardstick of the training loops."""

from ._jit import kernel


@kernel
def sum_elements(x):
    """Return Σ x_i: reads every byte once and does next to nothing with it.

    x : (size,)
    """
    total = x.dtype.type(0)
    for i in range(x.size):
        total += x[i]
    return total
