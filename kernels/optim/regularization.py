"""Regularisation: what is done to the gradient before an update and to the parameters after it."""

from typing import NamedTuple

import numpy as np
from numba import types

from ..codegen.function_pointer import call_through, pointer_kernel, settings_of, vector_of
from ..codegen.jit import inlined_kernel
from .hooks import transform_gradient_types
from .vectors import vectors_of

# Brings any float64 to where its square is finite; float32 has its squares summed in float64 and needs it not.
_SMALL = 2.0**-600


class NoRegularization(NamedTuple):
    """Nothing of what `Regularization` offers."""

    changes_gradient = changes_parameters = averages = False


class Regularization(NamedTuple):
    """Elastic net, clipping, norms and averages. The first two act on weights, never on biases.

    l2 : g += l2 · w before the update, the gradient of ½ l2 Σ w²; where is_proximal, no more than w / rate, so that
        w = max(0, 1 - rate · l2) w - rate · g: further than to zero, a penalty would overshoot, and weights might grow
    l1 : the strength of l1 Σ |w|
    is_proximal : how l1 acts. True, for plain SGD: w = sign(w) max(0, |w| - rate · l1) after the update. False, for
        optimisers that scale or delay the gradient and must scale and delay this one too: g += l1 · sign(w), for w = 0
        what lies nearest to zero between g - l1 and g + l1; a weight that the update takes across zero stays there.
        After Andrew and Gao, "Scalable training of L1-regularized log-linear models" (ICML 2007), section 3.2.
    clip_value : each element of the gradient is limited to ± this, l2 and l1 included
    clip_norm : then the gradient is scaled so that its norm is at most this
    max_norm : after the update, each unit's incoming weights are scaled to at most this norm
    average_from : after the update with this number, from 1, and each later one, the parameters join their running mean

    Infinity, or zero for the first two, stands for "not at all".
    """

    l2: float
    l1: float
    is_proximal: bool
    clip_value: float
    clip_norm: float
    max_norm: float
    average_from: float

    @property
    def changes_gradient(self) -> bool:
        """Whether there is anything for `transform_gradient` to do."""
        adds = self.l2 > 0 or (self.l1 > 0 and not self.is_proximal)
        return adds or self.clip_value < np.inf or self.clip_norm < np.inf

    @property
    def changes_parameters(self) -> bool:
        """Whether there is anything for `prox_and_project` to do."""
        return self.l1 > 0 or self.max_norm < np.inf

    @property
    def averages(self) -> bool:
        """Whether there is anything for `take_average` to do."""
        return self.average_from < np.inf


@inlined_kernel
def _choose_orthant(l1, weights, vectors):
    parameters, gradient, orthant = vectors.parameters, vectors.gradient, vectors.orthant
    for layer in range(weights.shape[0]):
        for i in range(weights[layer, 0], weights[layer, 1]):
            if parameters[i] != 0:
                orthant[i] = np.sign(parameters[i])
            elif abs(gradient[i]) > l1:
                orthant[i] = -np.sign(gradient[i])
            else:
                orthant[i] = 0
                # Zero, but NaN where the gradient is.
                gradient[i] *= 0
            gradient[i] += l1 * orthant[i]


@inlined_kernel
def _stay_in_orthant(weights, vectors):
    parameters, orthant = vectors.parameters, vectors.orthant
    for layer in range(weights.shape[0]):
        for i in range(weights[layer, 0], weights[layer, 1]):
            if parameters[i] * orthant[i] <= 0:
                parameters[i] = 0


@inlined_kernel
def shrink(threshold, weights, vectors):
    parameters = vectors.parameters
    for layer in range(weights.shape[0]):
        for i in range(weights[layer, 0], weights[layer, 1]):
            if abs(parameters[i]) <= threshold:
                parameters[i] = 0
            elif parameters[i] > 0:
                parameters[i] -= threshold
            else:
                parameters[i] += threshold


@inlined_kernel
def _limit_norm(values, begin, end, bound):
    """Scale elements begin to end so that their norm is at most a bound; NaN where one of them is not finite."""
    number = values.dtype.type
    squares, unit = 0.0, 1.0
    for i in range(begin, end):
        squares += np.float64(values[i]) * values[i]
    if squares == np.inf:
        # Squares overflow long before their numbers do.
        squares, unit = 0.0, _SMALL
        for i in range(begin, end):
            small = _SMALL * values[i]
            squares += small * small
    norm = np.sqrt(squares)
    if not norm <= unit * bound:
        if unit < 1:
            # Apart from the factor, which might else be too small for its digits.
            for i in range(begin, end):
                values[i] *= number(_SMALL)
        factor = number(bound / norm)
        for i in range(begin, end):
            values[i] *= factor


def _regularization_types(number):
    return *transform_gradient_types(number), number


call_regularization = call_through(_regularization_types)


@pointer_kernel(_regularization_types)
def transform_gradient(vectors, numbers, weights, rate):
    """Change the gradient as a regularisation says.

    vectors : Vectors, the gradient is modified in place          numbers : (n_fields,) float64, of the Regularization
    weights : (n_linear_layers, 3) int64, where each layer's weight begins and ends in the parameters, and its n_in
    rate : scalar of the parameters' dtype, the learning rate
    """
    regularization = settings_of(Regularization, numbers)
    parameters, gradient = vectors.parameters, vectors.gradient
    number = parameters.dtype.type
    l2 = number(regularization.l2)
    if regularization.is_proximal and rate * l2 > 1:
        l2 = number(1) / rate
    if l2 > 0:
        for layer in range(weights.shape[0]):
            for i in range(weights[layer, 0], weights[layer, 1]):
                gradient[i] += l2 * parameters[i]
    if regularization.l1 > 0 and not regularization.is_proximal:
        _choose_orthant(number(regularization.l1), weights, vectors)
    limit = number(regularization.clip_value)
    if regularization.clip_value < np.inf:
        for i in range(gradient.size):
            # NaN must stay NaN: a comparison with it is false.
            if gradient[i] > limit:
                gradient[i] = limit
            elif gradient[i] < -limit:
                gradient[i] = -limit
    if regularization.clip_norm < np.inf:
        _limit_norm(gradient, 0, gradient.size, regularization.clip_norm)


@pointer_kernel(_regularization_types)
def prox_and_project(vectors, numbers, weights, rate):
    """Change the parameters as a regularisation says.

    vectors : Vectors, modified in place          numbers, weights, rate : as for `transform_gradient`
    """
    regularization = settings_of(Regularization, numbers)
    parameters = vectors.parameters
    number = parameters.dtype.type
    if regularization.l1 > 0:
        if regularization.is_proximal:
            shrink(number(rate * regularization.l1), weights, vectors)
        else:
            _stay_in_orthant(weights, vectors)
    if regularization.max_norm < np.inf:
        for layer in range(weights.shape[0]):
            n_in = weights[layer, 2]
            for begin in range(weights[layer, 0], weights[layer, 1], n_in):
                _limit_norm(parameters, begin, begin + n_in, regularization.max_norm)


def _take_average_types(number):
    return vectors_of(number), vector_of(types.float64), types.int64


call_take_average = call_through(_take_average_types)


@pointer_kernel(_take_average_types)
def take_average(vectors, numbers, t):
    """Take the parameters into their running mean.

    vectors : Vectors, modified in place          numbers : (n_fields,) float64, of the Regularization
    t : int, the number of the update, from 1
    """
    regularization = settings_of(Regularization, numbers)
    parameters, average = vectors.parameters, vectors.average
    if t >= regularization.average_from:
        share = 1 / (t - regularization.average_from + 1)
        for i in range(parameters.size):
            average[i] += share * (parameters[i] - average[i])
