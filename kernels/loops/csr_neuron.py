"""The training loop of a single output neuron on sparse rows, by plain SGD with L1 and L2 penalties.

A row costs its entries, penalties included; see `optim/lazy_penalty.py`.
"""

import numpy as np

from ..codegen.integers import minimum
from ..codegen.jit import inlined_kernel, kernel
from ..codegen.views import element, vector
from ..optim.lazy_penalty import apply_pending, begin_step, end_step, factor_of, flush, prefetch_columns
from ..rows.csr import column_of, prefetch_row, value_of
from ..tuning import CSR_COLUMNS_PREFETCH, CSR_ROWS_PREFETCH
from .neuron_online import loss_and_grad, total_weight, weight_of


@inlined_kernel
def _product(X, p, u, penalty, n_columns, zero):
    """Entry p times its element of u, which is brought up to date."""
    column = column_of(X, p)
    apply_pending(penalty, u, column, n_columns, 1)
    return element(u, column) * value_of(X, p, column, zero)


@inlined_kernel
def _dot(X, i, u, penalty, n_columns):
    """Row i of a CSR times u, in four sums: one alone would be waited for."""
    zero = u.dtype.type(0)
    a, b, c, d = zero, zero, zero, zero
    p, end = element(X.begin, i), element(X.end, i)
    while p + 4 <= end:
        a += _product(X, p, u, penalty, n_columns, zero)
        b += _product(X, p + 1, u, penalty, n_columns, zero)
        c += _product(X, p + 2, u, penalty, n_columns, zero)
        d += _product(X, p + 3, u, penalty, n_columns, zero)
        p += 4
    while p < end:
        a += _product(X, p, u, penalty, n_columns, zero)
        p += 1
    return (a + b) + (c + d)


@inlined_kernel
def _subtract(X, i, u, step):
    """u -= step · row i of a CSR."""
    zero = u.dtype.type(0)
    for p in range(element(X.begin, i), element(X.end, i)):
        column = column_of(X, p)
        u[np.uint64(column)] -= step * value_of(X, p, column, zero)


@kernel
def train_neuron_csr(neuron, parameters, derivatives, loss, penalty, rates, rows, batch_size, flush_rows, progress):
    """Train on whole batches, one update after each; a batch of weight zero counts for nothing.

    neuron : LinearNeuron or ReLUNeuron
    parameters : (n_features,), or (n_features + 1,) with the bias last; modified in place
    derivatives : (batch_size,) and more, scratch
    loss : the settings of a loss of `POINTWISE`          penalty : of `lazy_penalty.py`, with nothing pending
    rates : (n,) float64, the learning rates of this call's updates; the last one serves all later ones
    rows : Rows in order, with a CSR for X
    batch_size : int          flush_rows : int, a multiple of it, after which weights are flushed, as at the end
    progress : Progress, modified in place
    """
    number = parameters.dtype.type
    zero, one = number(0), number(1)
    X, targets, n_features = rows.X, vector(rows.y), neuron.n_features
    u, has_bias = parameters[:n_features], parameters.size > n_features
    bias = parameters[n_features] if has_bias else zero
    first, n_epoch, n_samples = progress.position[0], progress.n_rows[0], rows.y.shape[0]
    loss_sum, n_before = progress.loss_sum[0], progress.n_updates[0]
    n_updates, nan_sentinel, start = n_before, zero, 0
    while start < n_samples:
        batch_rows = minimum(batch_size, n_epoch - (first + start))
        stop, d_bias = start + batch_rows, zero
        factor, scale = factor_of(penalty, one), number(1.0 / batch_rows)
        for i in range(start, stop):
            prefetch_row(X, minimum(i + CSR_ROWS_PREFETCH, n_samples - 1))
            prefetch_columns(penalty, u, X, minimum(i + CSR_COLUMNS_PREFETCH, n_samples - 1))
            z = factor * _dot(X, i, u, penalty, n_features) + bias
            value, derivative = loss_and_grad(neuron, loss, z, element(targets, i), weight_of(rows.weights, i, one))
            loss_sum += value
            # Zero, unless z is NaN or infinite: a ReLU at minus infinity would otherwise leave no trace of a bad row.
            nan_sentinel += z * zero
            derivatives[i - start] = scale * derivative
            d_bias += scale * derivative
        if total_weight(rows.weights, rows.order, start, stop) > 0:
            n_updates += 1
            rate = number(element(rates, minimum(n_updates - n_before, rates.size) - 1))
            begin_step(penalty, u, n_features, rate)
            # After the factor has taken its part of the step.
            step = rate / factor_of(penalty, one)
            for i in range(start, stop):
                _subtract(X, i, u, step * derivatives[i - start])
            if has_bias:
                bias -= rate * d_bias
            end_step(penalty, rate)
        start = stop
        if (first + start) % flush_rows == 0:
            flush(penalty, u, n_features)
    flush(penalty, u, n_features)
    if has_bias:
        parameters[n_features] = bias
    progress.loss_sum[0] = loss_sum + nan_sentinel
    progress.n_updates[0], progress.position[0] = n_updates, first + n_samples
