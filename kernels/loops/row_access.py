"""The order in which a training loop takes the rows of an array, where they lie."""

from typing import NamedTuple

import numpy as np

from ..codegen.integers import minimum
from ..codegen.jit import by_type, inlined_kernel
from ..codegen.simd import elements_in, prefetch, prefetch_l2
from ..codegen.views import element
from ..tuning import ROW_L2_BYTES


class InOrder(NamedTuple):
    """Row by row."""


class Shuffled(NamedTuple):
    """Any order of rows.

    rows : (n_samples,) int64, which row of X, y and the weights each sample is
    prefetch_rows : (n_samples,) int64, a row that will be needed after many others; to prefetch at this sample
    """

    rows: np.ndarray
    prefetch_rows: np.ndarray


class ShuffledX(NamedTuple):
    """Any order of the rows of X, with y and the weights gathered: they are the samples', one after the other.

    rows, prefetch_rows : as of Shuffled, of X alone
    """

    rows: np.ndarray
    prefetch_rows: np.ndarray


@inlined_kernel
def _count_in_order(order, y):
    return y.shape[0]


@inlined_kernel
def _count_shuffled(order, y):
    return order.rows.size


@by_type({InOrder: _count_in_order, Shuffled: _count_shuffled, ShuffledX: _count_shuffled})
def n_samples_of(kernel):
    """How many samples there are."""
    return lambda order, y: kernel(order, y)


@inlined_kernel
def _row_in_order(order, i):
    return i


@inlined_kernel
def _row_shuffled(order, i):
    return element(order.rows, i)


@by_type({InOrder: _row_in_order, Shuffled: _row_shuffled, ShuffledX: _row_shuffled})
def row(kernel):
    """Which row of X the i-th sample is."""
    return lambda order, i: kernel(order, i)


@by_type({InOrder: _row_in_order, Shuffled: _row_shuffled, ShuffledX: _row_in_order})
def target_row(kernel):
    """Which row of y and the weights the i-th sample is."""
    return lambda order, i: kernel(order, i)


class _PrefetchPlaces(NamedTuple):
    """Where rows begin in X: one that is needed soon, and one that is needed long after."""

    l1: int
    l2: int


@inlined_kernel
def _prefetch_places_in_order(order, i, l1_rows, n_features, X, targets, l1_bytes):
    # Targets in order come anyway.
    begin = i * n_features
    return _PrefetchPlaces(begin + elements_in(X, l1_bytes), begin + elements_in(X, ROW_L2_BYTES))


@inlined_kernel
def _prefetch_places_shuffled_x(order, i, l1_rows, n_features, X, targets, l1_bytes):
    l1 = element(order.rows, minimum(i + l1_rows, order.rows.size - 1))
    return _PrefetchPlaces(l1 * n_features, element(order.prefetch_rows, i) * n_features)


@inlined_kernel
def _prefetch_places_shuffled(order, i, l1_rows, n_features, X, targets, l1_bytes):
    prefetch(targets, element(order.prefetch_rows, i))
    return _prefetch_places_shuffled_x(order, i, l1_rows, n_features, X, targets, l1_bytes)


@by_type(
    {InOrder: _prefetch_places_in_order, Shuffled: _prefetch_places_shuffled, ShuffledX: _prefetch_places_shuffled_x}
)
def prefetch_places(kernel):
    """Return which rows to prefetch while the i-th sample is worked on, and prefetch a target.

    l1_rows, l1_bytes : how far ahead rows are needed soon, those in any order and those that come in order: so near
        that they stay in the first-level cache beside what is worked on, and far enough for memory to answer where an
        earlier request was lost
    """
    return lambda order, i, l1_rows, n_features, X, targets, l1_bytes: kernel(
        order, i, l1_rows, n_features, X, targets, l1_bytes
    )


@inlined_kernel
def prefetch_row(places, X, j):
    """Prefetch element j of the rows that `prefetch_places` has chosen."""
    prefetch(X, places.l1 + j)
    prefetch_l2(X, places.l2 + j)
