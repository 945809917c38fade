"""L2 and L1 penalties of plain SGD at the cost of the weights that a step touches.

After each step a dense loop multiplies every weight by c = max(0, 1 - rate · l2), subtracts the gradient, and moves it
by up to rate · l1 towards zero. Here weights are kept as w = a · u, so that c multiplies a alone. In u a step's L1 part
is rate · l1 / a: its sum Q over the steps is kept, and for each column what Q was when its weights last were moved, so
that what is missing can be made up for when the column is next touched (Carpenter, "Lazy sparse stochastic gradient
descent for regularized multinomial logistic regression", 2008). That is exact but for rounding: a weight that has come
to zero stays there until a gradient moves it.

`flush` brings all weights up to date, and u is w again.
"""

from typing import NamedTuple

import numpy as np

from ..codegen.jit import by_type, inlined_kernel
from ..codegen.simd import prefetch
from ..codegen.views import element
from ..rows.csr import column_of

# Below, a and what u is then in float32 could leave its range.
_LEAST_FACTOR = 2.0**-50


class Unpenalized(NamedTuple):
    """Weights are as they are."""


class Decaying(NamedTuple):
    """L2 alone.

    l2 : float          factor : (1,) float64, a, which is 1 where nothing is pending
    """

    l2: float
    factor: np.ndarray


class Shrinking(NamedTuple):
    """L1, and perhaps L2.

    l2, l1 : float          factor : (1,) float64, as above
    threshold : (1,) float64, Q, which is 0 where nothing is pending
    applied : (n_columns,) float64, what of Q has been applied to each column's weights
    """

    l2: float
    l1: float
    factor: np.ndarray
    threshold: np.ndarray
    applied: np.ndarray


@inlined_kernel
def _factor_one(penalty, one):
    return one


@inlined_kernel
def _factor_given(penalty, one):
    return type(one)(penalty.factor[0])


@by_type({Unpenalized: _factor_one, Decaying: _factor_given, Shrinking: _factor_given})
def factor_of(kernel):
    """The a of w = a · u, in the dtype of one."""
    return lambda penalty, one: kernel(penalty, one)


@inlined_kernel
def _apply_pending_nothing(penalty, u, column, n_columns, n_units):
    pass


@inlined_kernel
def _apply_pending_shrunk(penalty, u, column, n_columns, n_units):
    # No branch: a misprediction costs more than an empty update.
    missing = penalty.threshold[0] - penalty.applied[np.uint64(column)]
    penalty.applied[np.uint64(column)] = penalty.threshold[0]
    for place in range(column, n_units * n_columns, n_columns):
        _shrink(u, place, missing)


@by_type({Unpenalized: _apply_pending_nothing, Decaying: _apply_pending_nothing, Shrinking: _apply_pending_shrunk})
def apply_pending(kernel):
    """Bring the weights of a column up to date.

    u : (n_units, n_columns) row by row, modified in place
    """
    return lambda penalty, u, column, n_columns, n_units: kernel(penalty, u, column, n_columns, n_units)


@inlined_kernel
def _prefetch_nothing(penalty, u, X, i):
    pass


@inlined_kernel
def _prefetch_shrinking(penalty, u, X, i):
    for p in range(element(X.begin, i), element(X.end, i)):
        prefetch(u, column_of(X, p))
        prefetch(penalty.applied, column_of(X, p))


@by_type({Unpenalized: _prefetch_nothing, Decaying: _prefetch_nothing, Shrinking: _prefetch_shrinking})
def prefetch_columns(kernel):
    """Prefetch what `apply_pending` needs of the columns of a row of a CSR; weights alone come in time anyway."""
    return lambda penalty, u, X, i: kernel(penalty, u, X, i)


@inlined_kernel
def _shrink(u, place, threshold):
    """Move one element towards zero, never across; NaN stays."""
    w, limit = element(u, place), u.dtype.type(threshold)
    u[np.uint64(place)] = w - min(max(w, -limit), limit)


@inlined_kernel
def _flush_nothing(penalty, u, n_columns):
    pass


@inlined_kernel
def _flush_decayed(penalty, u, n_columns):
    factor = penalty.factor[0]
    if factor != 1:
        for i in range(u.size):
            u[i] = type(u[i])(factor * u[i])
        penalty.factor[0] = 1


@inlined_kernel
def _flush_shrunk(penalty, u, n_columns):
    factor, threshold = penalty.factor[0], penalty.threshold[0]
    if factor != 1 or threshold != 0:
        for begin in range(0, u.size, n_columns):
            for column in range(n_columns):
                _shrink(u, begin + column, threshold - penalty.applied[column])
                u[begin + column] = type(u[begin + column])(factor * u[begin + column])
        for column in range(n_columns):
            penalty.applied[column] = 0
        penalty.factor[0], penalty.threshold[0] = 1, 0


@by_type({Unpenalized: _flush_nothing, Decaying: _flush_decayed, Shrinking: _flush_shrunk})
def flush(kernel):
    """Bring all weights up to date:  u = w.

    u : (n_units · n_columns,), modified in place
    """
    return lambda penalty, u, n_columns: kernel(penalty, u, n_columns)


@inlined_kernel
def _begin_nothing(penalty, u, n_columns, rate):
    pass


@inlined_kernel
def _begin_decayed(penalty, u, n_columns, rate):
    penalty.factor[0] *= max(0.0, 1 - np.float64(rate) * penalty.l2)
    if penalty.factor[0] < _LEAST_FACTOR:
        flush(penalty, u, n_columns)


@by_type({Unpenalized: _begin_nothing, Decaying: _begin_decayed, Shrinking: _begin_decayed})
def begin_step(kernel):
    """w *= max(0, 1 - rate · l2), before the gradient is subtracted; u, n_columns as for `flush`."""
    return lambda penalty, u, n_columns, rate: kernel(penalty, u, n_columns, rate)


@inlined_kernel
def _end_nothing(penalty, rate):
    pass


@inlined_kernel
def _end_shrunk(penalty, rate):
    penalty.threshold[0] += np.float64(rate) * penalty.l1 / penalty.factor[0]


@by_type({Unpenalized: _end_nothing, Decaying: _end_nothing, Shrinking: _end_shrunk})
def end_step(kernel):
    """w = sign(w) max(0, |w| - rate · l1), after the gradient was subtracted."""
    return lambda penalty, rate: kernel(penalty, rate)
