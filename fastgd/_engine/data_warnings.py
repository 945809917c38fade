"""What a user is warned of, once: a model, or rows, that are hardly what was meant."""

import numpy as np

from fastgd.activations import Dropout, Identity, ReLU, Sigmoid, Tanh
from fastgd.data.base import Dataset
from fastgd.data.block import all_finite
from fastgd.data.subset import Subset
from fastgd.errors import warn
from fastgd.losses import Loss, kind_of, name_of, takes_every_number
from fastgd.model import Model

# So many rows are looked at, drawn from all of them: what comes in turns would deceive evenly spaced ones.
_LOOKED_AT = 128
# Fewer may be in order, or below zero, by chance, and are an example of a few lines.
_FEWEST = 32
# So many rows of other targets than the most frequent one are never all together by chance: 128 rows with 6 of them, in
# any order, are sorted once in 10^9 times.
_FEWEST_OTHERS = 6
# More different targets among the rows looked at, or fewer than two rows for each, are numbers, and others are classes.
_MOST_CLASSES = 32
# What outputs lie between where these come last; and how much of the targets' variance they may leave before they are
# warned of: some noise around zero leaves less.
_RANGES = {ReLU: (0.0, np.inf), Sigmoid: (0.0, 1.0), Tanh: (-1.0, 1.0)}
_UNREACHABLE = 0.2


def warn_of_last_layer(model: Model, loss: Loss) -> None:
    """Warn of an activation before a loss that makes probabilities or rates of any number itself."""
    last = _last_layer(model)
    if type(last) in _RANGES and kind_of(loss).link != "identity":
        made = "rates" if kind_of(loss).link == "log" else "probabilities"
        low, high = _RANGES[type(last)]
        reached = f"at least {low:g}" if np.isinf(high) else f"from {low:g} to {high:g}"
        warn(
            f"the model ends in {type(last).__name__}, whose outputs are {reached}, and {name_of(loss)} makes {made} "
            "of any number: few are within reach. Expected Linear as the last layer"
        )


def warn_of_targets(model: Model, loss: Loss, dataset: Dataset, rows_per_update: int, shuffle: bool) -> None:
    """Warn of rows that are sorted by their targets, and of targets that the last layer never gives.

    Looks at the targets of 128 rows of a data set that finds them at little cost, and at those of no other.
    """
    last = type(_last_layer(model))
    is_limited = last in _RANGES and takes_every_number(loss)
    minds_order = not shuffle and dataset.n_samples >= 2 * rows_per_update
    if not (is_limited or minds_order) or dataset.n_samples < _FEWEST or not dataset.finds_rows:
        return
    n_rows = min(dataset.n_samples, _LOOKED_AT)
    rows = np.sort(np.random.default_rng(0).choice(dataset.n_samples, n_rows, replace=False))
    y = Subset(dataset, rows).targets(np.dtype(np.float64)).y
    if not all_finite(y):
        return
    if minds_order and any(map(_is_sorted, y.T)):
        warn(
            "the rows are sorted by their targets, and each epoch takes them in this order: what is learnt from the "
            "first is forgotten at the last. Expected shuffle=True, or rows in random order"
        )
    if is_limited:
        _warn_of_reach(last, y)


def _warn_of_reach(last: type, y: np.ndarray) -> None:
    """Warn where much of the targets' variance is beyond what the last layer gives."""
    low, high = _RANGES[last]
    out_of_reach = float(((y - np.clip(y, low, high)) ** 2).sum())
    variation = float(((y - y.mean(axis=0)) ** 2).sum())
    if out_of_reach <= _UNREACHABLE * variation:
        return
    reachable = max(1 - out_of_reach / variation, 0) if variation > 0 else 0
    if last is ReLU:
        found, given, wanted = f"down to {y.min():.3g}", "below 0", "of at least 0"
    else:
        found, given, wanted = f"from {y.min():.3g} to {y.max():.3g}", f"beyond {low:g} and {high:g}", "between these"
    warn(
        f"targets go {found} and the model ends in {last.__name__}, which gives nothing {given}: its R² can be "
        f"{reachable:.2f} at most. Expected Linear as the last layer, or targets {wanted}"
    )


def warn_of_weights(dataset: Dataset) -> None:
    """Warn of weights that are all zero, where they are at hand."""
    v = getattr(dataset, "sample_weight", None)
    if v is not None and not np.any(v):
        warn("all sample weights are zero: nothing is learnt, and the loss is 0. Expected some above zero")


def _last_layer(model: Model) -> object:
    return [layer for layer in model.layers if not isinstance(layer, Dropout | Identity)][-1]


def _is_sorted(y: np.ndarray) -> bool:
    """Whether equal targets are all together, where there are few different ones, or else all rise, or all fall."""
    values, counts = np.unique(y, return_counts=True)
    if len(y) - counts.max() < _FEWEST_OTHERS:
        return False
    if len(values) <= min(_MOST_CLASSES, len(y) // 2):
        return np.count_nonzero(y[1:] != y[:-1]) == len(values) - 1
    steps = np.diff(y)
    return bool((steps >= 0).all() or (steps <= 0).all())
