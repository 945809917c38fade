"""What learns best of all that was measured, without a search: optimisers, falling rates, and where to start from."""

import numpy as np

from fastgd.activations import Dropout, Identity, ReLU
from fastgd.data.base import Dataset
from fastgd.data.subset import Subset, rows_that_count
from fastgd.layers import Linear
from fastgd.losses import Loss, has_probabilities, kind_of, takes_every_number
from fastgd.model import Model
from fastgd.model_data import rows_without_X
from fastgd.optimizers import SGD, Adagrad, Adam, NormalizedSGD, Optimizer, check_optimizer
from fastgd.optimizers.bounded import can_be_bounded
from fastgd.schedules import Cooldown, Schedule

# Of L2, as `bench/studies/wide_tables.py` has found, where there are as many features as rows, or more.
_WIDEST_ALPHA = 0.05
# Rows that the deviation of the targets is taken of.
_ROWS = 1 << 12


def resolved(
    optimizer: Optimizer | str | None, model: Model, loss: Loss, batch_size: int | None, n_replicas: int = 1
) -> Optimizer:
    """The optimiser that trains a model: of "auto" the recommended one, else what is given.

    "auto" is, as `bench/studies/quality.py` has found,

    - Adagrad("auto", bounded=True) where steps can be bounded: see `can_be_bounded`; SGD("auto", bounded=True) there
      for full batches;
    - NormalizedSGD("auto") for any other model that starts with a Linear, and Adagrad("auto") where there are replicas,
      as NormalizedSGD keeps scales of features, which each replica would have of its own;
    - Adam("auto") for the rest.

    Adagrad with no word on bounds is told whether it has them.

    Raises a ValueError or TypeError for one that cannot train the model.
    """
    is_auto = isinstance(optimizer, str) and optimizer == "auto"
    checked = _recommended(model, loss, batch_size, n_replicas) if is_auto else check_optimizer(optimizer)
    if n_replicas > 1 and isinstance(checked, NormalizedSGD):
        raise ValueError(
            f"optimizer is {checked!r} with {n_replicas} replicas, each of which would find scales of features of its "
            "own; expected Adagrad() or another one, with a Standardize layer first"
        )
    checked.check_dtype(model.dtype)
    return checked.resolved_for(model, loss)


def _recommended(model: Model, loss: Loss, batch_size: int | None, n_replicas: int) -> Optimizer:
    if can_be_bounded(model, loss):
        return SGD("auto", bounded=True) if batch_size is None else Adagrad("auto", bounded=True)
    if not model.starts_linear:
        return Adam("auto")
    return NormalizedSGD("auto") if n_replicas == 1 else Adagrad("auto")


def alpha_for_width(n_features: int, n_samples: int, loss: Loss) -> float:
    """The least alpha of L2 that serves standardised features and targets: 0.05 h min(n_features / n_samples, 1)² with
    the loss's largest second derivative h; 0 where there is none.

    The more features there are to a row, the more of the targets' noise weights can fit. What is without noise, or has
    few features that vary, loses little by so much.
    """
    return _WIDEST_ALPHA * (kind_of(loss).curvature or 0.0) * min(n_features / n_samples, 1.0) ** 2


def falling_schedule(
    optimizer: Optimizer, model: Model, loss: Loss, dataset: Dataset, batch_rows: int, is_full_batch: bool
) -> Schedule | None:
    """The optimiser's own rate, falling to 0 over each epoch; None where no row has a weight.

    What training has come to after each epoch is then free from the noise of its steps, whether or not more follow. An
    epoch of one update has no fall. A rate may be in units of the targets: weights move by as much at first. In full
    batches there is no noise, and the bound alone may say how long a step is.
    """
    counting = rows_that_count(dataset)
    n_counting = dataset.n_samples if counting is None else len(counting)
    if n_counting == 0:
        return None
    n_updates = n_counting if batch_rows == 1 else -(-dataset.n_samples // batch_rows)
    rate = optimizer.auto_rate(loss, is_full_batch)
    if optimizer.auto_rate_scales_with_targets and takes_every_number(loss):
        rate *= deviation_of_targets(model, dataset)
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
    if has_probabilities(loss):
        # A class that these rows have none of may still be among the others.
        largest = np.log(2 * n_rows)
        constant = np.clip(constant, -largest, largest)
    last.weight, last.bias = 0, constant
