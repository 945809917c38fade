"""What happens between two batches: the optimiser and the regularisation as the training loops call them."""

from typing import NamedTuple

import numpy as np
from numba import types

from ..codegen.function_pointer import call_through, pointer_kernel, settings_of, settings_vector, vector_of
from ..codegen.jit import inlined_kernel
from ..parallel.thread_pool import ALONE
from .bounded import Bounded, bounded_direction, look_along, step_along
from .normalized_sgd import (
    NormalizedSGD,
    add_derivatives,
    balance_biases,
    call_centre,
    call_with_vectors,
    centre_gradient,
    observe_features,
)
from .optimizers import UPDATES, PlainSGD
from .parallel_update import call_parallel_update, parallel_update, update_block
from .regularization import (
    NoRegularization,
    Regularization,
    call_prox_and_project,
    call_take_average,
    call_transform_gradient,
    prox_and_project,
    take_average,
    transform_gradient,
)
from .vectors import call_update, vectors_of


class Step(NamedTuple):
    """What `apply_gradient` calls, by address, and what that needs.

    centre, transform_gradient, update, prox_and_project, balance, average : int, zero where nothing is to do
    parallel_update, update_block : int, zero where one thread makes the update
    optimizer, regularization : the records' numbers, (n,) float64
    weights : (n_linear_layers, 3) int64, where each Linear's weight begins and ends in the parameters, and its n_in
    pool : as `pool_memory` makes it
    """

    centre: int
    transform_gradient: int
    update: int
    prox_and_project: int
    balance: int
    average: int
    parallel_update: int
    update_block: int
    optimizer: np.ndarray
    regularization: np.ndarray
    weights: np.ndarray
    pool: np.ndarray


class UpdateRule(NamedTuple):
    """Addresses of kernels, zero where nothing is to do, and what they need.

    is_direct : whether an update is  w -= rate · g  and no more, so that the gradient need not be kept
    observe, add_derivatives, apply_gradient : int
    look_along, step_along : int, of a step that is bounded: `apply_gradient` has its direction stand in the gradient,
        the first its curvature among the scalars, where the loop does not do so itself, and the second makes it
    step : Step
    """

    is_direct: bool
    observe: int
    add_derivatives: int
    apply_gradient: int
    look_along: int
    step_along: int
    step: Step


def update_rule(
    optimizer: NamedTuple,
    regularization: NoRegularization | Regularization,
    weights: np.ndarray,
    dtype: np.dtype,
    keeps_gradient: bool,
    pool: np.ndarray = ALONE,
    looks_along: bool = True,
) -> UpdateRule:
    """What loops of a dtype call for these records; compiled where it was not.

    keeps_gradient : whether the loop cannot make direct updates          pool : as `pool_memory` makes it
    looks_along : whether it calls `look_along` for a step that is bounded
    """
    is_regularized, is_normalized = isinstance(regularization, Regularization), isinstance(optimizer, NormalizedSGD)
    averages = is_regularized and regularization.average_from < np.inf
    is_direct = isinstance(optimizer, PlainSGD) and not is_regularized and not keeps_gradient
    is_bounded = isinstance(optimizer, Bounded)
    is_shared = pool.size > 0 and not (is_direct or is_normalized or is_bounded)
    update = bounded_direction if is_bounded else UPDATES[type(optimizer)]
    return UpdateRule(
        is_direct,
        observe_features.pointer(dtype) if is_normalized else 0,
        add_derivatives.pointer(dtype) if is_normalized else 0,
        0 if is_direct else (find_direction if is_bounded else apply_gradient).pointer(dtype),
        look_along.pointer(dtype) if is_bounded and looks_along else 0,
        make_step_along.pointer(dtype) if is_bounded else 0,
        Step(
            centre_gradient.pointer(dtype) if is_normalized else 0,
            transform_gradient.pointer(dtype) if is_regularized else 0,
            0 if is_direct else update.pointer(dtype),
            prox_and_project.pointer(dtype) if is_regularized else 0,
            balance_biases.pointer(dtype) if is_normalized else 0,
            take_average.pointer(dtype) if averages else 0,
            parallel_update.pointer(dtype) if is_shared else 0,
            update_block.pointer(dtype) if is_shared else 0,
            settings_vector(optimizer),
            settings_vector(regularization),
            weights,
            pool,
        ),
    )


def _apply_gradient_types(number):
    numbers, weights = vector_of(types.float64), types.Array(types.int64, 2, "C")
    step = types.NamedTuple([types.int64] * 8 + [numbers, numbers, weights, vector_of(types.int64)], Step)
    return vectors_of(number), step, number, types.int64


call_apply_gradient = call_through(_apply_gradient_types)


@inlined_kernel
def finish_update(vectors, step, rate, t):
    """Do what comes after the optimiser's step; arguments as for `apply_gradient`."""
    if step.prox_and_project != 0:
        call_prox_and_project(step.prox_and_project, (vectors, step.regularization, step.weights, rate))
    if step.balance != 0:
        call_with_vectors(step.balance, (vectors,))
    if step.average != 0:
        call_take_average(step.average, (vectors, step.regularization, t))


@pointer_kernel(_apply_gradient_types)
def apply_gradient(vectors, step, rate, t):
    """Make one update  (the article's ŵ = w - α δw)  from the gradient of a whole batch.

    vectors : Vectors, modified in place          step : Step
    rate : scalar of the parameters' dtype, the learning rate          t : int, the number of the update, from 1
    """
    if step.centre != 0:
        call_centre(step.centre, (vectors, step.weights))
    if step.transform_gradient != 0:
        call_transform_gradient(step.transform_gradient, (vectors, step.regularization, step.weights))
    if step.parallel_update != 0:
        call_parallel_update(
            step.parallel_update, (vectors, step.optimizer, rate, t, step.update, step.pool, step.update_block)
        )
    else:
        call_update(step.update, (vectors, step.optimizer, rate, t, (0, vectors.parameters.size)))
    finish_update(vectors, step, rate, t)


@pointer_kernel(_apply_gradient_types)
def find_direction(vectors, step, rate, t):
    """Have the direction of a step of `bounded.py` stand in the gradient; arguments as for `apply_gradient`."""
    if step.transform_gradient != 0:
        call_transform_gradient(step.transform_gradient, (vectors, step.regularization, step.weights))
    call_update(step.update, (vectors, step.optimizer, rate, t, (0, vectors.parameters.size)))


@pointer_kernel(_apply_gradient_types)
def make_step_along(vectors, step, rate, t):
    """Make the update along it, once its curvature stands among the scalars; arguments as for `apply_gradient`."""
    l2 = settings_of(Regularization, step.regularization).l2 if step.transform_gradient != 0 else 0.0
    step_along(vectors, settings_of(Bounded, step.optimizer), l2, step.weights, rate, t)
    finish_update(vectors, step, rate, t)
