"""What happens between two batches: the optimiser and the regularisation as the training loops call them."""

from typing import NamedTuple

import numpy as np

from ._jit import inlined_kernel
from .addressed import call_at, numbers_of
from .regularization import NoRegularization, Regularization, limit_gradient, limit_parameters
from .update import UPDATES, NormalizedSGD, PlainSGD, observe_features


class UpdateRule(NamedTuple):
    """Addresses of kernels, zero where nothing is to do, and what they need.

    is_direct : whether an update is  w -= rate · g  and no more, so that the gradient need not be kept
    observe, limit_gradient, update, limit_parameters : int
    optimizer, regularization : the records' numbers, (n,) float64
    weights : (n_linear_layers, 3) int64, where each Linear's weight begins and ends in the parameters, and its n_in
    """

    is_direct: bool
    observe: int
    limit_gradient: int
    update: int
    limit_parameters: int
    optimizer: np.ndarray
    regularization: np.ndarray
    weights: np.ndarray


def update_rule(
    optimizer: NamedTuple,
    regularization: NoRegularization | Regularization,
    weights: np.ndarray,
    dtype: np.dtype,
    keeps_gradient: bool,
) -> UpdateRule:
    """What loops of a dtype call for these records; compiled where it was not.

    keeps_gradient : whether the loop cannot make direct updates
    """
    is_regularized = isinstance(regularization, Regularization)
    is_direct = isinstance(optimizer, PlainSGD) and not is_regularized and not keeps_gradient
    return UpdateRule(
        is_direct,
        observe_features.address(dtype) if isinstance(optimizer, NormalizedSGD) else 0,
        limit_gradient.address(dtype) if is_regularized else 0,
        0 if is_direct else UPDATES[type(optimizer)].address(dtype),
        limit_parameters.address(dtype) if is_regularized else 0,
        numbers_of(optimizer),
        numbers_of(regularization),
        weights,
    )


@inlined_kernel
def apply_gradient(rule, vectors, rate, t):
    """Make one update  (the article's ŵ = w - α δw)  from the gradient of a whole batch.

    rule : UpdateRule          vectors : Vectors, modified in place
    rate : scalar of the parameters' dtype, the learning rate          t : int, the number of the update, from 1
    """
    if rule.limit_gradient != 0:
        call_at(rule.limit_gradient, (vectors, rule.regularization, rule.weights))
    call_at(rule.update, (vectors, rule.optimizer, rate, t))
    if rule.limit_parameters != 0:
        call_at(rule.limit_parameters, (vectors, rule.regularization, rule.weights, rate, t))
