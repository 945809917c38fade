"""What learns best of all that was measured, without a search: optimisers, falling rates, and where to start from."""

from dataclasses import replace

import numpy as np

from fastgd.data.base import Dataset
from fastgd.data.subset import Subset, rows_that_count
from fastgd.kernels.nn.loss import CrossEntropy, LogLoss
from fastgd.layers import Dropout, Identity, LeakyReLU, Linear, ReLU, Sigmoid, Tanh
from fastgd.losses import Loss, curvature_of, name_of, takes_every_number
from fastgd.model import Model
from fastgd.model_data import rows_without_X
from fastgd.optimizers import SGD, Adagrad, Adam, NormalizedSGD, Optimizer, check_optimizer
from fastgd.schedules import Cooldown, Schedule

# With these rates it is the bound that says how long a step is, but where the last rows of a batch, of which it is
# taken, know less than they should: there the safeguard lowers them.
_ADAGRAD_IN_FULL_BATCHES, _SGD_IN_FULL_BATCHES = 1.0, 100.0

# Rows that the deviation of the targets is taken of.
_ROWS = 1 << 12


def resolved(optimizer: Optimizer | str | None, model: Model, loss: Loss, batch_size: int | None) -> Optimizer:
    """The optimiser that trains a model: of "auto" the recommended one, else what is given.

    "auto" is, as `bench/studies/quality.py` has found,

    - Adagrad("auto", bounded=True) where steps can be bounded: see `can_be_bounded`; SGD("auto", bounded=True) there
      for full batches;
    - NormalizedSGD("auto") for any other model that starts with a Linear;
    - Adam("auto") for the rest.

    Adagrad with no word on bounds is told whether it has them.

    Raises a ValueError or TypeError for one that cannot train the model.
    """
    is_auto = isinstance(optimizer, str) and optimizer == "auto"
    checked = _recommended(model, loss, batch_size) if is_auto else check_optimizer(optimizer)
    checked.check_dtype(model.dtype)
    if isinstance(checked, NormalizedSGD) and not model.starts_linear:
        raise ValueError(f"NormalizedSGD with {model!r}; expected Linear as the first layer")
    can_be = can_be_bounded(model, loss)
    if isinstance(checked, Adagrad) and checked.bounded is None:
        return replace(checked, bounded=can_be and checked.learning_rate == "auto")
    if _is_bounded(checked) and not can_be:
        raise ValueError(
            f"{type(checked).__name__}(bounded=True) with loss={name_of(loss)!r} and {model!r}; expected one Linear, "
            "with Standardize before it or activations of slopes of at most 1 behind it, and a loss of bounded "
            "curvature, as half_squared_error or log_loss; or bounded=False"
        )
    return checked


def _recommended(model: Model, loss: Loss, batch_size: int | None) -> Optimizer:
    if can_be_bounded(model, loss):
        return SGD("auto", bounded=True) if batch_size is None else Adagrad("auto", bounded=True)
    return NormalizedSGD("auto") if model.starts_linear else Adam("auto")


def _is_bounded(optimizer: Optimizer) -> bool:
    return isinstance(optimizer, SGD | Adagrad) and bool(optimizer.bounded)


def can_be_bounded(model: Model, loss: Loss) -> bool:
    """Whether steps of `SGD` and `Adagrad` can be bounded.

    They can for one Linear, first but for Standardize, with nothing behind it that is steeper than the identity, and a
    loss of bounded curvature.
    """
    first, *rest = model.stack
    is_flat = all(
        isinstance(layer, Identity | ReLU | Tanh | Sigmoid) or (isinstance(layer, LeakyReLU) and layer.slope <= 1)
        for layer in rest
    )
    return isinstance(first, Linear) and is_flat and curvature_of(loss) is not None


def needs_no_search(optimizer: Optimizer) -> bool:
    """Whether a rate of "auto" is known beforehand."""
    return isinstance(optimizer, NormalizedSGD) or _is_bounded(optimizer)


def falling_schedule(
    optimizer: Optimizer, model: Model, loss: Loss, dataset: Dataset, batch_rows: int, is_full_batch: bool
) -> Schedule | None:
    """The optimiser's own rate, falling to 0 over each epoch; None where no row has a weight.

    What training has come to after each epoch is then free from the noise of its steps, whether or not more follow. An
    epoch of one update has no fall. Adagrad's rate is in units of the targets: weights move by as much at first. In
    full batches there is no noise, and the bound alone may say how long a step is.
    """
    counting = rows_that_count(dataset)
    n_counting = dataset.n_samples if counting is None else len(counting)
    if n_counting == 0:
        return None
    n_updates = n_counting if batch_rows == 1 else -(-dataset.n_samples // batch_rows)
    rate = optimizer.default_rate
    if isinstance(optimizer, Adagrad):
        rate = _ADAGRAD_IN_FULL_BATCHES if is_full_batch else rate
        rate *= deviation_of_targets(model, dataset) if takes_every_number(loss) else 1
    elif isinstance(optimizer, SGD) and is_full_batch:
        rate = _SGD_IN_FULL_BATCHES / curvature_of(loss)
    return Cooldown(rate, n_updates, share=1.0)


def deviation_of_targets(model: Model, dataset: Dataset) -> float:
    """The standard deviation of the targets that a model learns, of all outputs together, in up to 4096 rows; 1 where
    it is zero or bad.
    """
    n_rows = dataset.n_samples
    rows = np.linspace(0, n_rows - 1, min(n_rows, _ROWS)).astype(np.int64)
    targets = rows_without_X(model, Subset(dataset, rows), np.dtype(np.float64))
    v = targets.sample_weight if targets.sample_weight.size else np.ones(len(rows))
    with np.errstate(all="ignore"):
        mean = v @ targets.y / v.sum()
        deviation = float(np.sqrt((v @ (targets.y - mean) ** 2 / v.sum()).mean()))
    # Training will name a row that is bad.
    return deviation if 0 < deviation < np.inf else 1.0


def start_at_constant(model: Model, constant: np.ndarray, loss: Loss, n_rows: int) -> None:
    """Have a model that is as it was drawn predict the best constant: the last Linear's weights 0, its bias that.

    Any step that is small enough then makes the model better than every constant, and a network's hidden layers, whose
    weights stay, are as good a start as ever. A model that was given weights, or has no bias there, stays as it is, and
    so does one that ends in an activation with another range.

    constant : (n_outputs,), as `safeguard.best_constant` finds it          n_rows : of how many rows
    """
    stack = [layer for layer in model.stack if not isinstance(layer, Dropout | Identity)]
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
