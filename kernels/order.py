"""The order in which a training loop takes the rows of an array, where they lie."""

from typing import NamedTuple

import numpy as np

from ._jit import by_type, inlined_kernel
from .lanes import prefetch_near
from .views import element

# How far ahead rows are asked for: elements of X where its rows come in order, and samples of a shuffled order.
_ELEMENTS_AHEAD = 8192
_SAMPLES_AHEAD = 8


class InOrder(NamedTuple):
    """Row by row."""


class Shuffled(NamedTuple):
    """Any order of rows.

    rows : (n_samples,) int64, which row each sample is
    later : (n_samples,) int64, a row that will soon be one of those to come; to ask the memory for at this sample
    """

    rows: np.ndarray
    later: np.ndarray


@inlined_kernel
def place_in_order(order, i, n_features):
    return i * n_features


@inlined_kernel
def place_shuffled(order, i, n_features):
    return element(order.rows, i) * n_features


@by_type({InOrder: place_in_order, Shuffled: place_shuffled})
def place(kernel):
    """Where the i-th sample's row begins in X."""
    return lambda order, i, n_features: kernel(order, i, n_features)


@inlined_kernel
def ahead_in_order(order, i, n_features):
    return i * n_features + _ELEMENTS_AHEAD


@inlined_kernel
def ahead_shuffled(order, i, n_features):
    return element(order.later, i) * n_features


@by_type({InOrder: ahead_in_order, Shuffled: ahead_shuffled})
def place_ahead(kernel):
    """Where a row begins that is needed some time after the i-th sample's."""
    return lambda order, i, n_features: kernel(order, i, n_features)


@inlined_kernel
def bring_nothing(X, order, i, n_features, step):
    pass


@inlined_kernel
def bring_shuffled(X, order, i, n_features, step):
    if i + _SAMPLES_AHEAD < order.rows.size:
        begin = element(order.rows, i + _SAMPLES_AHEAD) * n_features
        for j in range(0, n_features, step):
            prefetch_near(X, begin + j)


@by_type({InOrder: bring_nothing, Shuffled: bring_shuffled})
def bring(kernel):
    """Ask for the row of a sample soon after the i-th, lane by lane; rows in order come by themselves."""
    return lambda order, X, i, n_features, step: kernel(X, order, i, n_features, step)
