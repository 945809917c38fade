"""What learns best of all that was measured, without a search: optimisers, falling rates, and where to start from."""

import contextlib
import math

import numpy as np

from fastgd.activations import Dropout, Identity, ReLU
from fastgd.data.base import Dataset, first_rows
from fastgd.data.block import Block
from fastgd.data.reader import blocks
from fastgd.data.sparse_moments import EntryScales
from fastgd.data.subset import Subset, rows_that_count
from fastgd.layers import Linear
from fastgd.leave_one_out import leave_one_out_errors, standard_error_rule
from fastgd.losses import Loss, has_probabilities, kind_of, takes_classes, takes_every_number
from fastgd.model import Model
from fastgd.model_data import rows_without_X
from fastgd.moments import FeatureMoments, Moments, RobustMoments
from fastgd.optimizers import SGD, Adagrad, Adam, NormalizedSGD, Optimizer, check_optimizer
from fastgd.optimizers.bounded import can_be_bounded
from fastgd.schedules import Cooldown, Schedule

# What `bench/studies/quality.py` has found good for networks on tables; and, on small ones of classes,
# `small_classes.py`, divided by the number of rows.
ALPHA_OF_NETWORKS, _PENALTY_OF_NETWORKS = 1e-3, 2.0
# What `bench/studies/wide_tables.py` has found good where there are as many features as rows, or more.
_WIDEST_ALPHA = 0.05
# What `bench/studies/small_tables.py` has found good for numbers: the most of a usual alpha; choices of larger ones,
# four to a factor of ten; the most rows to choose by, and the most numbers in them; the fewest rows, of a table or of
# a larger one, and features to a row, for which there is a choice; and the share of it that serves networks.
_LARGEST_OF_NUMBERS, _STEP = 1e-2, 10**0.25
_CHOOSING_ROWS, _CHOOSING_NUMBERS = 256, 1 << 22
_FEWEST_ROWS, _FEWEST_OF_MORE, _LEAST_WIDTH = 3, 10, 0.02
_SHARE_OF_NETWORKS = 0.3
# Rows that the deviation of the targets is taken of; and the most spreads from the median that a target may lie before
# it is clipped to choose alpha.
_ROWS, _MOST_SPREADS = 1 << 12, 3.0


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


def recommended_alpha(dataset: Dataset, loss: Loss, is_network: bool, with_mean: bool = True) -> float:
    """The alpha of L2 that serves standardised features, and standardised targets of regression.

    It is `usual_alpha` but where features are many for the rows, as weights can fit more of the noise in targets there:

    - for losses of numbers, but for Poisson, with a largest second derivative h, or 1 where they have none, it is h
      times the alpha, from `usual_alpha` up to 1, with which ridge regression on up to 256 of the rows predicts those
      left out well (see `leave_one_out_errors` and `standard_error_rule`), and of networks at least three tenths of
      that;
    - for losses of classes, and of all networks, at least 0.05 h min(v / n_samples, 1)², for the sum v of the variances
      of standardised features: the number of those that take more than two values.

    On sparse rows, only linear models and losses of numbers have another one.

    For the Poisson loss, all is in units of `unit_of_loss`. Rows without a weight are none.

    with_mean : whether features are centred
    """
    counting = rows_that_count(dataset)
    n_counting = max(dataset.n_samples if counting is None else len(counting), 1)
    usual = usual_alpha(n_counting, loss, is_network) * unit_of_loss(dataset, loss)
    curvature = kind_of(loss).curvature or float(takes_every_number(loss))
    if not curvature:
        return usual
    width, by_width = dataset.n_features / n_counting, usual
    if not dataset.is_sparse:
        by_width = max(usual, _WIDEST_ALPHA * curvature * min(width, 1.0) ** 2)
    if by_width > usual and (takes_classes(loss) or is_network):
        # Columns of categories, which hold 0 or 1, vary by less than they are many.
        width_of_variances = _sum_of_variances(_some_rows(dataset, counting)) / n_counting
        by_width = max(usual, _WIDEST_ALPHA * curvature * min(width_of_variances, 1.0) ** 2)
    if takes_classes(loss) or width < _LEAST_WIDTH or (dataset.is_sparse and is_network):
        return by_width
    least = usual_alpha(n_counting, loss, is_network=False)
    # A network can fit single targets that lie far out, and a larger alpha, which they ask for, keeps it from that.
    is_robust = kind_of(loss).is_robust and not is_network
    chosen = curvature * _by_rows_left_out(dataset, counting, least, with_mean, is_robust)
    return max(by_width, _SHARE_OF_NETWORKS * chosen) if is_network else chosen


def unit_of_loss(dataset: Dataset, loss: Loss) -> float:
    """What differences of a loss are small or large next to: 1; for Poisson the mean target where that is less, as all
    of the loss, its curvature too, is in proportion to rates that are low.
    """
    if kind_of(loss).link != "log":
        return 1.0
    weights, sums = zip(*dataset.over_parts(_weight_and_sum_of_targets), strict=True)
    mean = sum(sums) / sum(weights) if sum(weights) > 0 else 0.0
    return min(mean, 1.0) if mean > 0 else 1.0


def _weight_and_sum_of_targets(dataset: Dataset) -> tuple[float, float]:
    """The weight of all rows, and the sum of their mean targets, each by its weight."""
    rows = dataset.targets(np.dtype(np.float64))
    means = rows.y.mean(axis=1)
    v = rows.sample_weight if rows.sample_weight.size else np.ones(len(means))
    return float(v.sum()), float(v @ means)


def usual_alpha(n_samples: int, loss: Loss, is_network: bool) -> float:
    """The alpha of L2 for most rows: 0.001 of networks, for losses of classes at least 2 / n_samples; of linear models
    1 / n_samples, as of Ridge(1) and LogisticRegression(C=1), for losses of numbers at most 0.01.
    """
    if is_network:
        return max(ALPHA_OF_NETWORKS, _PENALTY_OF_NETWORKS / n_samples) if takes_classes(loss) else ALPHA_OF_NETWORKS
    return 1 / n_samples if takes_classes(loss) else min(1 / n_samples, _LARGEST_OF_NUMBERS)


def _by_rows_left_out(
    dataset: Dataset, counting: np.ndarray | None, least: float, with_mean: bool, is_robust: bool
) -> float:
    """The alpha, from the least up to 1, that serves a linear model with squared errors.

    counting : the rows with a weight, as `rows_that_count` gives them
    is_robust : whether targets far out are clipped first
    """
    n_counting = dataset.n_samples if counting is None else len(counting)
    if n_counting < _FEWEST_ROWS:
        return least
    rows = _some_rows(dataset, counting)
    n_rows = len(rows.X)
    if n_rows < (_FEWEST_ROWS if n_rows == n_counting else _FEWEST_OF_MORE):
        return least
    alphas = least * _STEP ** np.arange(1 + int(math.log(1 / least, _STEP)))
    # Training will name a row that is bad.
    if not ((rows.sample_weight > 0) & (rows.sample_weight < np.inf)).all():
        return least
    # Of fewer rows, the same penalty on the sum of all errors.
    with np.errstate(all="ignore"):
        y = _clipped(rows.y, rows.sample_weight) if is_robust else rows.y
        X = _by_entries(rows, with_mean) if dataset.is_sparse else rows.X
        alphas_of_rows = alphas * n_counting / n_rows
        errors = leave_one_out_errors(X, y, rows.sample_weight, alphas_of_rows, with_mean, has_scale=dataset.is_sparse)
    return standard_error_rule(errors, alphas, n_counting)


def _by_entries(rows: Block, with_mean: bool) -> np.ndarray:
    """Those columns of sparse rows that have entries, dense and scaled as models take them."""
    scales = EntryScales(rows.X.shape[1], with_mean)
    scales.add(rows.X, rows.sample_weight)
    mean, divisor = scales.result()
    columns = rows.X.used_columns()
    dense = rows.X.dense_columns(columns, np.dtype(np.float64))
    return (dense - mean[columns]) / np.where(divisor > 0, divisor, np.inf)[columns]


def _some_rows(dataset: Dataset, counting: np.ndarray | None) -> Block:
    """Up to 256 rows of those with a weight, evenly spaced, in float64."""
    n_counting = dataset.n_samples if counting is None else len(counting)
    n_columns = dataset.n_features
    if dataset.is_sparse:
        # Those without an entry in any of these rows take no room.
        n_columns = max(min(n_columns, math.ceil(dataset.entries_per_row * _CHOOSING_ROWS)), 1)
    n_rows = min(n_counting, max(_CHOOSING_NUMBERS // n_columns, 2), _CHOOSING_ROWS)
    indices = np.linspace(0, n_counting - 1, n_rows).astype(np.int64)
    indices = indices if counting is None else counting[indices]
    rows, double = Subset(dataset, indices), np.dtype(np.float64)
    if not dataset.is_sparse:
        return first_rows(rows, n_rows, double)
    with contextlib.closing(blocks(rows, double, y_dtype=double)) as parts:
        return next(parts)[1]


def _sum_of_variances(rows: Block) -> float:
    """The sum of the variances of standardised features; how many there are where numbers overflow."""
    of_values, of_scales = Moments(rows.X.shape[1]), FeatureMoments(rows.X.shape[1])
    with np.errstate(all="ignore"):
        for moments in (of_values, of_scales):
            moments.add(rows.X, rows.sample_weight)
        if of_values.result() is None:
            return 0.0
        deviation, scale = of_values.result()[1], of_scales.result()[1]
        found = float(np.square(np.divide(deviation, scale, out=np.zeros_like(scale), where=scale > 0)).sum())
    # Training will name a row that is bad.
    return found if np.isfinite(found) else float(len(scale))


def _clipped(y: np.ndarray, sample_weight: np.ndarray) -> np.ndarray:
    """Targets, none of them further from the median than 3 spreads."""
    moments = RobustMoments(y.shape[1], len(y))
    moments.add(y, sample_weight)
    median, spread = moments.result()
    return np.clip(y, median - _MOST_SPREADS * spread, median + _MOST_SPREADS * spread)


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
        rate *= spread_of_targets(model, dataset, kind_of(loss).is_robust)
    return Cooldown(rate, n_updates, share=1.0)


def spread_of_targets(model: Model, dataset: Dataset, is_robust: bool = False) -> float:
    """The standard deviation of the targets that a model learns, of all outputs together, in up to 4096 rows; 1 where
    it is zero or bad.

    is_robust : whether it is the spread of `RobustMoments` instead
    """
    n_rows = dataset.n_samples
    rows = np.linspace(0, n_rows - 1, min(n_rows, _ROWS)).astype(np.int64)
    targets = rows_without_X(model, Subset(dataset, rows), np.dtype(np.float64))
    v = targets.sample_weight if targets.sample_weight.size else np.ones(len(rows))
    with np.errstate(all="ignore"):
        if is_robust:
            moments = RobustMoments(model.out_features, len(rows))
            moments.add(targets.y, targets.sample_weight)
            learnt = moments.result()
            variances = np.zeros(1) if learnt is None else learnt[1] ** 2
        else:
            variances = v @ (targets.y - v @ targets.y / v.sum()) ** 2 / v.sum()
        spread = float(np.sqrt(variances.mean()))
    # Training will name a row that is bad.
    return spread if 0 < spread < np.inf else 1.0


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
