"""The training loop of a single output neuron on narrow rows: the online algorithm, four rows at a time.

z of a row needs the weights that the row before leaves, and where rows are narrow that wait is longer than the work. So
this loop looks ahead: it multiplies four rows with the weights before them, and with one another, and finds the four
in scalars,  z_j = w·x_j - Σ_{i<j} s_i x_i·x_j.  These are the updates of the online algorithm, one after the other, up
to rounding.

As in `neuron_online.py`, one pass updates the weights with the rows before and multiplies them with the rows to come.
Rows are asked for long before they are needed: the processor's own prefetching does not follow four rows at once.

What is left to wait for, with latencies of a Zen 4: the last of four steps is broadcast (3 cycles),
subtracted from the weights (4), and these are multiplied with the next four rows (4 for each register of a row) and
summed horizontally and added to the bias (19); then each derivative waits for the one before (10 with a ReLU, 7
without; the last 6 or 3), and the last step for the last of them (3). The loop cannot take less for four rows than
these 73 cycles where they have 16 features, and 81 where they have 32; its instructions, with nothing to wait for, take
72 and 86. It takes 78 and 94. Rows that lag behind, so that no pass waits for the steps before it, take more products
than that hides: an eighth less time for 16 features, none for 32. Eight rows at once take a third longer, as each is
multiplied with all before it.
"""

from ..codegen.jit import inlined_kernel, kernel, linked_kernel
from ..codegen.simd import broadcast_like, horizontal_sum, load, minus_product, simd_vector_for, store, vector_width
from ..codegen.views import element, vector
from ..tuning import ROWS_BY_4_L1_BYTES, ROWS_BY_4_L1_ROWS
from .neuron_online import copy_weights, learning_rate_at, loss_and_grad, pad_weights, shrinkage, weight_of
from .row_access import n_samples_of, prefetch_places, prefetch_row, row, target_row

ROWS_AT_ONCE = 4


@linked_kernel
def prefetch_places_of_4(order, samples, n_features, X, targets):
    """Return which rows to prefetch while four samples are worked on, and prefetch targets."""
    i0, i1, i2, i3 = samples
    return (
        prefetch_places(order, i0, ROWS_BY_4_L1_ROWS, n_features, X, targets, ROWS_BY_4_L1_BYTES),
        prefetch_places(order, i1, ROWS_BY_4_L1_ROWS, n_features, X, targets, ROWS_BY_4_L1_BYTES),
        prefetch_places(order, i2, ROWS_BY_4_L1_ROWS, n_features, X, targets, ROWS_BY_4_L1_BYTES),
        prefetch_places(order, i3, ROWS_BY_4_L1_ROWS, n_features, X, targets, ROWS_BY_4_L1_BYTES),
    )


@linked_kernel
def pass_of_fours(weight, X, j, n, shrunk, steps, before, places, prefetched, sums):
    """Update elements j to j + n of the weights with four rows and add their products with four others to the sums.

    prefetched : two of what `prefetch_places_of_4` returns
    """
    zero = simd_vector_for(X, weight.dtype.type(0))
    s0, s1, s2, s3 = steps
    p0, p1, p2, p3 = before
    a0, a1, a2, a3 = places
    z0, z1, z2, z3, g10, g20, g21, g30, g31, g32 = sums
    count = vector_width(zero)
    w = shrunk * load(weight, j, count, zero)
    w -= s0 * load(X, p0 + j, n, zero)
    w -= s1 * load(X, p1 + j, n, zero)
    w -= s2 * load(X, p2 + j, n, zero)
    w -= s3 * load(X, p3 + j, n, zero)
    store(weight, j, count, w)
    h0, h1 = prefetched
    prefetch_row(h0, X, j)
    prefetch_row(h1, X, j)
    x0, x1 = load(X, a0 + j, n, zero), load(X, a1 + j, n, zero)
    x2, x3 = load(X, a2 + j, n, zero), load(X, a3 + j, n, zero)
    return (
        z0 + w * x0,
        z1 + w * x1,
        z2 + w * x2,
        z3 + w * x3,
        g10 + x1 * x0,
        g20 + x2 * x0,
        g21 + x2 * x1,
        g30 + x3 * x0,
        g31 + x3 * x1,
        g32 + x3 * x2,
    )


@inlined_kernel
def _forward_substitution(neuron, loss, z, g, targets, places, v, rates):
    """Return the sum of the losses of four samples, one after the other, their z, and their derivatives by z.

    z : before any of the four steps          g : of one with another, as `pass_of_fours` orders them, bias included
    places, v, rates : the samples' places in the targets, their weights and learning rates
    """
    z0, z1, z2, z3 = z
    g10, g20, g21, g30, g31, g32 = g
    t0, t1, t2, t3 = places
    v0, v1, v2, v3 = v
    rate0, rate1, rate2, _ = rates
    # What a row waits for is the derivative of the row before: all else is multiplied and subtracted beforehand.
    value0, d0 = loss_and_grad(neuron, loss, z0, element(targets, t0), v0)
    z1 = minus_product(z1, rate0 * g10, d0)
    z2 = minus_product(z2, rate0 * g20, d0)
    z3 = minus_product(z3, rate0 * g30, d0)
    value1, d1 = loss_and_grad(neuron, loss, z1, element(targets, t1), v1)
    z2 = minus_product(z2, rate1 * g21, d1)
    z3 = minus_product(z3, rate1 * g31, d1)
    value2, d2 = loss_and_grad(neuron, loss, z2, element(targets, t2), v2)
    z3 = minus_product(z3, rate2 * g32, d2)
    value3, d3 = loss_and_grad(neuron, loss, z3, element(targets, t3), v3)
    return value0 + value1 + value2 + value3, (z0, z1, z2, z3), (d0, d1, d2, d3)


@kernel
def train_neuron_online_by_4(neuron, parameters, weight, loss, regularization, rates, rows, progress):
    """The updates of `train_neuron_online`, four rows at a time by look-ahead; without an L1 penalty.

    neuron, loss, regularization, rates : as for `train_neuron_online`
    parameters, weight, progress : the same, modified in place          rows : Rows, a multiple of four samples
    """
    number = parameters.dtype.type
    zero, one = number(0), number(1)
    X, targets, weights, order = rows.X, vector(rows.y), rows.weights, rows.order
    n_features = neuron.n_features
    bias_size = parameters.size - n_features
    pad_weights(parameters, weight, n_features)
    bias = parameters[n_features] if bias_size else zero
    has_bias = number(bias_size)
    none = simd_vector_for(X, zero)
    count = vector_width(none)
    n_full = n_features // count * count
    n_rest = n_features - n_full
    steps, shrunk = (none, none, none, none), broadcast_like(none, one)
    first = row(order, 0) * n_features
    before = (first, first, first, first)
    loss_sum, nan_sentinel = progress.loss_sum[0], zero
    n_updates, n_samples = 0, n_samples_of(order, rows.y)
    for i in range(0, n_samples, ROWS_AT_ONCE):
        r0, r1, r2, r3 = row(order, i), row(order, i + 1), row(order, i + 2), row(order, i + 3)
        begins = (r0 * n_features, r1 * n_features, r2 * n_features, r3 * n_features)
        t0, t1 = target_row(order, i), target_row(order, i + 1)
        t2, t3 = target_row(order, i + 2), target_row(order, i + 3)
        h0, h1, h2, h3 = prefetch_places_of_4(order, (i, i + 1, i + 2, i + 3), n_features, X, targets)
        sums = (none, none, none, none, none, none, none, none, none, none)
        for j in range(0, n_full, count):
            sums = pass_of_fours(weight, X, j, count, shrunk, steps, before, begins, (h0, h1), sums)
            # A line of the cache is as long as two passes or more: each prefetches lines of two rows.
            h0, h1, h2, h3 = h2, h3, h0, h1
        if n_rest:
            sums = pass_of_fours(weight, X, n_full, n_rest, shrunk, steps, before, begins, (h0, h1), sums)
            h0, h1 = h2, h3
        # The two rows that the last pass did not prefetch, which may have been the only one.
        prefetch_row(h0, X, n_features - 1)
        prefetch_row(h1, X, n_features - 1)
        v0, v1 = weight_of(weights, t0, one), weight_of(weights, t1, one)
        v2, v3 = weight_of(weights, t2, one), weight_of(weights, t3, one)
        rate0, n_updates = learning_rate_at(rates, n_updates, v0)
        rate1, n_updates = learning_rate_at(rates, n_updates, v1)
        rate2, n_updates = learning_rate_at(rates, n_updates, v2)
        rate3, n_updates = learning_rate_at(rates, n_updates, v3)
        c0, c1 = shrinkage(regularization, rate0), shrinkage(regularization, rate1)
        c2, c3 = shrinkage(regularization, rate2), shrinkage(regularization, rate3)
        # A branch, as rates are seldom so large: four maxima would take some 4 % of the time of the narrowest rows.
        if min(min(c0, c1), min(c2, c3)) < 0:
            c0, c1, c2, c3 = max(c0, zero), max(c1, zero), max(c2, zero), max(c3, zero)
        # All that does not wait for a step is computed before the first of them.
        z0, z1 = horizontal_sum(sums[0]) + bias, c0 * horizontal_sum(sums[1]) + bias
        z2, z3 = c1 * c0 * horizontal_sum(sums[2]) + bias, c2 * c1 * c0 * horizontal_sum(sums[3]) + bias
        g10, g20, g21 = (
            horizontal_sum(sums[4]) + has_bias,
            c1 * horizontal_sum(sums[5]) + has_bias,
            horizontal_sum(sums[6]) + has_bias,
        )
        g30, g31 = c2 * c1 * horizontal_sum(sums[7]) + has_bias, c2 * horizontal_sum(sums[8]) + has_bias
        g32 = horizontal_sum(sums[9]) + has_bias
        z, g = (z0, z1, z2, z3), (g10, g20, g21, g30, g31, g32)
        v, step_rates = (v0, v1, v2, v3), (rate0, rate1, rate2, rate3)
        losses, z, d = _forward_substitution(neuron, loss, z, g, targets, (t0, t1, t2, t3), v, step_rates)
        s0, s1, s2, s3 = rate0 * d[0], rate1 * d[1], rate2 * d[2], rate3 * d[3]
        bias -= has_bias * (s0 + s1 + s2 + s3)
        loss_sum += losses
        # Zero, unless a z is NaN or infinite: a ReLU at minus infinity would otherwise leave no trace of a bad row.
        nan_sentinel += (z[0] + z[1] + z[2] + z[3]) * zero
        s0, s1, s2 = c1 * c2 * c3 * s0, c2 * c3 * s1, c3 * s2
        steps = (broadcast_like(none, s0), broadcast_like(none, s1), broadcast_like(none, s2), broadcast_like(none, s3))
        shrunk = broadcast_like(none, c0 * c1 * c2 * c3)
        before = begins
    # A last pass for its updates alone.
    sums = (none, none, none, none, none, none, none, none, none, none)
    for j in range(0, n_full, count):
        sums = pass_of_fours(weight, X, j, count, shrunk, steps, before, before, (h0, h1), sums)
    if n_rest:
        sums = pass_of_fours(weight, X, n_full, n_rest, shrunk, steps, before, before, (h0, h1), sums)
    copy_weights(weight, parameters, n_features)
    if bias_size:
        parameters[n_features] = bias
    progress.loss_sum[0] = loss_sum + nan_sentinel
    progress.n_updates[0] += n_updates
    progress.position[0] += n_samples
