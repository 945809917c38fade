"""The training loop of a single output neuron on batches of rows, for every optimiser and regularisation.

As in `neuron_online.py`, the rows stay where they are. One pass adds rows to the gradient and multiplies the weights
with the next ones, so that memory is read without a pause, and each row is needed twice within a short while. Wide rows
come one by one: that is how memory is read fastest. Narrow ones come in fours, for fewer loads and stores, and so do
those of narrow numbers, which are converted once and kept for the next pass.

Where an update is no more than  w -= rate · g,  the first pass of a batch makes it on its way: it adds the last rows
of the batch before, takes the step, clears the gradient, and multiplies the new weights with the batch's first rows.
There the loop waits, from one z through the weights to the next: some 30 cycles in each batch of narrow rows. Any other
update follows a pass that only adds what is left. Apart from that and from memory, a Zen 4 is busy with loads, two a
cycle: eight for each 16 features of a row by itself, and more where they lie across two lines of the cache; and with
bytes, as it takes two cycles to convert 16, and one for each of their two multiply-adds.
"""

from typing import Any, NamedTuple

import numpy as np

from ..codegen.jit import by_type, inlined_kernel, kernel
from ..codegen.simd import broadcast_like, horizontal_sum, lane_count, load, simd_vector_for, store
from ..codegen.views import element, vector
from ..optim.bounded import MEAN_SQUARE
from ..optim.step import call_apply_gradient
from ..tuning import ROW_L1_BYTES, ROW_L1_ROWS
from .neuron_online import loss_and_grad, total_weight, weight_of
from .neuron_online_by_4 import ROWS_AT_ONCE, prefetch_places_of_4
from .row_order import n_samples_of, prefetch_places, prefetch_row, row, target_row


class RowByRow(NamedTuple):
    """One row in a pass."""


class By4(NamedTuple):
    """Four rows in a pass."""


class Converted(NamedTuple):
    """Four rows in a pass, kept as the model's numbers for the next one.

    kept : (4 · n_features, rounded up to whole registers,), scratch: a register of each row by turns
    """

    # Row after row, stores of one could stay a multiple of 4096 bytes ahead of loads from the weights or the gradient.
    # A processor takes these for the same place, and the loads wait: three times as long in all.
    kept: np.ndarray


@inlined_kernel
def plus_row(pattern, gradient, X, j, n, share, before):
    """Lanes j to j + n of the gradient, and a row times its share."""
    return load(gradient, j, lane_count(share), share) + share * load(X, before + j, n, share)


@inlined_kernel
def plus_rows(pattern, gradient, X, j, n, shares, places):
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
def plus_kept(pattern, gradient, X, j, n, shares, places):
    """Lanes j to j + n of the gradient, and the four rows that are kept times their shares."""
    d0, d1, d2, d3 = shares
    count = lane_count(d0)
    place = ROWS_AT_ONCE * j
    g = load(gradient, j, count, d0)
    g += d0 * load(pattern.kept, place, count, d0)
    g += d1 * load(pattern.kept, place + count, count, d0)
    g += d2 * load(pattern.kept, place + 2 * count, count, d0)
    g += d3 * load(pattern.kept, place + 3 * count, count, d0)
    return g


@by_type({RowByRow: plus_row, By4: plus_rows, Converted: plus_kept})
def plus_left(kernel):
    """Lanes j to j + n of the gradient, and the rows that are left, times their shares."""
    return lambda pattern, gradient, X, j, n, left: kernel(pattern, gradient, X, j, n, left[0], left[1])


class Adding(NamedTuple):
    """A pass that adds the rows that are left to the gradient."""


class Updating(NamedTuple):
    """A pass after which the gradient is complete: it makes the update  w -= rate · g  and clears the gradient.

    rates : the rate in every lane
    """

    rates: Any


@inlined_kernel
def add(step, weight, gradient, j, n, g):
    store(gradient, j, lane_count(g), g)
    return load(weight, j, n, g)


@inlined_kernel
def update(step, weight, gradient, j, n, g):
    w = load(weight, j, n, g)
    w -= step.rates * g
    store(weight, j, n, w)
    store(gradient, j, lane_count(g), broadcast_like(g, gradient.dtype.type(0)))
    return w


@by_type({Adding: add, Updating: update})
def weight_after(kernel):
    """Lanes j to j + n of the weights, after what a pass does with the gradient's."""
    return lambda step, weight, gradient, j, n, g: kernel(step, weight, gradient, j, n, g)


@inlined_kernel
def pass_over_left(pattern, step, weight, gradient, X, n_features, left):
    """Add the rows that are left, with no others to multiply the weights with."""
    count = lane_count(simd_vector_for(X, gradient.dtype.type(0)))
    for j in range(0, n_features, count):
        n = n_features - j
        weight_after(step, weight, gradient, j, n, plus_left(pattern, gradient, X, j, n, left))


@inlined_kernel
def pass_of_one(pattern, step, weight, gradient, X, j, n, left, begin, z):
    """Add a row times its share to lanes j to j + n of the gradient and return z and their product with another."""
    w = weight_after(step, weight, gradient, j, n, plus_left(pattern, gradient, X, j, n, left))
    return z + w * load(X, begin + j, n, z)


@inlined_kernel
def pass_over_row(pattern, step, weight, gradient, X, n_features, left, begin, ahead):
    """Add a row times its share to the gradient and return the weights' product with another.

    step : Adding or Updating
    left : the share, in lanes, and where the row begins          begin : where the other begins
    gradient : (n_features and at least the lanes more,)          ahead : as `prefetch_places` returns it
    """
    none = simd_vector_for(X, weight.dtype.type(0))
    count = lane_count(none)
    n_pairs = n_features // (2 * count) * (2 * count)
    # Two sums side by side, as each has to wait for itself.
    even, odd = none, none
    for j in range(0, n_pairs, 2 * count):
        even = pass_of_one(pattern, step, weight, gradient, X, j, count, left, begin, even)
        prefetch_row(ahead, X, j)
        odd = pass_of_one(pattern, step, weight, gradient, X, j + count, count, left, begin, odd)
    for j in range(n_pairs, n_features, count):
        even = pass_of_one(pattern, step, weight, gradient, X, j, n_features - j, left, begin, even)
        prefetch_row(ahead, X, j)
    # A line that no pass has asked for, as rows begin anywhere in one.
    prefetch_row(ahead, X, n_features - 1)
    return horizontal_sum(even + odd)


@inlined_kernel
def add_micro_batch_row_by_row(pattern, neuron, parameters, loss, rows, samples, gradient, left, rate):
    """As `add_micro_batch`, for wide rows."""
    number = parameters.dtype.type
    zero = number(0)
    X, targets, weights, order = rows.X, vector(rows.y), rows.weights, rows.order
    n_features = neuron.n_features
    weight, bias_size = parameters[:n_features], parameters.size - n_features
    bias = parameters[n_features] if bias_size else zero
    none = simd_vector_for(X, zero)
    loss_sum, nan_sentinel, d_bias = 0.0, zero, zero
    first, last, scale = samples
    for i in range(first, last):
        r, t = row(order, i), target_row(order, i)
        begin, ahead = r * n_features, prefetch_places(order, i, ROW_L1_ROWS, n_features, X, targets, ROW_L1_BYTES)
        if i == first:
            step = Updating(broadcast_like(none, rate))
            z = pass_over_row(pattern, step, weight, gradient, X, n_features, left, begin, ahead) + bias
        else:
            z = pass_over_row(pattern, Adding(), weight, gradient, X, n_features, left, begin, ahead) + bias
        value, d = loss_and_grad(neuron, loss, z, element(targets, t), weight_of(weights, t, number(1)))
        loss_sum += value
        # Zero, unless a z is NaN or infinite: a ReLU at minus infinity would otherwise leave no trace of a bad row.
        nan_sentinel += z * zero
        d *= scale
        d_bias += d
        left = broadcast_like(none, d), begin
    return loss_sum + nan_sentinel, d_bias, left


@inlined_kernel
def load_row(pattern, i, X, begin, j, n, like):
    return load(X, begin + j, n, like)


@inlined_kernel
def load_and_keep_row(pattern, i, X, begin, j, n, like):
    x, count = load(X, begin + j, n, like), lane_count(like)
    store(pattern.kept, ROWS_AT_ONCE * j + i * count, count, x)
    return x


@by_type({By4: load_row, Converted: load_and_keep_row})
def take_row(kernel):
    """Lanes j to j + n of the i-th of four rows, which begins at a place in X."""
    return lambda pattern, i, X, begin, j, n, like: kernel(pattern, i, X, begin, j, n, like)


@inlined_kernel
def pass_of_fours(pattern, step, weight, gradient, X, j, n, left, places, ahead, sums):
    """Add four rows times their shares to lanes j to j + n of the gradient, and the products of the weights with four
    others to the sums.

    ahead : two of what `prefetch_places_of_4` returns
    """
    a0, a1, a2, a3 = places
    z0, z1, z2, z3 = sums
    w = weight_after(step, weight, gradient, j, n, plus_left(pattern, gradient, X, j, n, left))
    h0, h1 = ahead
    prefetch_row(h0, X, j)
    prefetch_row(h1, X, j)
    return (
        z0 + w * take_row(pattern, 0, X, a0, j, n, z0),
        z1 + w * take_row(pattern, 1, X, a1, j, n, z0),
        z2 + w * take_row(pattern, 2, X, a2, j, n, z0),
        z3 + w * take_row(pattern, 3, X, a3, j, n, z0),
    )


@inlined_kernel
def pass_over_fours(pattern, step, weight, gradient, X, n_features, left, places, ahead):
    """Add four rows times their shares to the gradient and return the weights' products with four others.

    step, gradient : as for `pass_over_row`          ahead : as `prefetch_places_of_4` returns it
    left : the shares, in lanes, and where the rows begin          places : where the others begin
    """
    none = simd_vector_for(X, weight.dtype.type(0))
    count = lane_count(none)
    n_full = n_features // count * count
    h0, h1, h2, h3 = ahead
    sums = (none, none, none, none)
    for j in range(0, n_full, count):
        sums = pass_of_fours(pattern, step, weight, gradient, X, j, count, left, places, (h0, h1), sums)
        # A line of the cache is as long as two passes or more: each asks for lines of two rows.
        h0, h1, h2, h3 = h2, h3, h0, h1
    if n_full < n_features:
        n_rest = n_features - n_full
        sums = pass_of_fours(pattern, step, weight, gradient, X, n_full, n_rest, left, places, (h0, h1), sums)
        h0, h1 = h2, h3
    # The two rows that the last pass did not ask for, which may have been the only one.
    prefetch_row(h0, X, n_features - 1)
    prefetch_row(h1, X, n_features - 1)
    return horizontal_sum(sums[0]), horizontal_sum(sums[1]), horizontal_sum(sums[2]), horizontal_sum(sums[3])


@inlined_kernel
def add_micro_batch_by_4(pattern, neuron, parameters, loss, rows, samples, gradient, left, rate):
    """As `add_micro_batch`, for narrow rows."""
    number = parameters.dtype.type
    zero, one = number(0), number(1)
    X, targets, weights, order = rows.X, vector(rows.y), rows.weights, rows.order
    n_features = neuron.n_features
    weight, bias_size = parameters[:n_features], parameters.size - n_features
    bias = parameters[n_features] if bias_size else zero
    none = simd_vector_for(X, zero)
    loss_sum, nan_sentinel, d_bias = 0.0, zero, zero
    first, last, scale = samples
    for i in range(first, last, ROWS_AT_ONCE):
        # Where the samples do not fill the four, the last one is repeated and counts for nothing.
        i1, i2, i3 = min(i + 1, last - 1), min(i + 2, last - 1), min(i + 3, last - 1)
        r0, r1, r2, r3 = row(order, i), row(order, i1), row(order, i2), row(order, i3)
        places = (r0 * n_features, r1 * n_features, r2 * n_features, r3 * n_features)
        t0, t1, t2, t3 = target_row(order, i), target_row(order, i1), target_row(order, i2), target_row(order, i3)
        ahead = prefetch_places_of_4(order, (i, i1, i2, i3), n_features, X, targets)
        if i == first:
            step = Updating(broadcast_like(none, rate))
            sums = pass_over_fours(pattern, step, weight, gradient, X, n_features, left, places, ahead)
        else:
            sums = pass_over_fours(pattern, Adding(), weight, gradient, X, n_features, left, places, ahead)
        z0, z1, z2, z3 = sums
        z0, z1, z2, z3 = z0 + bias, z1 + bias, z2 + bias, z3 + bias
        v0, v1 = weight_of(weights, t0, one), weight_of(weights, t1, one)
        v2, v3 = weight_of(weights, t2, one), weight_of(weights, t3, one)
        value0, d0 = loss_and_grad(neuron, loss, z0, element(targets, t0), v0)
        value1, d1 = loss_and_grad(neuron, loss, z1, element(targets, t1), v1)
        value2, d2 = loss_and_grad(neuron, loss, z2, element(targets, t2), v2)
        value3, d3 = loss_and_grad(neuron, loss, z3, element(targets, t3), v3)
        if i3 < i + 3:
            value1, d1 = (value1, d1) if i1 > i else (0.0, zero)
            value2, d2 = (value2, d2) if i2 > i1 else (0.0, zero)
            value3, d3 = 0.0, zero
        loss_sum += value0 + value1 + value2 + value3
        d0, d1, d2, d3 = scale * d0, scale * d1, scale * d2, scale * d3
        # Zero, unless a z is NaN or infinite: a ReLU at minus infinity would otherwise leave no trace of a bad row.
        nan_sentinel += (z0 + z1 + z2 + z3) * zero
        d_bias += d0 + d1 + d2 + d3
        left = (
            (broadcast_like(none, d0), broadcast_like(none, d1), broadcast_like(none, d2), broadcast_like(none, d3)),
            places,
        )
    return loss_sum + nan_sentinel, d_bias, left


@by_type({RowByRow: add_micro_batch_row_by_row, By4: add_micro_batch_by_4, Converted: add_micro_batch_by_4})
def add_micro_batch(kernel):
    """Make the update that is due, then add the gradient of a micro-batch, but for its last rows; without the bias.

    Return the sum of losses, the bias' gradient, and what is left: shares, and rows' places.

    samples : the first, the one after the last, and what gradients are multiplied by
    gradient : (n_features and at least the lanes more,), what the chunk before has added up
    left : what that micro-batch has left          rate : of the update that is due; none is where all this is zero
    """
    return lambda pattern, neuron, parameters, loss, rows, samples, gradient, left, rate: kernel(
        pattern, neuron, parameters, loss, rows, samples, gradient, left, rate
    )


@inlined_kernel
def no_row(pattern, none, begin):
    return none, begin


@inlined_kernel
def no_rows(pattern, none, begin):
    return (none, none, none, none), (begin, begin, begin, begin)


@by_type({RowByRow: no_row, By4: no_rows, Converted: no_rows})
def nothing_left(kernel):
    """What is left where all is added: shares of zero, of any row that is seen anyway, as a bad one leaves its trace.

    none : zero in every lane          begin : where the row begins
    """
    return lambda pattern, none, begin: kernel(pattern, none, begin)


@inlined_kernel
def forget_nothing(pattern):
    return


@inlined_kernel
def forget_rows(pattern):
    pattern.kept[:] = 0


@by_type({RowByRow: forget_nothing, By4: forget_nothing, Converted: forget_rows})
def forget(kernel):
    """Clear the rows that are kept, which a call that was not finite may have left as NaN."""
    return lambda pattern: kernel(pattern)


@inlined_kernel
def mean_square_along(neuron, direction, rows, first, last):
    """The mean over samples first to last of v (s·x + s_b)², for the direction s of a step that is to be bounded."""
    one = direction.dtype.type(1)
    X, n_features = rows.X, neuron.n_features
    of_bias = direction[n_features] if direction.size > n_features else direction.dtype.type(0)
    none = simd_vector_for(X, direction.dtype.type(0))
    count = lane_count(none)
    n_pairs = n_features // (2 * count) * (2 * count)
    squares = 0.0
    for i in range(first, last):
        begin = row(rows.order, i) * n_features
        even, odd = none, none
        for j in range(0, n_pairs, 2 * count):
            even += load(direction, j, count, none) * load(X, begin + j, count, none)
            odd += load(direction, j + count, count, none) * load(X, begin + j + count, count, none)
        for j in range(n_pairs, n_features, count):
            even += load(direction, j, n_features - j, none) * load(X, begin + j, n_features - j, none)
        change = np.float64(horizontal_sum(even + odd) + of_bias)
        squares += change * change * weight_of(rows.weights, target_row(rows.order, i), one)
    return squares / (last - first)


@kernel
def train_neuron_batch(
    pattern, neuron, vectors, scratch, loss, rule, rates, rows, batch_size, micro_batch_rows, progress
):
    """Train on consecutive samples of an epoch, one update after each batch; a batch of weight zero counts for nothing.

    pattern : RowByRow or By4
    neuron : LinearNeuron or ReLUNeuron          vectors : Vectors, modified in place
    scratch : (n_features and at least the lanes more,): a load from where fewer lanes than all were just stored would
        have to wait for them
    loss : a record of `loss.py` that is summed over outputs
    rule : UpdateRule, of an optimiser that observes nothing
    rates : (n,) float64, the learning rates of this call's updates; the last one serves all later ones
    rows : Rows
    batch_size, micro_batch_rows : int; samples end where a micro-batch ends
    progress : Progress, modified in place
    """
    parameters, gradient, n_features = vectors.parameters, vectors.gradient, neuron.n_features
    number = parameters.dtype.type
    n_before = n_updates = progress.n_updates[0]
    first, n_epoch = progress.position[0], progress.n_rows[0]
    loss_sum, weight_sum = progress.loss_sum[0], progress.batch_weight[0]
    n_samples = n_samples_of(rows.order, rows.y)
    weight, none = parameters[:n_features], simd_vector_for(rows.X, number(0))
    rate, is_due = number(0), False
    scratch[:] = 0
    forget(pattern)
    start, done = 0, first % batch_size
    while start < n_samples:
        batch_rows = min(batch_size, n_epoch - (first + start - done))
        stop = min(start + min(micro_batch_rows, batch_rows - done), n_samples)
        samples = (start, stop, number(1.0 / batch_rows))
        if not is_due:
            left = nothing_left(pattern, none, row(rows.order, start) * n_features)
        losses, d_bias, left = add_micro_batch(pattern, neuron, parameters, loss, rows, samples, scratch, left, rate)
        loss_sum += losses
        weight_sum += total_weight(rows.weights, rows.order, start, stop)
        is_first, ends = done == 0, done + stop - start == batch_rows
        counts = ends and weight_sum > 0
        if counts:
            n_updates += 1
            rate = number(element(rates, min(n_updates - n_before, rates.size) - 1))
        is_due = counts and is_first and rule.is_direct
        if is_due:
            if parameters.size > n_features:
                parameters[n_features] -= rate * d_bias
        else:
            pass_over_left(pattern, Adding(), weight, scratch, rows.X, n_features, left)
            if is_first:
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
                call_apply_gradient(rule.apply_gradient, (vectors, rule.step, rate, n_updates))
                if rule.step_along != 0:
                    vectors.scalars[MEAN_SQUARE] = mean_square_along(neuron, gradient, rows, start, stop)
                    call_apply_gradient(rule.step_along, (vectors, rule.step, rate, n_updates))
        done = 0 if ends else done + stop - start
        if ends:
            weight_sum = 0.0
        start = stop
    if is_due:
        pass_over_left(pattern, Updating(broadcast_like(none, rate)), weight, scratch, rows.X, n_features, left)
    progress.n_updates[0], progress.position[0] = n_updates, first + n_samples
    progress.loss_sum[0], progress.batch_weight[0] = loss_sum, weight_sum
