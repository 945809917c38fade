"""Whether numbers are what they are expected to be."""

import numpy as np

from ..codegen.jit import kernel


@kernel
def all_within(values, lowest, highest, step):
    """Whether all are finite, from the lowest to the highest, and where there is a step, whole steps from the lowest.

    values : (size,), read-only          lowest, highest : float64          step : float64, or 0.0
    """
    per_unit = 1.0 / step if step > 0 else 0.0
    is_within = True
    for i in range(values.size):
        value = np.float64(values[i])
        n_steps = (value - lowest) * per_unit
        is_whole = step == 0 or np.floor(n_steps) == n_steps
        is_within &= np.isfinite(value) & (value >= lowest) & (value <= highest) & is_whole
    return is_within
