"""The training loop of a single output neuron on batches of rows, for every optimiser and regularisation.

The passes over rows that it is made of, and what they wait for, stand in `neuron_batch_passes.py`.
"""

import numpy as np

from ..codegen.integers import minimum
from ..codegen.jit import by_type, inlined_kernel, kernel
from ..codegen.simd import broadcast_like, horizontal_sum, load, simd_vector_for, vector_width
from ..codegen.views import element, vector
from ..optim.step import apply_step_along, call_apply_gradient
from ..tuning import ROW_L1_BYTES, ROW_L1_ROWS
from .neuron_batch_passes import (
    Adding,
    By4,
    Converted,
    RowByRow,
    Updating,
    forget,
    nothing_pending,
    pass_over_fours,
    pass_over_pending,
    pass_over_row,
)
from .neuron_online import loss_and_grad, losses_and_grads, total_weight, weight_of
from .neuron_online_by_4 import ROWS_AT_ONCE, prefetch_places_of_4
from .progress import begin_next_epoch
from .row_access import n_samples_of, prefetch_places, row, target_row


@inlined_kernel
def _add_micro_batch_row_by_row(pattern, neuron, parameters, loss, rows, samples, pending, rate):
    """As `_add_micro_batch`, for wide rows."""
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
        begin, prefetched = r * n_features, prefetch_places(order, i, ROW_L1_ROWS, n_features, X, targets, ROW_L1_BYTES)
        if i == first:
            step = Updating(broadcast_like(none, rate))
            z = pass_over_row(pattern, step, weight, X, n_features, pending, begin, prefetched) + bias
        else:
            z = pass_over_row(pattern, Adding(), weight, X, n_features, pending, begin, prefetched) + bias
        value, d = loss_and_grad(neuron, loss, z, element(targets, t), weight_of(weights, t, number(1)))
        loss_sum += value
        # Zero, unless a z is NaN or infinite: a ReLU at minus infinity would otherwise leave no trace of a bad row.
        nan_sentinel += z * zero
        d *= scale
        d_bias += d
        pending = broadcast_like(none, d), begin
    return loss_sum + nan_sentinel, d_bias, pending


@inlined_kernel
def _add_micro_batch_by_4(pattern, neuron, parameters, loss, rows, samples, pending, rate):
    """As `_add_micro_batch`, for narrow rows."""
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
        i1, i2, i3 = minimum(i + 1, last - 1), minimum(i + 2, last - 1), minimum(i + 3, last - 1)
        r0, r1, r2, r3 = row(order, i), row(order, i1), row(order, i2), row(order, i3)
        places = (r0 * n_features, r1 * n_features, r2 * n_features, r3 * n_features)
        t0, t1, t2, t3 = target_row(order, i), target_row(order, i1), target_row(order, i2), target_row(order, i3)
        prefetched = prefetch_places_of_4(order, (i, i1, i2, i3), n_features, X, targets)
        if i == first:
            step = Updating(broadcast_like(none, rate))
            sums = pass_over_fours(pattern, step, weight, X, n_features, pending, places, prefetched)
        else:
            sums = pass_over_fours(pattern, Adding(), weight, X, n_features, pending, places, prefetched)
        z0, z1, z2, z3 = sums
        z0, z1, z2, z3 = z0 + bias, z1 + bias, z2 + bias, z3 + bias
        v0, v1 = weight_of(weights, t0, one), weight_of(weights, t1, one)
        v2, v3 = weight_of(weights, t2, one), weight_of(weights, t3, one)
        y = (element(targets, t0), element(targets, t1), element(targets, t2), element(targets, t3))
        values, d = losses_and_grads(neuron, loss, (z0, z1, z2, z3), y, (v0, v1, v2, v3))
        value0, value1, value2, value3 = values
        d0, d1, d2, d3 = d
        if i3 < i + 3:
            value1, d1 = (value1, d1) if i1 > i else (0.0, zero)
            value2, d2 = (value2, d2) if i2 > i1 else (0.0, zero)
            value3, d3 = 0.0, zero
        loss_sum += value0 + value1 + value2 + value3
        d0, d1, d2, d3 = scale * d0, scale * d1, scale * d2, scale * d3
        # Zero, unless a z is NaN or infinite: a ReLU at minus infinity would otherwise leave no trace of a bad row.
        nan_sentinel += (z0 + z1 + z2 + z3) * zero
        d_bias += d0 + d1 + d2 + d3
        pending = (
            (broadcast_like(none, d0), broadcast_like(none, d1), broadcast_like(none, d2), broadcast_like(none, d3)),
            places,
        )
    return loss_sum + nan_sentinel, d_bias, pending


@by_type({RowByRow: _add_micro_batch_row_by_row, By4: _add_micro_batch_by_4, Converted: _add_micro_batch_by_4})
def _add_micro_batch(kernel):
    """Make the update that is due, then add the gradient of a micro-batch, but for its last rows; without the bias.

    Return the sum of losses, the bias' gradient, and the pending rows: shares, and places.

    samples : the first, the one after the last, and what gradients are multiplied by
    pending : of the micro-batch before; shares of zero where none are          rate : of the update that is due
    """
    return lambda pattern, neuron, parameters, loss, rows, samples, pending, rate: kernel(
        pattern, neuron, parameters, loss, rows, samples, pending, rate
    )


@inlined_kernel
def mean_square_along(neuron, direction, rows, first, last):
    """The mean over samples first to last of v (s·x + s_b)², for the direction s of a step that is to be bounded."""
    one = direction.dtype.type(1)
    X, n_features = rows.X, neuron.n_features
    of_bias = direction[n_features] if direction.size > n_features else direction.dtype.type(0)
    none = simd_vector_for(X, direction.dtype.type(0))
    count = vector_width(none)
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
    pattern,
    neuron,
    vectors,
    loss,
    rule,
    rates,
    rows,
    batch_size,
    micro_batch_rows,
    progress,
    epoch_losses,
):
    """Train on consecutive samples of an epoch, one update after each batch; a batch of weight zero counts for nothing.

    pattern : RowByRow, By4 or Converted
    neuron : LinearNeuron or ReLUNeuron          vectors : Vectors, modified in place
    loss : the settings of a loss of `POINTWISE`
    rule : UpdateRule, of an optimiser that sees no rows
    rates : (n,) float64, the learning rates of this call's updates; the last one serves all later ones
    rows : Rows
    batch_size, micro_batch_rows : int; samples end where a micro-batch ends
    progress : Progress, modified in place          epoch_losses : (n_epochs,) float64, as `begin_next_epoch` says
    """
    parameters, gradient, n_features = vectors.parameters, vectors.gradient, neuron.n_features
    number, scratch = parameters.dtype.type, pattern.gradient
    n_before = n_updates = progress.n_updates[0]
    n_samples = n_samples_of(rows.order, rows.y)
    weight, none = parameters[:n_features], simd_vector_for(rows.X, number(0))
    epoch = 0
    while begin_next_epoch(progress, epoch_losses, epoch):
        first, n_epoch = progress.position[0], progress.n_rows[0]
        loss_sum, weight_sum = progress.loss_sum[0], progress.batch_weight[0]
        rate, is_due = number(0), False
        scratch[:] = 0
        forget(pattern)
        start, done = 0, first % batch_size
        while start < n_samples:
            batch_rows = minimum(batch_size, n_epoch - (first + start - done))
            stop = minimum(start + minimum(micro_batch_rows, batch_rows - done), n_samples)
            samples = (start, stop, number(1.0 / batch_rows))
            if not is_due:
                pending = nothing_pending(pattern, none, row(rows.order, start) * n_features)
            losses, d_bias, pending = _add_micro_batch(pattern, neuron, parameters, loss, rows, samples, pending, rate)
            loss_sum += losses
            weight_sum += total_weight(rows.weights, rows.order, start, stop)
            is_first, ends = done == 0, done + stop - start == batch_rows
            counts = ends and weight_sum > 0
            if counts:
                n_updates += 1
                rate = number(element(rates, minimum(n_updates - n_before, rates.size) - 1))
            is_due = counts and is_first and rule.is_direct
            if is_due:
                if parameters.size > n_features:
                    parameters[n_features] -= rate * d_bias
            else:
                pass_over_pending(pattern, Adding(), weight, rows.X, n_features, pending)
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
                    if rule.step.step_along != 0:
                        mean_square = mean_square_along(neuron, gradient, rows, start, stop)
                        apply_step_along(vectors, rule, rate, n_updates, mean_square)
            done = 0 if ends else done + stop - start
            if ends:
                weight_sum = 0.0
            start = stop
        if is_due:
            pass_over_pending(pattern, Updating(broadcast_like(none, rate)), weight, rows.X, n_features, pending)
        progress.n_updates[0], progress.position[0] = n_updates, first + n_samples
        progress.loss_sum[0], progress.batch_weight[0] = loss_sum, weight_sum
        epoch += 1
