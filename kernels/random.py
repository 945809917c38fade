"""Random bits as a function of a counter: no state to keep, and any draw can be made again."""

import numpy as np

from .codegen.jit import exact_kernel

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MULTIPLIER_1 = np.uint64(0xBF58476D1CE4E5B9)
_MULTIPLIER_2 = np.uint64(0x94D049BB133111EB)
_S27, _S30, _S31 = (np.uint64(s) for s in (27, 30, 31))


@exact_kernel
def mix(z):
    """SplitMix64's output function, a bijection of 64-bit integers that looks random.

    Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.

    z : uint64
    """
    z = (z ^ (z >> _S30)) * _MULTIPLIER_1
    z = (z ^ (z >> _S27)) * _MULTIPLIER_2
    return z ^ (z >> _S31)


@exact_kernel
def subkey(a, b):
    """A key for one of the things that a key stands for.

    a : uint64          b : int64, at least 0
    """
    return mix(a + np.uint64(b) * GOLDEN)
