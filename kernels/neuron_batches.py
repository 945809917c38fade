"""The training loop of a single output neuron on batches of rows, for every optimiser and regularisation.

As in `neuron.py`, the rows stay where they are. One pass adds rows to the gradient and multiplies the weights with the
next ones, so that memory is read without a pause, and each row is needed twice within a short while. Wide rows come one
by one: that is how memory is read fastest. Narrow ones come in fours, for fewer loads and stores.
"""

from typing import NamedTuple

import numpy as np

from ._jit import by_type, inlined_kernel, kernel
from .addressed import call_at
from .lanes import lane_count, lanes_for, load, spread, store, total
from .neuron import ROW_AHEAD, ROWS_AT_ONCE, four_ahead, respond
from .order import ask_for, look_ahead, n_samples_of, row
from .views import element, vector


class RowByRow(NamedTuple):
    """One row in a pass."""


class ByFours(NamedTuple):
    """Four rows in a pass."""


@inlined_kernel
def pass_of_one(weight, gradient, X, j, n, share, before, begin, z):
    """Add a row times its share to lanes j to j + n of the gradient and return z and their product with another."""
    count = lane_count(share)
    store(gradient, j, count, load(gradient, j, count, share) + share * load(X, before + j, n, share))
    return z + load(weight, j, n, share) * load(X, begin + j, n, share)


@inlined_kernel
def pass_over_row(weight, gradient, X, n_features, share, before, begin, ahead):
    """Add a row times its share to the gradient and return the weights' product with another.

    before, begin : where the rows begin          ahead : as `look_ahead` returns it
    share : lanes          gradient : (n_features and at least the lanes more,)
    """
    none = lanes_for(X, weight.dtype.type(0))
    count = lane_count(none)
    n_pairs = n_features // (2 * count) * (2 * count)
    # Two sums side by side, as each has to wait for itself.
    even, odd = none, none
    for j in range(0, n_pairs, 2 * count):
        even = pass_of_one(weight, gradient, X, j, count, share, before, begin, even)
        ask_for(ahead, X, j)
        odd = pass_of_one(weight, gradient, X, j + count, count, share, before, begin, odd)
    for j in range(n_pairs, n_features, count):
        even = pass_of_one(weight, gradient, X, j, n_features - j, share, before, begin, even)
    # A line that no step of the loop has asked for, as rows begin anywhere in one.
    ask_for(ahead, X, n_features - 1)
    return total(even + odd)


@inlined_kernel
def add_chunk_row_by_row(pattern, neuron, parameters, loss, rows, first, last, scale, scratch, gradient):
    """As `add_chunk`, for wide rows."""
    number = parameters.dtype.type
    zero = number(0)
    X, targets, sample_weight, order = rows.X, vector(rows.y), rows.sample_weight, rows.order
    n_features = neuron.n_features
    weight, bias_size = parameters[:n_features], parameters.size - n_features
    bias = parameters[n_features] if bias_size else zero
    none = lanes_for(X, zero)
    scratch[:] = 0
    loss_sum, weights, trace, d_bias, v = 0.0, 0.0, zero, zero, number(1)
    share = none
    before = row(order, first) * n_features
    for i in range(first, last):
        t = row(order, i)
        begin, ahead = t * n_features, look_ahead(order, i, 1, n_features, X, targets, ROW_AHEAD)
        z = pass_over_row(weight, scratch, X, n_features, share, before, begin, ahead) + bias
        if sample_weight.size:
            v = element(sample_weight, t)
        value, d = respond(neuron, loss, z, element(targets, t), v)
        loss_sum += value
        weights += abs(v)
        # Zero, unless a z is NaN or infinite: a ReLU at minus infinity would otherwise leave no trace of a bad row.
        trace += z * zero
        d *= scale
        d_bias += d
        share = spread(none, d)
        before = begin
    # A last pass for its row alone.
    pass_over_row(weight, scratch, X, n_features, share, before, before, ahead)
    for j in range(n_features):
        gradient[j] += scratch[j]
    if bias_size:
        gradient[n_features] += d_bias
    return loss_sum + trace, weights


@inlined_kernel
def pass_of_fours(weight, gradient, X, j, n, shares, before, places, ahead, sums):
    """Add four rows times their shares to lanes j to j + n of the gradient, and the products of the weights with four
    others to the sums.

    ahead : two of what `four_ahead` returns
    """
    zero = lanes_for(X, weight.dtype.type(0))
    d0, d1, d2, d3 = shares
    p0, p1, p2, p3 = before
    a0, a1, a2, a3 = places
    z0, z1, z2, z3 = sums
    g = load(gradient, j, n, zero)
    g += d0 * load(X, p0 + j, n, zero)
    g += d1 * load(X, p1 + j, n, zero)
    g += d2 * load(X, p2 + j, n, zero)
    g += d3 * load(X, p3 + j, n, zero)
    store(gradient, j, n, g)
    h0, h1 = ahead
    ask_for(h0, X, j)
    ask_for(h1, X, j)
    w = load(weight, j, n, zero)
    return (
        z0 + w * load(X, a0 + j, n, zero),
        z1 + w * load(X, a1 + j, n, zero),
        z2 + w * load(X, a2 + j, n, zero),
        z3 + w * load(X, a3 + j, n, zero),
    )


@inlined_kernel
def add_chunk_by_fours(pattern, neuron, parameters, loss, rows, first, last, scale, scratch, gradient):
    """As `add_chunk`, for narrow rows."""
    number = parameters.dtype.type
    zero = number(0)
    X, targets, sample_weight, order = rows.X, vector(rows.y), rows.sample_weight, rows.order
    n_features = neuron.n_features
    weight, bias_size = parameters[:n_features], parameters.size - n_features
    bias = parameters[n_features] if bias_size else zero
    none = lanes_for(X, zero)
    count = lane_count(none)
    n_full = n_features // count * count
    n_rest = n_features - n_full
    loss_sum, trace, d_bias = 0.0, zero, zero
    weights = np.float64(last - first)
    v0 = v1 = v2 = v3 = number(1)
    if sample_weight.size:
        weights = 0.0
        for i in range(first, last):
            weights += abs(element(sample_weight, row(order, i)))
    shares = (none, none, none, none)
    begin = row(order, first) * n_features
    before = (begin, begin, begin, begin)
    for i in range(first, last, ROWS_AT_ONCE):
        # Where the samples do not fill the four, the last one is repeated and counts for nothing.
        i1, i2, i3 = min(i + 1, last - 1), min(i + 2, last - 1), min(i + 3, last - 1)
        t0, t1, t2, t3 = row(order, i), row(order, i1), row(order, i2), row(order, i3)
        places = (t0 * n_features, t1 * n_features, t2 * n_features, t3 * n_features)
        h0, h1, h2, h3 = four_ahead(order, (i, i1, i2, i3), n_features, X, targets)
        sums = (none, none, none, none)
        for j in range(0, n_full, count):
            sums = pass_of_fours(weight, gradient, X, j, count, shares, before, places, (h0, h1), sums)
            # A line of the cache is as long as two passes or more: each asks for lines of two rows.
            h0, h1, h2, h3 = h2, h3, h0, h1
        if n_rest:
            sums = pass_of_fours(weight, gradient, X, n_full, n_rest, shares, before, places, (h0, h1), sums)
            h0, h1 = h2, h3
        # The two rows that the last pass did not ask for, which may have been the only one.
        ask_for(h0, X, n_features - 1)
        ask_for(h1, X, n_features - 1)
        z0, z1, z2, z3 = total(sums[0]) + bias, total(sums[1]) + bias, total(sums[2]) + bias, total(sums[3]) + bias
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
        shares = (spread(none, d0), spread(none, d1), spread(none, d2), spread(none, d3))
        before = places
    # A last pass for its rows alone.
    sums = (none, none, none, none)
    for j in range(0, n_full, count):
        sums = pass_of_fours(weight, gradient, X, j, count, shares, before, before, (h0, h1), sums)
    if n_rest:
        sums = pass_of_fours(weight, gradient, X, n_full, n_rest, shares, before, before, (h0, h1), sums)
    if bias_size:
        gradient[n_features] += d_bias
    return loss_sum + trace, weights


@by_type({RowByRow: add_chunk_row_by_row, ByFours: add_chunk_by_fours})
def add_chunk(kernel):
    """Add the gradient of samples first to last, times scale; return their sums of losses and of weights' sizes."""
    return lambda pattern, neuron, parameters, loss, rows, first, last, scale, scratch, gradient: kernel(
        pattern, neuron, parameters, loss, rows, first, last, scale, scratch, gradient
    )


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
    dtype = vectors.parameters.dtype
    n_before = progress[1]
    start = 0
    n_samples = n_samples_of(rows.order, rows.y)
    while start < n_samples:
        done = (first + start) % batch_size
        batch_rows = min(batch_size, n_epoch - (first + start - done))
        stop = min(start + min(chunk_rows, batch_rows - done), n_samples)
        # A long sum of small terms is more exact as a sum of sums.
        gradient = vectors.chunk_gradient if done else vectors.gradient
        gradient[:] = 0
        scale = dtype.type(1.0 / batch_rows)
        losses, weight = add_chunk(
            pattern, neuron, vectors.parameters, loss, rows, start, stop, scale, scratch, gradient
        )
        progress[0] += losses
        progress[2] += weight
        if done:
            for j in range(gradient.size):
                vectors.gradient[j] += gradient[j]
        if done + stop - start == batch_rows:
            if progress[2] > 0:
                progress[1] += 1
                t = np.int64(progress[1])
                rate = dtype.type(rates[min(t - np.int64(n_before), rates.size) - 1])
                if rule.is_direct:
                    for j in range(vectors.parameters.size):
                        vectors.parameters[j] -= rate * vectors.gradient[j]
                else:
                    call_at(rule.apply_gradient, (vectors, rule.step, rate, t))
            progress[2] = 0
        start = stop
