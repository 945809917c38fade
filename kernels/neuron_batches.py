"""The training loop of a single output neuron on batches of rows, for every optimiser and regularisation.

As in `neuron.py`, the rows stay where they are. One pass adds rows to the gradient and multiplies the weights with the
next ones, so that memory is read without a pause, and each row is needed twice within a short while. Wide rows come one
by one: that is how memory is read fastest. Narrow ones come in fours, for fewer loads and stores.

Where an update is no more than  w -= rate · g,  the first pass of the next batch makes it on its way. Otherwise a batch
has further passes: to clear the gradient, to add its last rows, and for the update.
"""

from typing import NamedTuple

import numpy as np

from ._jit import by_type, inlined_kernel, kernel
from .addressed import call_at
from .lanes import lane_count, lanes_for, load, spread, store, total
from .neuron import ROW_AHEAD, respond
from .neuron_by_fours import ROWS_AT_ONCE, four_ahead
from .order import ask_for, look_ahead, n_samples_of, row
from .views import element, vector


class RowByRow(NamedTuple):
    """One row in a pass."""


class ByFours(NamedTuple):
    """Four rows in a pass."""


class WithinBatch(NamedTuple):
    """The pass goes on with the gradient."""


class BatchEnds(NamedTuple):
    """The pass adds the last rows of a batch, and makes the update.

    rate : lanes, the learning rate in each
    """

    rate: tuple


@inlined_kernel
def weights_within_batch(moment, weight, gradient, j, n, g):
    """Keep the gradient."""
    store(gradient, j, lane_count(g), g)
    return load(weight, j, n, g)


@inlined_kernel
def weights_after_batch(moment, weight, gradient, j, n, g):
    """Update, and clear the gradient."""
    w = load(weight, j, n, g)
    w -= moment.rate * g
    store(weight, j, n, w)
    store(gradient, j, lane_count(g), spread(g, weight.dtype.type(0)))
    return w


@by_type({WithinBatch: weights_within_batch, BatchEnds: weights_after_batch})
def weights_at(kernel):
    """Keep lanes j to j + n of the gradient, or update with them and begin anew; return the weights."""
    return lambda moment, weight, gradient, j, n, g: kernel(moment, weight, gradient, j, n, g)


@inlined_kernel
def plus_row(gradient, X, j, n, share, before):
    """Lanes j to j + n of the gradient, and a row times its share."""
    return load(gradient, j, lane_count(share), share) + share * load(X, before + j, n, share)


@inlined_kernel
def pass_of_one(moment, weight, gradient, X, j, n, left, begin, z):
    """Add a row times its share to lanes j to j + n of the gradient and return z and their product with another."""
    share, before = left
    w = weights_at(moment, weight, gradient, j, n, plus_row(gradient, X, j, n, share, before))
    return z + w * load(X, begin + j, n, share)


@inlined_kernel
def pass_over_row(moment, weight, gradient, X, n_features, left, begin, ahead):
    """Add a row times its share to the gradient and return the weights' product with another.

    moment : what `weights_at` chooses by
    left : the share, in lanes, and where the row begins          begin : where the other begins
    gradient : (n_features and at least the lanes more,)          ahead : as `look_ahead` returns it
    """
    none = lanes_for(X, weight.dtype.type(0))
    count = lane_count(none)
    n_pairs = n_features // (2 * count) * (2 * count)
    # Two sums side by side, as each has to wait for itself.
    even, odd = none, none
    for j in range(0, n_pairs, 2 * count):
        even = pass_of_one(moment, weight, gradient, X, j, count, left, begin, even)
        ask_for(ahead, X, j)
        odd = pass_of_one(moment, weight, gradient, X, j + count, count, left, begin, odd)
    for j in range(n_pairs, n_features, count):
        even = pass_of_one(moment, weight, gradient, X, j, n_features - j, left, begin, even)
    # A line that no step of the loop has asked for, as rows begin anywhere in one.
    ask_for(ahead, X, n_features - 1)
    return total(even + odd)


@inlined_kernel
def nothing_left_of_one(pattern, X, zero, begin):
    """As `nothing_left`."""
    return lanes_for(X, zero), begin


@inlined_kernel
def nothing_left_of_fours(pattern, X, zero, begin):
    """As `nothing_left`."""
    none = lanes_for(X, zero)
    return (none, none, none, none), (begin, begin, begin, begin)


@by_type({RowByRow: nothing_left_of_one, ByFours: nothing_left_of_fours})
def nothing_left(kernel):
    """The shares and places of rows that a first pass has to add, where there are none: zero, and some row's place."""
    return lambda pattern, X, zero, begin: kernel(pattern, X, zero, begin)


@inlined_kernel
def add_chunk_row_by_row(pattern, neuron, parameters, loss, rows, samples, gradient, carried):
    """As `add_chunk`, for wide rows."""
    number = parameters.dtype.type
    zero = number(0)
    X, targets, sample_weight, order = rows.X, vector(rows.y), rows.sample_weight, rows.order
    n_features = neuron.n_features
    weight, bias_size = parameters[:n_features], parameters.size - n_features
    bias = parameters[n_features] if bias_size else zero
    none = lanes_for(X, zero)
    loss_sum, weights, trace, d_bias, v = 0.0, 0.0, zero, zero, number(1)
    first, last, scale = samples
    has_ended, rate, left = carried
    if not has_ended:
        left = nothing_left(pattern, X, zero, row(order, first) * n_features)
    for i in range(first, last):
        t = row(order, i)
        begin, ahead = t * n_features, look_ahead(order, i, 1, n_features, X, targets, ROW_AHEAD)
        if has_ended and i == first:
            moment = BatchEnds(spread(none, rate))
            z = pass_over_row(moment, weight, gradient, X, n_features, left, begin, ahead) + bias
        else:
            z = pass_over_row(WithinBatch(), weight, gradient, X, n_features, left, begin, ahead) + bias
        if sample_weight.size:
            v = element(sample_weight, t)
        value, d = respond(neuron, loss, z, element(targets, t), v)
        loss_sum += value
        weights += abs(v)
        # Zero, unless a z is NaN or infinite: a ReLU at minus infinity would otherwise leave no trace of a bad row.
        trace += z * zero
        d *= scale
        d_bias += d
        left = spread(none, d), begin
    return loss_sum + trace, weights, d_bias, left


@inlined_kernel
def plus_rows(gradient, X, j, n, shares, places):
    """Lanes j to j + n of the gradient, and four rows times their shares."""
    d0, d1, d2, d3 = shares
    p0, p1, p2, p3 = places
    g = load(gradient, j, lane_count(d0), d0)
    g += d0 * load(X, p0 + j, n, d0)
    g += d1 * load(X, p1 + j, n, d0)
    g += d2 * load(X, p2 + j, n, d0)
    g += d3 * load(X, p3 + j, n, d0)
    return g


@inlined_kernel
def pass_of_fours(moment, weight, gradient, X, j, n, left, places, ahead, sums):
    """Add four rows times their shares to lanes j to j + n of the gradient, and the products of the weights with four
    others to the sums.

    ahead : two of what `four_ahead` returns
    """
    a0, a1, a2, a3 = places
    z0, z1, z2, z3 = sums
    shares, before = left
    w = weights_at(moment, weight, gradient, j, n, plus_rows(gradient, X, j, n, shares, before))
    h0, h1 = ahead
    ask_for(h0, X, j)
    ask_for(h1, X, j)
    return (
        z0 + w * load(X, a0 + j, n, z0),
        z1 + w * load(X, a1 + j, n, z0),
        z2 + w * load(X, a2 + j, n, z0),
        z3 + w * load(X, a3 + j, n, z0),
    )


@inlined_kernel
def pass_over_fours(moment, weight, gradient, X, n_features, left, places, ahead):
    """Add four rows times their shares to the gradient and return the weights' products with four others.

    moment, gradient : as for `pass_over_row`          ahead : as `four_ahead` returns it
    left : the shares, in lanes, and where the rows begin          places : where the others begin
    """
    none = lanes_for(X, weight.dtype.type(0))
    count = lane_count(none)
    n_full = n_features // count * count
    h0, h1, h2, h3 = ahead
    sums = (none, none, none, none)
    for j in range(0, n_full, count):
        sums = pass_of_fours(moment, weight, gradient, X, j, count, left, places, (h0, h1), sums)
        # A line of the cache is as long as two passes or more: each asks for lines of two rows.
        h0, h1, h2, h3 = h2, h3, h0, h1
    if n_full < n_features:
        n_rest = n_features - n_full
        sums = pass_of_fours(moment, weight, gradient, X, n_full, n_rest, left, places, (h0, h1), sums)
        h0, h1 = h2, h3
    # The two rows that the last pass did not ask for, which may have been the only one.
    ask_for(h0, X, n_features - 1)
    ask_for(h1, X, n_features - 1)
    return total(sums[0]), total(sums[1]), total(sums[2]), total(sums[3])


@inlined_kernel
def add_chunk_by_fours(pattern, neuron, parameters, loss, rows, samples, gradient, carried):
    """As `add_chunk`, for narrow rows."""
    number = parameters.dtype.type
    zero = number(0)
    X, targets, sample_weight, order = rows.X, vector(rows.y), rows.sample_weight, rows.order
    n_features = neuron.n_features
    weight, bias_size = parameters[:n_features], parameters.size - n_features
    bias = parameters[n_features] if bias_size else zero
    none = lanes_for(X, zero)
    loss_sum, trace, d_bias = 0.0, zero, zero
    first, last, scale = samples
    has_ended, rate, left = carried
    if not has_ended:
        left = nothing_left(pattern, X, zero, row(order, first) * n_features)
    weights = np.float64(last - first)
    v0 = v1 = v2 = v3 = number(1)
    if sample_weight.size:
        weights = 0.0
        for i in range(first, last):
            weights += abs(element(sample_weight, row(order, i)))
    for i in range(first, last, ROWS_AT_ONCE):
        # Where the samples do not fill the four, the last one is repeated and counts for nothing.
        i1, i2, i3 = min(i + 1, last - 1), min(i + 2, last - 1), min(i + 3, last - 1)
        t0, t1, t2, t3 = row(order, i), row(order, i1), row(order, i2), row(order, i3)
        places = (t0 * n_features, t1 * n_features, t2 * n_features, t3 * n_features)
        ahead = four_ahead(order, (i, i1, i2, i3), n_features, X, targets)
        if has_ended and i == first:
            moment = BatchEnds(spread(none, rate))
            z0, z1, z2, z3 = pass_over_fours(moment, weight, gradient, X, n_features, left, places, ahead)
        else:
            z0, z1, z2, z3 = pass_over_fours(WithinBatch(), weight, gradient, X, n_features, left, places, ahead)
        z0, z1, z2, z3 = z0 + bias, z1 + bias, z2 + bias, z3 + bias
        if sample_weight.size:
            v0, v1 = element(sample_weight, t0), element(sample_weight, t1)
            v2, v3 = element(sample_weight, t2), element(sample_weight, t3)
        if i3 < i + 3:
            v1, v2, v3 = v1 if i1 > i else zero, v2 if i2 > i1 else zero, zero
        value0, d0 = respond(neuron, loss, z0, element(targets, t0), v0)
        value1, d1 = respond(neuron, loss, z1, element(targets, t1), v1)
        value2, d2 = respond(neuron, loss, z2, element(targets, t2), v2)
        value3, d3 = respond(neuron, loss, z3, element(targets, t3), v3)
        loss_sum += value0 + value1 + value2 + value3
        d0, d1, d2, d3 = scale * d0, scale * d1, scale * d2, scale * d3
        # Zero, unless a z is NaN or infinite: a ReLU at minus infinity would otherwise leave no trace of a bad row.
        trace += (z0 + z1 + z2 + z3) * zero
        d_bias += d0 + d1 + d2 + d3
        left = (spread(none, d0), spread(none, d1), spread(none, d2), spread(none, d3)), places
    return loss_sum + trace, weights, d_bias, left


@by_type({RowByRow: add_chunk_row_by_row, ByFours: add_chunk_by_fours})
def add_chunk(kernel):
    """Add the gradient of a chunk to another, but for the last pass's rows; the bias has no part in either.

    Return the sums of losses and of weights' sizes, the bias' gradient, and what is left: shares, and rows' places.

    samples : the first, the one after the last, and what gradients are multiplied by
    gradient : (n_features and at least the lanes more,), zero where no batch has ended
    carried : whether a batch has ended and the update is to be made, its learning rate, and what is left of it
    """
    return lambda pattern, neuron, parameters, loss, rows, samples, gradient, carried: kernel(
        pattern, neuron, parameters, loss, rows, samples, gradient, carried
    )


@by_type({RowByRow: plus_row, ByFours: plus_rows})
def plus_left(kernel):
    """Lanes j to j + n of the gradient, and the rows that are left, times their shares."""
    return lambda pattern, gradient, X, j, n, left: kernel(gradient, X, j, n, left[0], left[1])


@inlined_kernel
def add_left(pattern, gradient, X, n_features, left):
    """Add the rows that are left."""
    count = lane_count(lanes_for(X, gradient.dtype.type(0)))
    for j in range(0, n_features, count):
        store(gradient, j, count, plus_left(pattern, gradient, X, j, n_features - j, left))


@kernel
def train_neuron_in_batches(pattern, neuron, vectors, scratch, loss, rule, rates, rows, batch, chunk_rows, progress):
    """Train on consecutive samples of an epoch, one update after each batch; a batch of weight zero counts for nothing.

    pattern : RowByRow or ByFours
    neuron : LinearNeuron or ReLUNeuron          vectors : Vectors, modified in place
    scratch : (n_features and at least the lanes more,): a load from where fewer lanes than all were just stored would
        have to wait for them
    loss : a record of `loss.py` that is summed over outputs
    rule : UpdateRule, of an optimiser that observes nothing
    rates : (n,) float64, the learning rates of this call's updates; the last one serves all later ones
    rows : Rows
    batch, progress : as for `train_network`          chunk_rows : int, the chunks' length; samples end where one ends
    """
    batch_size, first, n_epoch = batch
    parameters, gradient, n_features = vectors.parameters, vectors.gradient, neuron.n_features
    number = parameters.dtype.type
    n_before = np.int64(progress[1])
    start = 0
    n_samples = n_samples_of(rows.order, rows.y)
    left = nothing_left(pattern, rows.X, number(0), 0)
    has_ended, rate = False, number(0)
    scratch[:] = 0
    while start < n_samples:
        done = (first + start) % batch_size
        batch_rows = min(batch_size, n_epoch - (first + start - done))
        stop = min(start + min(chunk_rows, batch_rows - done), n_samples)
        samples, carried = (start, stop, number(1.0 / batch_rows)), (has_ended, rate, left)
        losses, weight, d_bias, left = add_chunk(pattern, neuron, parameters, loss, rows, samples, scratch, carried)
        progress[0] += losses
        progress[2] += weight
        ends = done + stop - start == batch_rows
        counts = ends and progress[2] > 0
        if counts:
            progress[1] += 1
            rate = number(element(rates, min(np.int64(progress[1]) - n_before, rates.size) - 1))
        has_ended = counts and done == 0 and rule.is_direct
        if has_ended:
            if parameters.size > n_features:
                parameters[n_features] -= rate * d_bias
        else:
            add_left(pattern, scratch, rows.X, n_features, left)
            if done == 0:
                gradient[:] = 0
            # A long sum of small terms is more exact as a sum of sums.
            for j in range(n_features):
                gradient[j] += scratch[j]
            if parameters.size > n_features:
                gradient[n_features] += d_bias
            scratch[:] = 0
            if counts and rule.is_direct:
                for j in range(parameters.size):
                    parameters[j] -= rate * gradient[j]
            elif counts:
                call_at(rule.apply_gradient, (vectors, rule.step, rate, np.int64(progress[1])))
        if ends:
            progress[2] = 0
        start = stop
    if has_ended:
        add_left(pattern, scratch, rows.X, n_features, left)
        for j in range(n_features):
            parameters[j] -= rate * scratch[j]
