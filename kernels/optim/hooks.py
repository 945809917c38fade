"""The one interface of optimisers: what the loops call at each point of a batch, and what they must know besides.

For each batch, with its micro-batches in the middle:

    before_forward      each micro-batch's rows, before their forward pass
    after_backward      the derivatives by the layers' outputs, after the micro-batch's backward pass
    transform_gradient  of the whole batch, before regularisation transforms it
    update              w from the gradient
    after_update        after regularisation's prox_and_project

All but `update` are optional. An optimiser whose steps are bounded has `update` leave a direction s in the gradient;
the loop then measures what s changes in the outputs of the batch's rows, and `step_along` makes the step.
"""

from collections.abc import Callable
from typing import NamedTuple

from numba import types

from ..codegen.function_pointer import (
    FunctionPointerKernel,
    call_through,
    matrix_of,
    read_only_matrix_of,
    read_only_vector_of,
    vector_of,
)
from ..gemm import Products
from .vectors import vectors_of


class Hooks(NamedTuple):
    """An optimiser's kernels, None where it does nothing, and what it is.

    update : (vectors, numbers, rate, t, part)
    before_forward : (vectors, numbers, x, sample_weight)
    after_backward : (vectors, numbers, layers, deltas, n_rows, accumulate)
    transform_gradient : (vectors, numbers, weights)
    after_update : (vectors, numbers)
    mean_square_along : (vectors, weights, x, sample_weight, change, products, result)
    step_along : (vectors, numbers, rate, t, l2, weights, mean_square), which makes  w -= f s  for an f of its own
    is_plain : whether an update is  w -= rate · g  and no more, so that loops may fuse it with their products
    update_at : (vectors, numbers, rate, t, places, n_places), the update of some elements, whose gradient it sets to
        zero
    direction_at : (vectors, numbers, direction, slope, places, n_places), which takes the gradient of some elements,
        leaves zero there and s in the direction, and adds their s·g to the slope
    is_sparse : whether an update with these settings leaves parameter and state as they are where the gradient is zero,
        so that `update_at` or `direction_at` may make it
    is_parallel : whether parts of an update know nothing of one another, so that several threads may make them

    The kernels' arguments are

    vectors : Vectors, modified in place          numbers : (n_fields,) float64, the settings
    rate : scalar of the parameters' dtype, the learning rate          t : int, the number of the update, from 1
    part : (first, end) of the vectors, the part to update
    places : (n_places and more,) int64, elements of the vectors, some perhaps more than once          n_places : int
    x : (n_samples, n_features)          sample_weight : (n_samples,), or (0,); neither to be written to. Before the
        forward pass, the micro_batch_gradient, or the gradient where there is none, is scratch
    layers : (n_layers, fields of a Layer) int64          n_rows : int, of the micro-batch
    deltas : the derivatives of the batch's loss by the outputs of each layer, (n_rows, n_out) from its `output` on
    accumulate : bool, whether the batch had rows before
    weights : (n_linear_layers, 3) int64, where each Linear's weight begins and ends in the parameters, and its n_in
    change : (n_samples, n_out), overwritten with Δz, what s changes in the outputs          products : Products
    result : (1,) float64, overwritten with the mean over the rows of v |Δz|², v their weights
    direction : like the parameters          slope : (1,) float64
    l2 : float64, the penalty's          mean_square : float64, what `mean_square_along` has found
    """

    update: FunctionPointerKernel
    before_forward: FunctionPointerKernel | None = None
    after_backward: FunctionPointerKernel | None = None
    transform_gradient: FunctionPointerKernel | None = None
    after_update: FunctionPointerKernel | None = None
    mean_square_along: FunctionPointerKernel | None = None
    step_along: FunctionPointerKernel | None = None
    update_at: FunctionPointerKernel | None = None
    direction_at: FunctionPointerKernel | None = None
    is_sparse: Callable[[tuple], bool] = lambda settings: False
    is_plain: bool = False
    is_parallel: bool = True

    @property
    def sees_rows(self) -> bool:
        """Whether it is shown rows or derivatives, as the loops of a network alone do."""
        return self.before_forward is not None or self.after_backward is not None

    @property
    def is_bounded(self) -> bool:
        """Whether its steps are made along a direction, as long as the batch's loss bears."""
        return self.step_along is not None


def _optimizer_types(number):
    return vectors_of(number), vector_of(types.float64)


_WEIGHTS = _LAYERS = types.Array(types.int64, 2, "C")


def update_types(number):
    """The types of the arguments of `Hooks.update`."""
    return *_optimizer_types(number), number, types.int64, types.UniTuple(types.int64, 2)


def update_at_types(number):
    """The types of the arguments of `Hooks.update_at`."""
    return *_optimizer_types(number), number, types.int64, vector_of(types.int64), types.int64


def direction_at_types(number):
    """The types of the arguments of `Hooks.direction_at`."""
    places = vector_of(types.int64), types.int64
    return *_optimizer_types(number), vector_of(number), vector_of(types.float64), *places


def before_forward_types(number):
    """The types of the arguments of `Hooks.before_forward`."""
    return *_optimizer_types(number), read_only_matrix_of(number), read_only_vector_of(number)


def after_backward_types(number):
    """The types of the arguments of `Hooks.after_backward`."""
    return *_optimizer_types(number), _LAYERS, vector_of(number), types.int64, types.boolean


def transform_gradient_types(number):
    """The types of the arguments of `Hooks.transform_gradient`."""
    return *_optimizer_types(number), _WEIGHTS


def after_update_types(number):
    """The types of the arguments of `Hooks.after_update`."""
    return _optimizer_types(number)


def products_type(number):
    """The type of Products."""
    numbers, integers = vector_of(number), vector_of(types.int64)
    fields = [*[types.int64] * 7, read_only_vector_of(number), numbers, matrix_of(number), integers, integers]
    return types.NamedTuple(fields, Products)


def mean_square_along_types(number):
    """The types of the arguments of `Hooks.mean_square_along`."""
    rows = read_only_matrix_of(number), read_only_vector_of(number)
    return vectors_of(number), _WEIGHTS, *rows, matrix_of(number), products_type(number), vector_of(types.float64)


def step_along_types(number):
    """The types of the arguments of `Hooks.step_along`."""
    return *_optimizer_types(number), number, types.int64, types.float64, _WEIGHTS, types.float64


call_update = call_through(update_types)
call_update_at = call_through(update_at_types)
call_direction_at = call_through(direction_at_types)
call_before_forward = call_through(before_forward_types)
call_after_backward = call_through(after_backward_types)
call_transform_gradient = call_through(transform_gradient_types)
call_after_update = call_through(after_update_types)
call_mean_square_along = call_through(mean_square_along_types)
call_step_along = call_through(step_along_types)
