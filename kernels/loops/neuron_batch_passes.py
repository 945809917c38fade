"""The passes over rows of a single output neuron in batches: the gradient of some rows, and z of the next ones.

As in `neuron_online.py`, the rows stay where they are. One pass adds rows to the gradient and multiplies the weights
with the next ones, so that memory is read without a pause, and each row is needed twice within a short while. Wide rows
come one by one: that is how memory is read fastest. Narrow ones come in fours, for fewer loads and stores, and so do
those of narrow numbers, which are converted once and kept for the next pass.

Where an update is no more than  w -= rate · g,  the first pass of a batch makes it on its way: it adds the last rows
of the batch before, takes the step, clears the gradient, and multiplies the new weights with the batch's first rows.
There the loop waits, from one z through the weights to the next: some 30 cycles in each batch of narrow rows. Any other
update follows a pass that only adds what is pending. Apart from that and from memory, a Zen 4 is busy with loads, two a
cycle: eight for each 16 features of a row by itself, and more where they lie across two lines of the cache; and with
bytes, as it takes two cycles to convert 16, and one for each of their two multiply-adds.
"""

from typing import Any, NamedTuple

import numpy as np

from ..codegen.jit import by_type, inlined_kernel
from ..codegen.simd import broadcast_like, horizontal_sum, load, simd_vector_for, store, vector_width
from .neuron_online_by_4 import ROWS_AT_ONCE
from .row_access import prefetch_row


class RowByRow(NamedTuple):
    """One row in a pass.

    gradient : (n_features and at least the SIMD width more,), what passes add up: a load from where fewer elements than
        the width were just stored would have to wait for them
    """

    gradient: np.ndarray


class By4(NamedTuple):
    """Four rows in a pass.

    gradient : as RowByRow's
    """

    gradient: np.ndarray


class Converted(NamedTuple):
    """Four rows in a pass, kept as the model's numbers for the next one.

    gradient : as RowByRow's
    kept : (4 · n_features, rounded up to whole registers,), scratch: a register of each row by turns
    """

    gradient: np.ndarray
    # Row after row, stores of one could stay a multiple of 4096 bytes ahead of loads from the weights or the gradient.
    # A processor takes these for the same place, and the loads wait: three times as long in all.
    kept: np.ndarray


@inlined_kernel
def _plus_row(pattern, X, j, n, share, before):
    """Elements j to j + n of the gradient, and a row times its share."""
    return load(pattern.gradient, j, vector_width(share), share) + share * load(X, before + j, n, share)


@inlined_kernel
def _plus_rows(pattern, X, j, n, shares, places):
    """Elements j to j + n of the gradient, and four rows times their shares."""
    d0, d1, d2, d3 = shares
    p0, p1, p2, p3 = places
    g = load(pattern.gradient, j, vector_width(d0), d0)
    g += d0 * load(X, p0 + j, n, d0)
    g += d1 * load(X, p1 + j, n, d0)
    g += d2 * load(X, p2 + j, n, d0)
    g += d3 * load(X, p3 + j, n, d0)
    return g


@inlined_kernel
def _plus_kept(pattern, X, j, n, shares, places):
    """Elements j to j + n of the gradient, and the four rows that are kept times their shares."""
    d0, d1, d2, d3 = shares
    count = vector_width(d0)
    place = ROWS_AT_ONCE * j
    g = load(pattern.gradient, j, count, d0)
    g += d0 * load(pattern.kept, place, count, d0)
    g += d1 * load(pattern.kept, place + count, count, d0)
    g += d2 * load(pattern.kept, place + 2 * count, count, d0)
    g += d3 * load(pattern.kept, place + 3 * count, count, d0)
    return g


@by_type({RowByRow: _plus_row, By4: _plus_rows, Converted: _plus_kept})
def _plus_pending(kernel):
    """Elements j to j + n of the gradient, and the pending rows, times their shares."""
    return lambda pattern, X, j, n, pending: kernel(pattern, X, j, n, pending[0], pending[1])


class Adding(NamedTuple):
    """A pass that adds the pending rows to the gradient."""


class Updating(NamedTuple):
    """A pass after which the gradient is complete: it makes the update  w -= rate · g  and clears the gradient.

    rates : the rate, broadcast
    """

    rates: Any


@inlined_kernel
def add(step, weight, gradient, j, n, g):
    store(gradient, j, vector_width(g), g)
    return load(weight, j, n, g)


@inlined_kernel
def update(step, weight, gradient, j, n, g):
    w = load(weight, j, n, g)
    w -= step.rates * g
    store(weight, j, n, w)
    store(gradient, j, vector_width(g), broadcast_like(g, gradient.dtype.type(0)))
    return w


@by_type({Adding: add, Updating: update})
def _weight_after(kernel):
    """Elements j to j + n of the weights, after what a pass does with the gradient's."""
    return lambda step, weight, gradient, j, n, g: kernel(step, weight, gradient, j, n, g)


@inlined_kernel
def pass_over_pending(pattern, step, weight, X, n_features, pending):
    """Add the pending rows, with no others to multiply the weights with."""
    count = vector_width(simd_vector_for(X, weight.dtype.type(0)))
    for j in range(0, n_features, count):
        n = n_features - j
        _weight_after(step, weight, pattern.gradient, j, n, _plus_pending(pattern, X, j, n, pending))


@inlined_kernel
def pass_of_one(pattern, step, weight, X, j, n, pending, begin, z):
    """Add a row times its share to elements j to j + n of the gradient and return z and their product with another."""
    w = _weight_after(step, weight, pattern.gradient, j, n, _plus_pending(pattern, X, j, n, pending))
    return z + w * load(X, begin + j, n, z)


@inlined_kernel
def pass_over_row(pattern, step, weight, X, n_features, pending, begin, prefetched):
    """Add a row times its share to the gradient and return the weights' product with another.

    step : Adding or Updating
    pending : the share, broadcast, and where the row begins          begin : where the other begins
    prefetched : as `prefetch_places` returns it
    """
    none = simd_vector_for(X, weight.dtype.type(0))
    count = vector_width(none)
    n_pairs = n_features // (2 * count) * (2 * count)
    # Two sums side by side, as each has to wait for itself.
    even, odd = none, none
    for j in range(0, n_pairs, 2 * count):
        even = pass_of_one(pattern, step, weight, X, j, count, pending, begin, even)
        prefetch_row(prefetched, X, j)
        odd = pass_of_one(pattern, step, weight, X, j + count, count, pending, begin, odd)
    for j in range(n_pairs, n_features, count):
        even = pass_of_one(pattern, step, weight, X, j, n_features - j, pending, begin, even)
        prefetch_row(prefetched, X, j)
    # A line that no pass has prefetched, as rows begin anywhere in one.
    prefetch_row(prefetched, X, n_features - 1)
    return horizontal_sum(even + odd)


@inlined_kernel
def _load_row(pattern, i, X, begin, j, n, like):
    return load(X, begin + j, n, like)


@inlined_kernel
def _load_and_keep_row(pattern, i, X, begin, j, n, like):
    x, count = load(X, begin + j, n, like), vector_width(like)
    store(pattern.kept, ROWS_AT_ONCE * j + i * count, count, x)
    return x


@by_type({By4: _load_row, Converted: _load_and_keep_row})
def _take_row(kernel):
    """Elements j to j + n of the i-th of four rows, which begins at a place in X."""
    return lambda pattern, i, X, begin, j, n, like: kernel(pattern, i, X, begin, j, n, like)


@inlined_kernel
def pass_of_fours(pattern, step, weight, X, j, n, pending, places, prefetched, sums):
    """Add four rows times their shares to elements j to j + n of the gradient, and the weights' products with four
    others to the sums.

    prefetched : two of what `prefetch_places_of_4` returns
    """
    a0, a1, a2, a3 = places
    z0, z1, z2, z3 = sums
    w = _weight_after(step, weight, pattern.gradient, j, n, _plus_pending(pattern, X, j, n, pending))
    h0, h1 = prefetched
    prefetch_row(h0, X, j)
    prefetch_row(h1, X, j)
    return (
        z0 + w * _take_row(pattern, 0, X, a0, j, n, z0),
        z1 + w * _take_row(pattern, 1, X, a1, j, n, z0),
        z2 + w * _take_row(pattern, 2, X, a2, j, n, z0),
        z3 + w * _take_row(pattern, 3, X, a3, j, n, z0),
    )


@inlined_kernel
def pass_over_fours(pattern, step, weight, X, n_features, pending, places, prefetched):
    """Add four rows times their shares to the gradient and return the weights' products with four others.

    step : Adding or Updating          prefetched : as `prefetch_places_of_4` returns it
    pending : the shares, broadcast, and where the rows begin          places : where the others begin
    """
    none = simd_vector_for(X, weight.dtype.type(0))
    count = vector_width(none)
    n_full = n_features // count * count
    h0, h1, h2, h3 = prefetched
    sums = (none, none, none, none)
    for j in range(0, n_full, count):
        sums = pass_of_fours(pattern, step, weight, X, j, count, pending, places, (h0, h1), sums)
        # A line of the cache is as long as two passes or more: each prefetches lines of two rows.
        h0, h1, h2, h3 = h2, h3, h0, h1
    if n_full < n_features:
        n_rest = n_features - n_full
        sums = pass_of_fours(pattern, step, weight, X, n_full, n_rest, pending, places, (h0, h1), sums)
        h0, h1 = h2, h3
    # The two rows that the last pass did not prefetch, which may have been the only one.
    prefetch_row(h0, X, n_features - 1)
    prefetch_row(h1, X, n_features - 1)
    return horizontal_sum(sums[0]), horizontal_sum(sums[1]), horizontal_sum(sums[2]), horizontal_sum(sums[3])


@inlined_kernel
def _no_row(pattern, none, begin):
    return none, begin


@inlined_kernel
def _no_rows(pattern, none, begin):
    return (none, none, none, none), (begin, begin, begin, begin)


@by_type({RowByRow: _no_row, By4: _no_rows, Converted: _no_rows})
def nothing_pending(kernel):
    """Pending rows where all is added: shares of zero, of any row that is seen anyway, as a bad one leaves its trace.

    none : zero, broadcast          begin : where the row begins
    """
    return lambda pattern, none, begin: kernel(pattern, none, begin)


@inlined_kernel
def _forget_nothing(pattern):
    return


@inlined_kernel
def _forget_rows(pattern):
    pattern.kept[:] = 0


@by_type({RowByRow: _forget_nothing, By4: _forget_nothing, Converted: _forget_rows})
def forget(kernel):
    """Clear the rows that are kept, which a call that was not finite may have left as NaN."""
    return lambda pattern: kernel(pattern)
