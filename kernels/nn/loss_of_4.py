"""The losses at four outputs together: elementary functions of them take one SIMD vector, to the same bits.

Every function here takes the settings, and tuples of outputs and of their targets, and returns tuples of values and
derivatives.
"""

from ..codegen.jit import by_type, inlined_kernel
from ..codegen.simd import elements_of, vector_of
from .functions import exp, log1p_finite, sigmoid_and_power
from .loss import LogLoss, Poisson, log_loss_value, pointwise, poisson_value


@inlined_kernel
def _poisson_of_4(loss, outs, targets):
    rates = elements_of(exp(vector_of(outs)))
    return (
        (
            poisson_value(outs[0], targets[0], rates[0]),
            poisson_value(outs[1], targets[1], rates[1]),
            poisson_value(outs[2], targets[2], rates[2]),
            poisson_value(outs[3], targets[3], rates[3]),
        ),
        (rates[0] - targets[0], rates[1] - targets[1], rates[2] - targets[2], rates[3] - targets[3]),
    )


@inlined_kernel
def _log_loss_of_4(loss, outs, targets):
    probabilities, small = sigmoid_and_power(vector_of(outs))
    p, logarithms = elements_of(probabilities), elements_of(log1p_finite(small))
    return (
        (
            log_loss_value(outs[0], targets[0], logarithms[0]),
            log_loss_value(outs[1], targets[1], logarithms[1]),
            log_loss_value(outs[2], targets[2], logarithms[2]),
            log_loss_value(outs[3], targets[3], logarithms[3]),
        ),
        (p[0] - targets[0], p[1] - targets[1], p[2] - targets[2], p[3] - targets[3]),
    )


@inlined_kernel
def _one_by_one(loss, outs, targets):
    value0, d0 = pointwise(loss, outs[0], targets[0])
    value1, d1 = pointwise(loss, outs[1], targets[1])
    value2, d2 = pointwise(loss, outs[2], targets[2])
    value3, d3 = pointwise(loss, outs[3], targets[3])
    return (value0, value1, value2, value3), (d0, d1, d2, d3)


@by_type({Poisson: _poisson_of_4, LogLoss: _log_loss_of_4}, otherwise=_one_by_one)
def pointwise_of_4(kernel):
    """Values and derivatives of a loss at four outputs, to the bits that `pointwise` gives of each."""
    return lambda loss, outs, targets: kernel(loss, outs, targets)
