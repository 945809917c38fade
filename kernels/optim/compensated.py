"""Sums of squares that grow for ever: what their roundings leave out is kept beside them (Kahan, 1965).

A float32 alone would stop growing after some 10⁷ updates. For kernels whose roundings stay as written: reordered, the
compensation would be zero.
"""

import numpy as np

from ..codegen.jit import inlined_kernel

# Smaller squares lose digits in float32, and larger ones overflow where they are doubled.
_SMALL_SQUARE, _LARGE_SQUARE = np.float32(1e-30), np.float32(1e37)
# Changes no sum of such squares.
_TINY = np.finfo(np.float32).tiny


@inlined_kernel
def add_square(total, missing, i, g):
    """total[i] += g², and missing[i] is what that has left out."""
    square = g * g + missing[i]
    before = total[i]
    total[i] = before + square
    missing[i] = square - (total[i] - before)


@inlined_kernel
def normalize_gradient(root, missing, gradient):
    """root = √(root² + g²) and g /= root, for features of any scale; g stays zero where root is.

    root² grows by g², and so root by  g² / (root before + root),  which may be less than its last digit: `missing`
    is what its roundings have left out so far, and joins what it next grows by (Kahan, 1965).
    """
    one, tiny = root.dtype.type(1), root.dtype.type(_TINY)
    is_extreme = False
    for i in range(root.size):
        square = root[i] * root[i] + gradient[i] * gradient[i]
        is_zero = (root[i] == 0) & (gradient[i] == 0)
        is_extreme |= (square > _LARGE_SQUARE) | ((square < _SMALL_SQUARE) & (not is_zero))
    if not is_extreme:
        for i in range(root.size):
            g, before = gradient[i], root[i]
            now = np.sqrt(before * before + g * g)
            both = before + now
            # One division for two; of zero by zero, nothing shall come.
            inverse = one / (now * both + tiny)
            growth = g * g * inverse * now + missing[i]
            root[i] = before + growth
            missing[i] = growth - (root[i] - before)
            gradient[i] = g * inverse * both
        return
    for i in range(root.size):
        # Squares may be infinite, or zero, or few digits, where their roots are not.
        g, before = gradient[i], root[i]
        largest = max(before, abs(g))
        # A NaN has to stay one.
        if largest == 0:
            continue
        ratio, share = before / largest, g / largest
        now = np.sqrt(ratio * ratio + share * share)
        growth = share / (ratio + now) * g + missing[i]
        root[i] = before + growth
        missing[i] = growth - (root[i] - before)
        gradient[i] = share / now
