"""The losses: each a tuple of its settings, and a function that gives its value and derivative in one go.

A new loss is its settings, a function and a line in `POINTWISE`; one of all outputs together a kernel and a line in
`JOINT`. The training loop is compiled for the settings' type, so that a loss which is not used is not compiled either.

Every function here computes on one output and its target, in their dtype: `(loss, out, target)` gives the value, and
the derivative by `out`. z stands for out, y for target.
"""

import functools
from typing import NamedTuple

import numpy as np
from numba import types

from ..codegen.floats import with_sign_of
from ..codegen.function_pointer import (
    call_through,
    matrix_of,
    pointer_kernel,
    read_only_vector_of,
    settings_of,
    settings_vector,
    vector_of,
)
from ..codegen.jit import by_type, inlined_kernel
from ..codegen.simd import broadcast, load, store, vector_width
from ..codegen.views import read_only_vector, stack_vector, vector
from .functions import exp, log1p, log1p_finite, sigmoid_and_power, subtract_largest, sum_of_row


class HalfSquaredError(NamedTuple):
    """½ (z - y)²."""


class AbsoluteError(NamedTuple):
    """|z - y|."""


class Huber(NamedTuple):
    """½ e² where |e| <= delta, else delta (|e| - ½ delta); e = z - y."""

    delta: float


class Quantile(NamedTuple):
    """quantile · (y - z) where z <= y, else (1 - quantile) (z - y): the pinball loss."""

    quantile: float


class EpsilonInsensitive(NamedTuple):
    """max(0, |z - y| - epsilon)."""

    epsilon: float


class SquaredEpsilonInsensitive(NamedTuple):
    """max(0, |z - y| - epsilon)²."""

    epsilon: float


class Poisson(NamedTuple):
    """exp(z) - y z: z is the logarithm of the rate, y a count."""


class LogLoss(NamedTuple):
    """log(1 + exp(z)) - y z: z is a logit, y a probability."""


class Hinge(NamedTuple):
    """max(0, 1 - y z): y is -1 or +1."""


class SquaredHinge(NamedTuple):
    """max(0, 1 - y z)²: y is -1 or +1."""


class ModifiedHuber(NamedTuple):
    """max(0, 1 - y z)² where y z >= -1, else -4 y z: y is -1 or +1."""


class Perceptron(NamedTuple):
    """max(0, -y z): y is -1 or +1."""


class CrossEntropy(NamedTuple):
    """log Σ_k exp(z_k) - Σ_k q_k z_k over a row's logits.

    q is 1 - label_smoothing at the row's class, plus label_smoothing / n_classes everywhere.
    """

    label_smoothing: float


# Both sides of a kink are computed before one is chosen: a processor would mispredict a branch. Those of the x86 family
# that have no AVX-512 choose without one only by a comparison of the same dtype, which serves no other choice.


@inlined_kernel
def distance(out, target):
    """Return out - target, which float32 may not hold where it holds both."""
    return np.float64(out) - np.float64(target)


@inlined_kernel
def half_squared_error(loss, out, target):
    error = out - target
    return 0.5 * np.float64(error) * error, error


@inlined_kernel
def absolute_error(loss, out, target):
    return abs(distance(out, target)), np.sign(out - target)


@inlined_kernel
def huber(loss, out, target):
    error, delta = out - target, type(out)(loss.delta)
    clipped = min(max(error, -delta), delta)
    return np.float64(clipped) * (distance(out, target) - 0.5 * np.float64(clipped)), clipped


@inlined_kernel
def quantile(loss, out, target):
    error, level = out - target, type(out)(loss.quantile)
    slope = type(out)(1) - level if error > 0 else -level
    # Zero times a distance that overflows would be NaN; an output that is NaN itself must show.
    return np.float64(slope) * (distance(out, target) if slope != 0 else np.float64(out)), slope


@inlined_kernel
def epsilon_insensitive(loss, out, target):
    error = distance(out, target)
    excess = abs(error) - loss.epsilon
    # Within, it is zero, but NaN where the error is.
    slope = with_sign_of(1.0, error) if excess > 0 else 0.0 * error
    return 0.0 if excess < 0 else excess, type(out)(slope)


@inlined_kernel
def squared_epsilon_insensitive(loss, out, target):
    error = out - target
    excess = abs(error) - type(out)(loss.epsilon)
    excess = type(out)(0) if excess < 0 else excess
    return np.float64(excess) * excess, with_sign_of(type(out)(2) * excess, error)


@inlined_kernel
def poisson_value(out, target, rate):
    return np.float64(rate) - np.float64(target) * out


@inlined_kernel
def poisson(loss, out, target):
    rate = exp(out)
    return poisson_value(out, target, rate), rate - target


@inlined_kernel
def log_loss_value(out, target, logarithm):
    # One or zero, as the sign is.
    half = type(out)(0.5)
    is_above = half + with_sign_of(half, out)
    # A product of two factors has no cancellation in it, whereas  z - y z  has.
    return (np.float64(is_above) - np.float64(target)) * out + logarithm


@inlined_kernel
def log_loss(loss, out, target):
    probability, small = sigmoid_and_power(out)
    return log_loss_value(out, target, log1p_finite(small)), probability - target


@inlined_kernel
def hinge(loss, out, target):
    value = 1.0 - np.float64(target) * out
    return 0.0 if value < 0 else value, type(out)(0) if target * out > 1 else -target


@inlined_kernel
def squared_hinge(loss, out, target):
    missing = type(out)(1) - target * out
    missing = type(out)(0) if missing < 0 else missing
    return np.float64(missing) * missing, type(out)(-2) * target * missing


@inlined_kernel
def modified_huber(loss, out, target):
    margin, two = np.float64(target * out), type(out)(2)
    missing = type(out)(1) - target * out
    missing = type(out)(0) if missing < 0 else missing
    value = np.float64(missing) * missing
    # Between 0 and -4 y: what it waits for is out.
    lowest, highest = -two * (target + type(out)(1)), two * (type(out)(1) - target)
    derivative = two * (out - target)
    derivative = lowest if derivative < lowest else derivative
    return -4.0 * margin if margin < -1 else value, highest if derivative > highest else derivative


@inlined_kernel
def perceptron(loss, out, target):
    value = -np.float64(target) * out
    return 0.0 if value < 0 else value, type(out)(0) if target * out > 0 else -target


POINTWISE = {
    HalfSquaredError: half_squared_error,
    AbsoluteError: absolute_error,
    Huber: huber,
    Quantile: quantile,
    EpsilonInsensitive: epsilon_insensitive,
    SquaredEpsilonInsensitive: squared_epsilon_insensitive,
    Poisson: poisson,
    LogLoss: log_loss,
    Hinge: hinge,
    SquaredHinge: squared_hinge,
    ModifiedHuber: modified_huber,
    Perceptron: perceptron,
}


@by_type(POINTWISE)
def pointwise(kernel):
    """Value and derivative of a loss at one output."""
    return lambda loss, out, target: kernel(loss, out, target)


def _loss_types(number):
    given, doubles = types.Array(number, 2, "C", readonly=True), vector_of(types.float64)
    return given, given, read_only_vector_of(number), number, matrix_of(number), doubles, doubles


_call_loss = call_through(_loss_types)


@pointer_kernel(_loss_types)
def sum_over_outputs(kind, out, target, sample_weight, scale, d_out, numbers, sums):
    """The losses of `POINTWISE`: each output has its own target."""
    loss = settings_of(kind, numbers)
    total, weights = 0.0, 0.0
    weight = out.dtype.type(1)
    for i in range(out.shape[0]):
        if sample_weight.size:
            weight = sample_weight[i]
            if weight == 0:
                # The loss of a finite output may overflow, and 0 · inf is NaN; an output that is NaN itself must show.
                for j in range(out.shape[1]):
                    d_out[i, j] = weight * out[i, j]
                    total += d_out[i, j]
                continue
        row = 0.0
        for j in range(out.shape[1]):
            value, derivative = pointwise(loss, out[i, j], target[i, j])
            row += value
            d_out[i, j] = scale * weight * derivative
        total += weight * row
        weights += abs(weight)
    sums[0], sums[1] = total, weights


@pointer_kernel(_loss_types)
def cross_entropy(kind, out, target, sample_weight, scale, d_out, numbers, sums):
    """One target a row, its class."""
    loss = settings_of(kind, numbers)
    total, weights = 0.0, 0.0
    zero, one = out.dtype.type(0), out.dtype.type(1)
    weight = one
    n_classes, count = out.shape[1], vector_width(zero)
    smoothing = out.dtype.type(loss.label_smoothing / n_classes)
    at_class = out.dtype.type(1.0 - loss.label_smoothing)
    flat, powers = read_only_vector(out), vector(d_out)
    # Of as many rows as a vector has elements, one after the other: exponentials and logarithms fill vectors then.
    largest, sums_of_powers, logarithms = stack_vector(zero), stack_vector(zero), stack_vector(zero)
    for first in range(0, out.shape[0], count):
        end = min(first + count, out.shape[0])
        begin, size = first * n_classes, (end - first) * n_classes
        for i in range(first, end):
            largest[i - first] = subtract_largest(flat, i * n_classes, n_classes, powers)
        for j in range(0, size, count):
            store(powers, begin + j, size - j, exp(load(powers, begin + j, size - j, zero)))
        for i in range(first, end):
            sums_of_powers[i - first] = sum_of_row(powers, i * n_classes, n_classes)
        store(logarithms, 0, count, log1p(load(sums_of_powers, 0, end - first, one) - broadcast(one)))
        for i in range(first, end):
            if sample_weight.size:
                weight = sample_weight[i]
                if weight == 0:
                    # As in `sum_over_outputs`: the distance of two finite logits may overflow.
                    for j in range(n_classes):
                        d_out[i, j] = weight * out[i, j]
                        total += d_out[i, j]
                    continue
            label, highest, exponentials = int(target[i, 0]), largest[i - first], sums_of_powers[i - first]
            row = np.float64(logarithms[i - first]) - at_class * distance(out[i, label], highest)
            if smoothing > 0:
                for j in range(n_classes):
                    row -= smoothing * distance(out[i, j], highest)
            at_label = d_out[i, label]
            for j in range(n_classes):
                d_out[i, j] = scale * weight * (d_out[i, j] / exponentials - smoothing)
            d_out[i, label] = scale * weight * (at_label / exponentials - (smoothing + at_class))
            total += weight * row
            weights += abs(weight)
    sums[0], sums[1] = total, weights


#: The losses of all outputs of a row together, which have one target.
JOINT = {CrossEntropy: cross_entropy}


class Objective(NamedTuple):
    """A loss as a network's loops call it.

    address : int, of the kernel above for the loss's kind          numbers : the settings, (n_fields,) float64
    sums : (2,) float64, what the kernel leaves there for the latest micro-batch
    """

    address: int
    numbers: np.ndarray
    sums: np.ndarray


def objective(loss: NamedTuple, dtype: np.dtype) -> Objective:
    """What loops of a dtype call for a loss's settings; compiled where it was not."""
    return Objective(*_address_and_numbers(type(loss), loss, np.dtype(dtype)), np.zeros(2))


# The kind too, as tuples of the same numbers are equal.
@functools.lru_cache(maxsize=64)
def _address_and_numbers(kind: type, loss: NamedTuple, dtype: np.dtype) -> tuple[int, np.ndarray]:
    return JOINT.get(kind, sum_over_outputs).pointer(dtype, kind), settings_vector(loss)


@inlined_kernel
def loss_and_derivative(objective, out, target, sample_weight, scale, d_out):
    """sums = Σ_i v_i loss(out_i, target_i) and Σ_i |v_i|;  d_out_i = scale v_i ∂loss/∂out_i  (the article's δ4).

    objective : Objective, its sums are overwritten
    out : (n_samples, n_out)          target : (n_samples, n_out), or (n_samples, 1) classes for the cross-entropy
    sample_weight : the v, (n_samples,), or (0,) where every weight is one; these three not to be written to
    scale : scalar, one over the size of the batch, so that the gradient is a mean over it; times -rate for an update
    d_out : (n_samples, n_out), overwritten
    """
    _call_loss(objective.address, (out, target, sample_weight, scale, d_out, objective.numbers, objective.sums))
