"""The losses at four outputs together, whose elementary functions are taken in one SIMD vector.

Every function here takes the settings, and tuples of outputs and of their targets, and returns tuples of values and
derivatives.
"""

from ..codegen.jit import by_type, inlined_kernel
from ..codegen.simd import from_elements, to_elements
from .functions import exp, log1p_finite, sigmoid_and_power
from .loss import LogLoss, Poisson, log_loss_value, pointwise, poisson_value


@inlined_kernel
def _poisson_of_4(loss, outs, targets):
    rates = to_elements(exp(from_elements(outs)))
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
    probabilities, small = sigmoid_and_power(from_elements(outs))
    p, logarithms = to_elements(probabilities), to_elements(log1p_finite(small))
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
    """Values and derivatives of a loss at four outputs, derivatives to the bits that `pointwise` gives."""
    return lambda loss, outs, targets: kernel(loss, outs, targets)
