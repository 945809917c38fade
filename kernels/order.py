"""The order in which a training loop takes the rows of an array, where they lie."""

from typing import NamedTuple

import numpy as np

from ._jit import by_type, inlined_kernel
from .lanes import elements_in, prefetch
from .views import element


class InOrder(NamedTuple):
    """Row by row."""


class Shuffled(NamedTuple):
    """Any order of rows.

    rows : (n_samples,) int64, which row of X, y and the weights each sample is
    later : (n_samples,) int64, a row that will soon be one of those to come; to ask the memory for at this sample
    """

    rows: np.ndarray
    later: np.ndarray


@inlined_kernel
def count_in_order(order, y):
    return y.shape[0]


@inlined_kernel
def count_shuffled(order, y):
    return order.rows.size


@by_type({InOrder: count_in_order, Shuffled: count_shuffled})
def n_samples_of(kernel):
    """How many samples there are."""
    return lambda order, y: kernel(order, y)


@inlined_kernel
def row_in_order(order, i):
    return i


@inlined_kernel
def row_shuffled(order, i):
    return element(order.rows, i)


@by_type({InOrder: row_in_order, Shuffled: row_shuffled})
def row(kernel):
    """Which row the i-th sample is."""
    return lambda order, i: kernel(order, i)


@inlined_kernel
def look_ahead_in_order(order, i, n_features, X, targets, n_bytes):
    # Targets in order come anyway.
    return i * n_features + elements_in(X, n_bytes)


@inlined_kernel
def look_ahead_shuffled(order, i, n_features, X, targets, n_bytes):
    prefetch(targets, element(order.later, i))
    return element(order.later, i) * n_features


@by_type({InOrder: look_ahead_in_order, Shuffled: look_ahead_shuffled})
def look_ahead(kernel):
    """Return where a row begins in X that is needed some time after the i-th sample's, and ask for its target.

    n_bytes : how far ahead rows are that come in order
    """
    return lambda order, i, n_features, X, targets, n_bytes: kernel(order, i, n_features, X, targets, n_bytes)
