"""What happens between two batches: the optimiser and the regularisation as the training loops call them."""

from typing import NamedTuple

import numpy as np
from numba import types

from ..codegen.function_pointer import (
    FunctionPointerKernel,
    call_through,
    pointer_kernel,
    read_only_matrix_of,
    read_only_vector_of,
    settings_vector,
    vector_of,
)
from ..codegen.jit import inlined_kernel
from ..codegen.views import matrix, stack_vector
from ..parallel.thread_pool import ALONE
from .hooks import (
    call_after_update,
    call_mean_square_along,
    call_step_along,
    call_transform_gradient,
    call_update,
    products_type,
)
from .optimizers import OPTIMIZERS
from .parallel_update import call_parallel_update, parallel_update, update_block
from .regularization import (
    NoRegularization,
    Regularization,
    call_regularization,
    call_take_average,
    prox_and_project,
    take_average,
    transform_gradient,
)
from .vectors import vectors_of


class Step(NamedTuple):
    """What an update calls, by address, and what that needs.

    transform_gradient, update, step_along, after_update : int, the optimiser's `Hooks`, zero where it has none
    regularize_gradient, prox_and_project, average : int, the regularisation's, zero where nothing is to do
    parallel_update, update_block : int, zero where one thread makes the update
    optimizer, regularization : their settings, (n,) float64
    weights : (n_linear_layers, 3) int64, where each Linear's weight begins and ends in the parameters, and its n_in
    pool : as `pool_memory` makes it
    """

    transform_gradient: int
    update: int
    step_along: int
    after_update: int
    regularize_gradient: int
    prox_and_project: int
    average: int
    parallel_update: int
    update_block: int
    optimizer: np.ndarray
    regularization: np.ndarray
    weights: np.ndarray
    pool: np.ndarray


class UpdateRule(NamedTuple):
    """What the loops call, by address, and what that needs.

    is_direct : whether an update is  w -= rate · g  and no more, so that the gradient need not be kept
    before_forward, after_backward : int, the optimiser's `Hooks`, zero where it has none
    apply_gradient, make_update : int, zero where the update is direct; one of them is, as loops call one or the other
    mean_square_along : int, the optimiser's, zero where its steps are not bounded or the loop measures by itself
    finish_along : int, zero where nothing is to do after a step that is bounded
    l2 : float64, the penalty's
    step : Step
    """

    is_direct: bool
    before_forward: int
    after_backward: int
    apply_gradient: int
    make_update: int
    mean_square_along: int
    finish_along: int
    l2: float
    step: Step


def update_rule(
    optimizer: NamedTuple,
    regularization: NoRegularization | Regularization,
    weights: np.ndarray,
    dtype: np.dtype,
    keeps_gradient: bool,
    has_rows: bool,
    pool: np.ndarray = ALONE,
) -> UpdateRule:
    """What loops of a dtype call for these settings; compiled where it was not.

    keeps_gradient : whether the loop cannot make direct updates          pool : as `pool_memory` makes it
    has_rows : whether they call `make_update`, with rows that a step which is bounded is measured on
    """
    hooks = OPTIMIZERS[type(optimizer)]
    is_regularized = isinstance(regularization, Regularization)
    follows = regularization.changes_parameters or regularization.averages or hooks.after_update is not None
    is_direct = hooks.is_plain and not is_regularized and not keeps_gradient
    is_shared = pool.size > 0 and hooks.is_parallel and not is_direct

    def pointer(kernel: FunctionPointerKernel | None, is_called: bool = True) -> int:
        return kernel.pointer(dtype) if is_called and kernel is not None else 0

    return UpdateRule(
        is_direct,
        before_forward=pointer(hooks.before_forward),
        after_backward=pointer(hooks.after_backward),
        apply_gradient=pointer(apply_gradient, not (is_direct or has_rows)),
        make_update=pointer(_make_bounded_update if hooks.is_bounded else _make_update, has_rows and not is_direct),
        mean_square_along=pointer(hooks.mean_square_along, has_rows),
        finish_along=pointer(_finish_along, hooks.is_bounded and follows),
        l2=float(regularization.l2) if is_regularized else 0.0,
        step=Step(
            transform_gradient=pointer(hooks.transform_gradient),
            update=pointer(hooks.update, not is_direct),
            step_along=pointer(hooks.step_along),
            after_update=pointer(hooks.after_update),
            regularize_gradient=pointer(transform_gradient, regularization.changes_gradient),
            prox_and_project=pointer(prox_and_project, regularization.changes_parameters),
            average=pointer(take_average, regularization.averages),
            parallel_update=pointer(parallel_update, is_shared),
            update_block=pointer(update_block, is_shared),
            optimizer=settings_vector(optimizer),
            regularization=settings_vector(regularization),
            weights=weights,
            pool=pool,
        ),
    )


def _step_type():
    numbers, weights = vector_of(types.float64), types.Array(types.int64, 2, "C")
    return types.NamedTuple([types.int64] * 9 + [numbers, numbers, weights, vector_of(types.int64)], Step)


def _apply_gradient_types(number):
    return vectors_of(number), _step_type(), number, types.int64


def _make_update_types(number):
    rule = types.NamedTuple([types.boolean, *[types.int64] * 6, types.float64, _step_type()], UpdateRule)
    rows = read_only_matrix_of(number), read_only_vector_of(number)
    return vectors_of(number), rule, number, types.int64, *rows, vector_of(number), products_type(number)


call_apply_gradient = call_through(_apply_gradient_types)
call_make_update = call_through(_make_update_types)


@inlined_kernel
def _finish_update(vectors, step, rate, t):
    """Do what comes after the optimiser's step; arguments as for `apply_gradient`."""
    if step.prox_and_project != 0:
        call_regularization(step.prox_and_project, (vectors, step.regularization, step.weights, rate))
    if step.after_update != 0:
        call_after_update(step.after_update, (vectors, step.optimizer))
    if step.average != 0:
        call_take_average(step.average, (vectors, step.regularization, t))


@inlined_kernel
def _apply_gradient(vectors, step, rate, t):
    """As `apply_gradient`."""
    if step.transform_gradient != 0:
        call_transform_gradient(step.transform_gradient, (vectors, step.optimizer, step.weights))
    if step.regularize_gradient != 0:
        call_regularization(step.regularize_gradient, (vectors, step.regularization, step.weights, rate))
    if step.parallel_update != 0:
        call_parallel_update(
            step.parallel_update, (vectors, step.optimizer, rate, t, step.update, step.pool, step.update_block)
        )
    else:
        call_update(step.update, (vectors, step.optimizer, rate, t, (0, vectors.parameters.size)))
    if step.step_along == 0:
        _finish_update(vectors, step, rate, t)


@pointer_kernel(_apply_gradient_types)
def apply_gradient(vectors, step, rate, t):
    """Make one update  (the article's ŵ = w - α δw)  from the gradient of a whole batch; or leave its direction there.

    vectors : Vectors, modified in place          step : Step
    rate : scalar of the parameters' dtype, the learning rate          t : int, the number of the update, from 1
    """
    _apply_gradient(vectors, step, rate, t)


@pointer_kernel(_apply_gradient_types)
def _finish_along(vectors, step, rate, t):
    """Do what comes after a step that is bounded; arguments as for `apply_gradient`."""
    _finish_update(vectors, step, rate, t)


@inlined_kernel
def apply_step_along(vectors, rule, rate, t, mean_square):
    """Make the update along the direction that `apply_gradient` has left.

    vectors : Vectors, modified in place          rule : UpdateRule, of steps that are bounded
    rate, t : as for `apply_gradient`          mean_square : float64, as `Hooks.mean_square_along` leaves it
    """
    step = rule.step
    call_step_along(step.step_along, (vectors, step.optimizer, rate, t, rule.l2, step.weights, mean_square))
    if rule.finish_along != 0:
        call_apply_gradient(rule.finish_along, (vectors, step, rate, t))


@pointer_kernel(_make_update_types)
def _make_update(vectors, rule, rate, t, x, sample_weight, scratch, products):
    """Make one update; arguments as for `_make_bounded_update`, of which it needs the first four."""
    _apply_gradient(vectors, rule.step, rate, t)


@pointer_kernel(_make_update_types)
def _make_bounded_update(vectors, rule, rate, t, x, sample_weight, scratch, products):
    """Make one update, whose step is as long as rows bear.

    vectors, rate, t : as for `apply_gradient`          rule : UpdateRule
    x, sample_weight, products : as for `Hooks.mean_square_along`          scratch : room for the outputs of these rows
    """
    _apply_gradient(vectors, rule.step, rate, t)
    weights = rule.step.weights
    change = matrix(scratch, 0, x.shape[0], (weights[0, 1] - weights[0, 0]) // weights[0, 2])
    mean_square = stack_vector(0.0)
    call_mean_square_along(rule.mean_square_along, (vectors, weights, x, sample_weight, change, products, mean_square))
    apply_step_along(vectors, rule, rate, t, mean_square[0])
