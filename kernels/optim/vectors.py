"""What an optimiser changes, as the kernels that make an update take it."""

from typing import NamedTuple

import numpy as np
from numba import types

from ..codegen.function_pointer import matrix_of, vector_of
from ..codegen.jit import inlined_kernel
from ..codegen.views import span


class Vectors(NamedTuple):
    """What training changes: flat vectors, parallel to one another, of one dtype where none is named.

    parameters, gradient : (size,)
    micro_batch_gradient : (size,), scratch; (0,) where no batch is larger than a micro-batch
    state : (n_states, size and more), the optimiser's; each begins with a line of the cache, as what lies across two
        takes twice as long to store
    own : (n,) float64, the optimiser's own: the structured dtype FIELDS of its file, then what it keeps of features and
        units, whose sums a float32 would not hold
    average : (size,) float64, the running mean of the parameters; (0,) where none is kept. A mean in float32 would stop
        moving after some 10⁶ updates
    orthant : (size,), the signs that an L1 penalty holds the weights to; (0,) without one
    """

    parameters: np.ndarray
    gradient: np.ndarray
    micro_batch_gradient: np.ndarray
    state: np.ndarray
    own: np.ndarray
    average: np.ndarray
    orthant: np.ndarray


def vectors_of(number):
    """The type of Vectors."""
    flat = vector_of(number)
    doubles = vector_of(types.float64)
    return types.NamedTuple([flat, flat, flat, matrix_of(number), doubles, doubles, flat], Vectors)


@inlined_kernel
def part_of(vector, part):
    """The elements from the first to the end of a part, (first, end), as a vector of their own."""
    # Loops that begin at zero are what the compiler knows to turn into vector code.
    return span(vector, part[0], part[1] - part[0])
