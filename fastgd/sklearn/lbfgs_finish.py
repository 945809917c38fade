"""The end of a linear model's training: full-batch steps to where its objective is least."""

import math
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from scipy.optimize import minimize

from fastgd.layers import Linear
from fastgd.losses import Loss, kind_of
from fastgd.sklearn.l1_minimum import minimize_with_l1
from fastgd.sklearn.used_columns import UsedColumns, used_columns
from fastgd.sklearn.workers import one_thread_of_blas

if TYPE_CHECKING:
    from fastgd.data.base import Dataset
    from fastgd.model import Model
    from fastgd.sklearn.settings import Training
    from fastgd.trainer import Trainer

# After so many epochs, and twice as many, and so on, steps on batches have taught what they teach fast.
_ENOUGH_EPOCHS = 8
# The most passes over the rows: as many as there were epochs or, if these are more, as many as so many multiplications
# allow, of which L-BFGS itself takes about 40 for each parameter and pass.
_MOST_PASSES, _FREE_MULTIPLICATIONS, _OF_PARAMETER = 1000, 1 << 31, 40
# L-BFGS holds some 300 bytes for each weight.
_MOST_WEIGHTS = 5 << 18
# In units of the estimator's tol: the gradient's largest element at the end, at most, and the least that a step takes
# off the objective; and of rates, which are exponentials, so that a little more of a sum may be much more of one.
_LARGEST_GRADIENT, _LEAST_FALL, _LEAST_FALL_OF_RATES = 0.1, 1e-3, 1e-5


class LBFGSFinish:
    """Goes on by L-BFGS where a linear model has learnt what steps on batches teach it fast.

    Where features say nearly the same, the loss is flat along their differences, and many epochs go there by little
    more than equal steps; L-BFGS learns the curvature of all directions from the gradients of some passes. See Liu and
    Nocedal, "On the limited memory BFGS method for large scale optimization" (1989). Where the loss has kinks it may
    stop at one before the least, but mostly near to it: Lewis and Overton, "Nonsmooth optimization via quasi-Newton
    methods" (2013). The objective never rises.

    Under an L1 penalty it ends with weights that are exactly zero: see `minimize_with_l1`.

    dataset : rows to learn from          tol : the estimator's
    is_smooth : whether the loss has a derivative everywhere, so that the end that is found is the least
    columns : of sparse rows, those that have entries, where they are few
    """

    def __init__(
        self, dataset: "Dataset", tol: float, is_smooth: bool = True, columns: np.ndarray | None = None
    ) -> None:
        self._dataset, self._tol, self._is_smooth, self._columns = dataset, tol, is_smooth, columns
        self._n_epochs, self._next = 0, _ENOUGH_EPOCHS

    @classmethod
    def of(cls, estimator: Any, training: "Training", dataset: "Dataset", tol: float | None) -> Self | None:
        """What may end a call of `fit`: of a linear model whose rate nobody chose, unless it has too many parameters,
        or what is wanted is decay by the optimiser, a mean of parameters, the best epoch, more epochs in a later call
        or an end after all epochs.
        """
        trainer = estimator.trainer_
        is_linear = len([layer for layer in trainer.model.layers if isinstance(layer, Linear)]) == 1
        has_decay = getattr(trainer.optimizer, "weight_decay", 0) > 0
        restores_best = any(getattr(each, "restore_best", False) for each in estimator.callbacks)
        wants_best = estimator.early_stopping or restores_best
        wants_epochs = training.has_chosen_rate or estimator.warm_start or tol is None
        is_unwanted = wants_best or wants_epochs or has_decay or trainer.average_from is not None
        # Replicas train where their rows are, and passes over all rows are to stay there.
        is_elsewhere = trainer.replicas > 1 and not dataset.has_parts
        if not is_linear or is_unwanted or is_elsewhere:
            return None
        columns = used_columns(trainer.model, dataset)
        n_columns = dataset.n_features if columns is None else len(columns)
        is_small = n_columns * trainer.model.out_features <= _MOST_WEIGHTS
        return cls(dataset, tol, kind_of(trainer.loss).is_smooth, columns) if is_small else None

    def is_due(self) -> bool:
        """Whether the epoch that has ended is the 8th, 16th, 32nd, ..., unless the loss has kinks."""
        self._n_epochs += 1
        if self._n_epochs < self._next or not self._is_smooth:
            return False
        self._next *= 2
        return True

    def make(self, trainer: "Trainer") -> bool:
        """Make the steps, and return whether the objective is as low as it can be, up to tol."""
        used = None if self._columns is None else UsedColumns(trainer.model, self._dataset, self._columns)
        model, dataset = (trainer.model, self._dataset) if used is None else (used.model, used.dataset)
        l1 = trainer.alpha * trainer.l1_ratio
        l2 = trainer.alpha - l1
        n_weights = next(layer.weight.size for layer in model.layers if isinstance(layer, Linear))
        n_threads = 1 if dataset.has_parts else trainer.n_threads

        def objective(parameters: np.ndarray, first: float = 0.0) -> tuple[float, np.ndarray]:
            loss, gradient = _loss_and_gradient(model, dataset, trainer.loss, parameters, n_threads)
            weights = parameters[:n_weights]
            gradient[:n_weights] += l2 * weights
            return loss + 0.5 * l2 * float(weights @ weights) - first, gradient

        start = model.parameters.astype(np.float64)
        row_size = dataset.entries_per_row or dataset.n_features
        n_multiplications = dataset.n_samples * row_size * model.out_features + _OF_PARAMETER * start.size
        free = int(_FREE_MULTIPLICATIONS / n_multiplications)
        # The objective is at most |g|² / 2α above its least, as its curvature is α or more.
        largest = _LARGEST_GRADIENT * self._tol
        if l2 > 0:
            largest = min(largest, math.sqrt(2 * l2 * self._tol / start.size))
        least_fall = _LEAST_FALL_OF_RATES if kind_of(trainer.loss).link == "log" else _LEAST_FALL
        options = {
            "gtol": largest,
            "ftol": least_fall * self._tol,
            "maxfun": max(self._n_epochs, min(free, _MOST_PASSES)),
            "maxiter": _MOST_PASSES,
        }
        with np.errstate(all="ignore"), one_thread_of_blas():
            # L-BFGS-B counts a fall next to the objective, and of poisson's much is the same for all parameters.
            first, _ = objective(start)
            if l1 > 0:
                found = minimize_with_l1(partial(objective, first=first), start, n_weights, l1, options)
            else:
                found = minimize(objective, start, (first,), jac=True, method="L-BFGS-B", options=options)
        if found.fun < 0:
            is_penalized = trainer.alpha > 0
            trainer.model.parameters = found.x if used is None else used.of_all_columns(found.x, is_penalized)
        return bool(found.success)


def _loss_and_gradient(
    model: "Model", dataset: "Dataset", loss: Loss, parameters: np.ndarray, n_threads: int | None
) -> tuple[float, np.ndarray]:
    """As `Model.loss_and_gradient`, in float64, each part of the rows where it is, and summed in their order."""
    parts = dataset.over_parts(partial(_of_part, model=model, loss=loss, parameters=parameters, n_threads=n_threads))
    shares = [n_samples / dataset.n_samples for n_samples, _, _ in parts]
    return (
        sum(share * each for share, (_, each, _) in zip(shares, parts, strict=True)),
        sum(share * gradient.astype(np.float64) for share, (_, _, gradient) in zip(shares, parts, strict=True)),
    )


def _of_part(
    dataset: "Dataset", model: "Model", loss: Loss, parameters: np.ndarray, n_threads: int | None
) -> tuple[int, float, np.ndarray]:
    """How many rows there are, their mean loss, and its gradient."""
    return dataset.n_samples, *model.loss_and_gradient(dataset, loss=loss, parameters=parameters, n_threads=n_threads)
