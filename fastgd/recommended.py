"""What learns best of all that was measured, without a search: optimisers, falling rates, and where to start from."""

import numpy as np

from fastgd.autorate import rows_that_count
from fastgd.dataset import Dataset
from fastgd.kernels.loss import CrossEntropy, LogLoss
from fastgd.layers import Dropout, Identity, Linear, ReLU
from fastgd.losses import Loss
from fastgd.model import Model
from fastgd.optimizers import Adam, NormalizedSGD, Optimizer, check_optimizer
from fastgd.schedules import Cooldown, Schedule


def resolved(optimizer: Optimizer | str | None, model: Model, loss: Loss, batch_size: int | None) -> Optimizer:
    """The optimiser that trains a model: of "auto" the recommended one, else what is given.

    NormalizedSGD("auto"), or Adam("auto") for a model that does not start with a Linear and for full batches of a
    linear one.

    Raises a ValueError or TypeError for one that cannot train the model.
    """
    if isinstance(optimizer, str) and optimizer == "auto":
        is_fast_in_full_batches = model.is_linear and batch_size is None
        return Adam("auto") if is_fast_in_full_batches or not model.starts_linear else NormalizedSGD("auto")
    checked = check_optimizer(optimizer)
    if isinstance(checked, NormalizedSGD) and not model.starts_linear:
        raise ValueError(f"NormalizedSGD with {model!r}; expected Linear as the first layer")
    checked.check_dtype(model.dtype)
    return checked


def needs_no_search(optimizer: Optimizer) -> bool:
    """Whether a rate of "auto" is known beforehand."""
    return isinstance(optimizer, NormalizedSGD)


def falling_schedule(optimizer: Optimizer, dataset: Dataset, batch_rows: int) -> Schedule | None:
    """The optimiser's own rate, falling to 0 over each epoch; None where no row has a weight.

    What training has come to after each epoch is then free from the noise of its steps, whether or not more follow. An
    epoch of one update has no fall.
    """
    counting = rows_that_count(dataset)
    n_counting = dataset.n_samples if counting is None else len(counting)
    if n_counting == 0:
        return None
    n_updates = n_counting if batch_rows == 1 else -(-dataset.n_samples // batch_rows)
    return Cooldown(optimizer.default_rate, n_updates, share=1.0)


def start_at_constant(model: Model, constant: np.ndarray, loss: Loss, n_rows: int) -> None:
    """Have a model that is as it was drawn predict the best constant: the last Linear's weights 0, its bias that.

    Any step that is small enough then makes the model better than every constant, and a network's hidden layers, whose
    weights stay, are as good a start as ever. A model that was given weights, or has no bias there, stays as it is, and
    so does one that ends in an activation with another range.

    constant : (n_outputs,), as `safeguard.best_constant` finds it          n_rows : of how many rows
    """
    stack = [layer for layer in model.layers if not isinstance(layer, Dropout | Identity)]
    if isinstance(stack[-1], ReLU):
        stack, constant = stack[:-1], np.maximum(constant, 0)
    last = stack[-1]
    if not (isinstance(last, Linear) and last.has_bias and model.is_as_drawn):
        return
    if isinstance(loss, LogLoss | CrossEntropy):
        # A class that these rows have none of may still be among the others.
        largest = np.log(2 * n_rows)
        constant = np.clip(constant, -largest, largest)
    last.weight, last.bias = 0, constant
