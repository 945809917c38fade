"""The optimiser that adapts to the features' scales and means: what it learns from rows, and its update."""

from typing import NamedTuple

import numpy as np

from ..codegen.alignment import whole_lines
from ..codegen.function_pointer import pointer_kernel, settings_at, settings_of
from ..codegen.jit import inlined_kernel
from ..codegen.views import read_only_matrix, span, struct_view
from ..nn.layer import Layer
from .compensated import normalize_gradient
from .hooks import (
    Hooks,
    after_backward_types,
    after_update_types,
    before_forward_types,
    transform_gradient_types,
    update_types,
)

# The largest step, of scale-free weights.
_STEP = 10.0
# Over so many updates the steps grow to their size,
_WARM_UP_UPDATES = 10
# and over so many rows for each feature: with fewer, larger steps go to and fro. Behind an activation or another layer,
# and where the loss grows exponentially, a step that is too large may even end the learning for good.
_WARM_UP_ROWS, _CAREFUL_WARM_UP_ROWS = 10, 200
# A full batch counts as so many rows for each feature, however many it has: then, as always in full batches, a row
# given twice is a row of twice the weight.
_ROWS_OF_A_FULL_BATCH = 50
# Numbers this many times the smallest normal one are the least whose inverse has room for a weight: what is less, in a
# feature that has not been more, counts as zero.
_ROOM = 4
# By so many roundings may a sum be off: those within a micro-batch and of adding them up were found to be three. A bias
# has those of the derivatives, too, which all rows may share: where classes are rare, sixty were found.
_ROUNDINGS, _ROUNDINGS_OF_BIASES = 8, 64


class NormalizedSGD(NamedTuple):
    """The normalised adaptive gradient descent of Ross, Mineiro and Langford, "Normalized online learning" (UAI 2013).

    Algorithm 2 for the first layer's weights, on centred features. With m_i the mean of x_i over the rows seen, each
    counted by its weight v, s_i the largest |x_i - m_i| so far, n the sum of the weights and N that of the centred
    squares in units of s_i, Σ_i Σ v (x_i - m_i)² / s_i² (as Welford's recurrence has it):

        a_i = g_i - m_i g_b;  G_i += a_i²;  w_i -= η √(n / N) / s_i · a_i / √G_i;

    g_b is the gradient of the unit's bias b. Whatever is subtracted from a w_i, by this or by a penalty, m_i times as
    much is added to b, which so keeps what the unit gives at x = m. Without a bias m = 0. All other parameters have
    n / N = 1 and s = √n_in of their layer, as for features of scale 1.

    A step has the same size for any gradient that is not zero, so rounding must not make one. With δ the derivatives of
    the batch's loss by a unit's outputs and ε that of the dtype, a_i moves towards zero by 8 ε Σ |δ| (|m_i| + s_i), and
    the gradient of a bias, of any layer, by 64 ε Σ |δ|.

    η = 10 rate min(1, r / r_0) min(1, t / 10) √(n_in / (n_in + √(r min(r, t n_in / 4)))), for the t-th update, r rows
    seen, n_in features and a warm-up of r_0 rows. The steps that 1 / √G alone would make never come to rest, since
    the sum of their squares grows for ever, and the loss keeps some of their noise. The rate falls with the rows as
    long as a batch has fewer of them than a quarter of the features, so that each of its rows pulls in a direction of
    its own; in larger batches there is less noise and there are fewer updates.

    A w_i that is learnt while s_i is small may be huge, and would blow up once it is not. So with u_i the weights at
    the start, (w_i - u_i) s_i and b + Σ_i (w_i - u_i) m_i stay as they are when m_i and s_i change. Weights that were
    loaded, set or trained are such u_i, meant for the features as they are. Those that the model has drawn are meant
    for features of scale 1 and mean 0: they count as learnt, u = 0, and s_i for them as |m_i| while all values were
    the same, and as 1 while all were zero. With m the first row, b is raised by 8 ε Σ_i |(w_i - u_i) m_i| besides: that
    row, as its own mean, puts a unit without a bias on the kink of its activation.

    Of numbers near the smallest that a dtype has, the inverses are infinite: s_i stays zero, and m_i what it was, until
    an |x_i - m_i| is 4 times the smallest normal number; a smaller |m_i| counts as zero for s_i.

    n_in, n_out, has_bias : of the first layer
    warm_up_rows, other_warm_up_rows : r_0 for the first layer's weights, and for all other parameters
    rows_of_update : how many rows each update counts as, 0 where the rows themselves count

    state : √G, s, m, what √G's roundings have left out so far, u, and 1 / s, zero where s is; s and m of feature i in
        the place of the first unit's weight w_i, and the constant s of all other parameters in theirs
    own : FIELDS; every m_i, since a float32 mean, which is what the state has, stops moving after some 10⁶ rows; and
        Σ |δ| of every unit of every Linear
    """

    n_in: int
    n_out: int
    has_bias: bool
    warm_up_rows: int
    other_warm_up_rows: int
    rows_of_update: int


#: weight_seen : n          squares : N          rows_seen : r
#: is_drawn : whether the first layer's weights were, before the first row, as the model has drawn them
FIELDS = np.dtype(
    [("weight_seen", np.float64), ("squares", np.float64), ("rows_seen", np.int64), ("is_drawn", np.bool_)], align=True
)

# Where the means begin: with a line of the cache, as the vectors do.
MEANS = whole_lines(1)
# Where the vectors stand in the state.
ROOT, SCALE, MEAN, ROOT_MISSING, START, INVERSE_SCALE = range(6)


def settings_for(n_in: int, n_out: int, has_bias: bool, is_careful: bool, is_full_batch: bool) -> NormalizedSGD:
    """The settings for a model.

    n_in, n_out, has_bias : of its first layer
    is_careful : whether a step that is too large may end the learning for good
    is_full_batch : whether each update is one of all rows
    """
    warm_up_rows = n_in * (_CAREFUL_WARM_UP_ROWS if is_careful else _WARM_UP_ROWS)
    rows_of_update = _ROWS_OF_A_FULL_BATCH * n_in if is_full_batch else 0
    return NormalizedSGD(n_in, n_out, has_bias, warm_up_rows, warm_up_rows if is_careful else 1, rows_of_update)


@inlined_kernel
def _first_layer_of(settings):
    """Return n_in and n_out of the first layer, and whether it has biases."""
    return int(settings.n_in), int(settings.n_out), settings.has_bias > 0


@inlined_kernel
def _means_of(vectors, n_in):
    """Every m_i, to its last digit."""
    return span(vectors.own, MEANS, n_in)


@inlined_kernel
def _derivatives_of(vectors, n_in):
    """Σ |δ| of every unit."""
    return span(vectors.own, MEANS + n_in, vectors.own.size - MEANS - n_in)


@pointer_kernel(after_backward_types)
def _add_derivatives(vectors, numbers, layers, deltas, n_rows, accumulate):
    """Take the derivatives of every Linear's units into their Σ |δ|; arguments as for `Hooks`."""
    n_in, _, _ = _first_layer_of(settings_of(NormalizedSGD, numbers))
    sums, first = _derivatives_of(vectors, n_in), 0
    if not accumulate:
        for unit in range(sums.size):
            sums[unit] = 0
    for k in range(layers.shape[0]):
        layer = settings_at(Layer, layers, k)
        if layer.forward == 0:
            d_out = read_only_matrix(deltas, layer.output, n_rows, layer.n_out)
            for row in range(n_rows):
                for unit in range(layer.n_out):
                    sums[first + unit] += abs(d_out[row, unit])
            first += layer.n_out


@inlined_kernel
def _towards_zero(value, distance):
    """A number less a distance, zero at most; NaN stays NaN."""
    return value - max(min(value, distance), -distance)


@pointer_kernel(transform_gradient_types)
def _centre_gradient(vectors, numbers, weights):
    """Turn the gradient of the first layer's weights into that for centred features,  a_i = g_i - m_i g_b.

    What may be rounding alone, in this and in the biases' gradients, becomes zero; arguments as for `Hooks`.
    """
    gradient, scale, mean = vectors.gradient, vectors.state[SCALE], vectors.state[MEAN]
    number, zero = gradient.dtype.type, gradient.dtype.type(0)
    n_in, n_out, has_bias = _first_layer_of(settings_of(NormalizedSGD, numbers))
    sums = _derivatives_of(vectors, n_in)
    eps = np.finfo(gradient.dtype).eps
    for unit in range(n_out):
        d_bias = gradient[n_out * n_in + unit] if has_bias else zero
        least = number(_ROUNDINGS * eps * sums[unit])
        for i in range(n_in):
            place = unit * n_in + i
            a = _towards_zero(gradient[place] - mean[i] * d_bias, least * (abs(mean[i]) + scale[i]))
            # Of a feature that has always been the same, nothing but rounding is left.
            gradient[place] = zero if scale[i] <= zero else a
    unit = 0
    for layer in range(weights.shape[0]):
        end = weights[layer, 1]
        next_begin = weights[layer + 1, 0] if layer + 1 < weights.shape[0] else gradient.size
        for place in range(end, next_begin):
            least = number(_ROUNDINGS_OF_BIASES * eps * sums[unit + place - end])
            gradient[place] = _towards_zero(gradient[place], least)
        unit += (end - weights[layer, 0]) // weights[layer, 2] if layer + 1 < weights.shape[0] else 0


# Reordered, the compensation would be zero.
@pointer_kernel(update_types, exact=True)
def normalized_sgd(vectors, numbers, rate, t, part):
    """Make an update by the formulas of NormalizedSGD, from the gradient for centred features, all but for b's balance.

    It is made in one part; arguments as for `Hooks`. In the gradient, the first layer's weights before it are left.
    """
    settings, fields = settings_of(NormalizedSGD, numbers), struct_view(FIELDS, vectors.own)
    w, gradient = vectors.parameters, vectors.gradient
    # Rows of the state are longer than the parameters.
    root, missing = span(vectors.state[ROOT], 0, w.size), span(vectors.state[ROOT_MISSING], 0, w.size)
    inverse_scale = vectors.state[INVERSE_SCALE]
    number = type(rate)
    n_in, n_out, _ = _first_layer_of(settings)
    fields.rows_seen += int(settings.rows_of_update)
    n_rows = np.float64(fields.rows_seen)
    age = np.sqrt(n_rows * min(n_rows, t * n_in / 4))
    rate *= number(_STEP * min(t / _WARM_UP_UPDATES, 1.0) * np.sqrt(n_in / (n_in + age)))
    # Without any spread there is nothing to learn but the biases.
    total = fields.squares if fields.squares > 0 else 1.0
    step = rate * number(min(n_rows / settings.warm_up_rows, 1.0) * np.sqrt(fields.weight_seen / total))
    other_step = rate * number(min(n_rows / settings.other_warm_up_rows, 1.0))
    normalize_gradient(root, missing, gradient)
    for place in range(n_out * n_in, w.size):
        w[place] -= other_step * gradient[place] * inverse_scale[place]
    for unit in range(n_out):
        for i in range(n_in):
            place = unit * n_in + i
            change = step * gradient[place] * inverse_scale[i]
            gradient[place] = w[place]
            w[place] -= change
    # The sums over a batch are nothing that a run has to go on with.
    derivatives = _derivatives_of(vectors, n_in)
    for unit in range(derivatives.size):
        derivatives[unit] = 0


@pointer_kernel(after_update_types)
def _balance_biases(vectors, numbers):
    """Add to each bias of the first layer what its unit has lost at x = m,  b += Σ_i m_i (w_i before - w_i).

    The gradient holds the weights before; arguments as for `Hooks`.
    """
    w, before, mean = vectors.parameters, vectors.gradient, vectors.state[MEAN]
    n_in, n_out, has_bias = _first_layer_of(settings_of(NormalizedSGD, numbers))
    if not has_bias:
        return
    for unit in range(n_out):
        shift = w.dtype.type(0)
        for i in range(n_in):
            shift += mean[i] * (before[unit * n_in + i] - w[unit * n_in + i])
        w[n_out * n_in + unit] += shift


@inlined_kernel
def _least_scale(vectors):
    """What s_i is at least, where it is not zero."""
    return vectors.parameters.dtype.type(_ROOM * np.finfo(vectors.parameters.dtype).tiny)


@inlined_kernel
def _shrink_with(vectors, settings, i, size, centre):
    """Before s_i becomes size: w_i - u_i shrinks in proportion, and b keeps what the unit gives at the centre."""
    w, scale, mean, start = vectors.parameters, vectors.state[SCALE], vectors.state[MEAN], vectors.state[START]
    n_in, n_out, has_bias = _first_layer_of(settings)
    before = scale[i]
    if before <= 0:
        if not struct_view(FIELDS, vectors.own).is_drawn:
            # Nothing was learnt yet.
            return
        before = abs(mean[i]) if abs(mean[i]) >= _least_scale(vectors) else type(size)(1)
    kept = before / size
    for unit in range(n_out):
        place = unit * n_in + i
        weight = start[place] + kept * (w[place] - start[place])
        if has_bias:
            w[n_out * n_in + unit] += (w[place] - weight) * centre
        w[place] = weight


@pointer_kernel(before_forward_types)
def _observe_features(vectors, numbers, x, sample_weight):
    """Show NormalizedSGD the features of some rows before their forward pass. Rows of weight zero do not count.

    Arguments as for `Hooks`.
    """
    settings, fields = settings_of(NormalizedSGD, numbers), struct_view(FIELDS, vectors.own)
    w, scale, mean = vectors.parameters, vectors.state[SCALE], vectors.state[MEAN]
    start, inverse = vectors.state[START], vectors.state[INVERSE_SCALE]
    number, zero, kink = x.dtype.type, x.dtype.type(0), x.dtype.type(_ROUNDINGS * np.finfo(x.dtype).eps)
    n_in, n_out, has_bias = _first_layer_of(settings)
    exact_mean = _means_of(vectors, n_in)
    is_drawn, least = fields.is_drawn, _least_scale(vectors)
    # Between batches the gradient holds nothing, and within one of several micro-batches the other vector does not.
    mean_before = vectors.micro_batch_gradient if vectors.micro_batch_gradient.size else vectors.gradient
    for i in range(n_in):
        mean_before[i] = mean[i]
    weight = np.float64(1)
    for row in range(x.shape[0]):
        if sample_weight.size:
            weight = np.float64(sample_weight[row])
            if weight == 0:
                continue
        is_first = fields.weight_seen == 0
        fields.weight_seen += weight
        fields.rows_seen += 0 if settings.rows_of_update > 0 else 1
        if is_first and has_bias:
            for i in range(n_in):
                exact_mean[i] = mean[i] = x[row, i]
                if is_drawn and abs(mean[i]) >= least:
                    for unit in range(n_out):
                        w[unit * n_in + i] /= abs(mean[i])
            continue
        grows = False
        for i in range(n_in):
            grows |= abs(x[row, i] - mean[i]) > scale[i]
        if grows:
            for i in range(n_in):
                size = abs(x[row, i] - mean[i])
                if size > scale[i] and size >= least:
                    _shrink_with(vectors, settings, i, size, mean_before[i])
                    scale[i], inverse[i] = size, number(1) / size
        share = weight / fields.weight_seen if has_bias else 0.0
        squares = number(0)
        for i in range(n_in):
            away = x[row, i] - exact_mean[i]
            away = away if scale[i] > 0 else 0.0
            exact_mean[i] += share * away
            mean[i] = number(exact_mean[i])
            part = number(away) * inverse[i]
            squares += part * part
        fields.squares += weight * (1 - share) * squares
    if has_bias:
        for unit in range(n_out):
            shift, size = number(0), number(0)
            for i in range(n_in):
                place = unit * n_in + i
                part = (w[place] - start[place]) * (mean[i] - mean_before[i])
                shift += part
                size += abs(part)
            # The first row is the mean, where a bias of zero has the unit give zero: rounding must not choose on which
            # side of its kink an activation is.
            w[n_out * n_in + unit] -= shift - (kink * size if fields.squares == 0 else zero)


NORMALIZED_SGD = Hooks(
    normalized_sgd,
    before_forward=_observe_features,
    after_backward=_add_derivatives,
    transform_gradient=_centre_gradient,
    after_update=_balance_biases,
    is_parallel=False,
)
