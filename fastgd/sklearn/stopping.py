"""When the training of an estimator ends, and which of its models is the best."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from fastgd.errors import warn
from fastgd.history import EpochRecord
from fastgd.losses import Loss
from fastgd.sklearn.lbfgs_finish import LBFGSFinish

if TYPE_CHECKING:
    from fastgd.data.base import Dataset
    from fastgd.model import Model
    from fastgd.trainer import Trainer

# As those of scikit-learn's SGD: what divides a rate that adapts, and the least that it falls to.
_DIVISOR, _LEAST_RATE = 5.0, 1e-6
# By so much of itself a network's loss on few rows falls in a tenth of its epochs, long after it predicts no better.
_SLOW_FALL = 0.02


class Stopping:
    """Stops when a loss has not become lower than its best by `tol` in so many epochs in a row: a callback of `fit`.

    `configure` says by what. early : whether it is the validation loss, and the best parameters are kept; tol : None
    never stops; is_adaptive : whether the learning rate is divided by 5 instead, as long as it is above 1e-6;
    n_updates_no_change : how many updates have to be without gain besides.

    Attributes
    ----------
    best_loss : float
    best_parameters : array, those of the best epoch since `begin`; None where none was better than what was before
    has_converged : bool
    finish : LBFGSFinish or None
        It holds the rows, and is for one call of `fit` alone.
    """

    def __init__(self) -> None:
        self.best_loss = math.inf
        self.best_parameters: np.ndarray | None = None
        self.has_converged = False
        self._n_no_change = 0

    def state(self) -> dict[str, Any]:
        """What it goes on from between two calls; `restore` takes it up."""
        return {name: getattr(self, name) for name in ("best_loss", "has_converged", "_n_no_change")}

    def restore(self, state: dict[str, Any]) -> None:
        """Take up what `state` gave."""
        self.best_loss, self.has_converged = state["best_loss"], state["has_converged"]
        self._n_no_change = state["_n_no_change"]

    def configure(
        self, n_iter_no_change: float, tol: float | None, early: bool, is_adaptive: bool, n_updates_no_change: int = 0
    ) -> None:
        """Watch the run by these settings from here on."""
        self._n_iter_no_change, self._tol, self._early, self._is_adaptive = n_iter_no_change, tol, early, is_adaptive
        self._n_updates_no_change = n_updates_no_change

    def begin(
        self,
        best: "Model | None",
        validation: "Dataset | None",
        loss: Loss,
        goes_on: bool,
        finish: LBFGSFinish | None = None,
    ) -> None:
        """Training begins, or goes on.

        best : the best model so far, measured anew: the rows to validate on, or the units of the loss, may be others
        goes_on : whether epochs without gain count from before
        finish : what training ends with
        """
        self.best_parameters = None
        self.finish = finish
        self._n_updates_at_gain = 0
        self._losses: list[float] = []
        if not goes_on:
            self.has_converged, self._n_no_change = False, 0
        if self._early:
            self.best_loss = math.inf if best is None else best.loss(validation, loss=loss)
        elif not goes_on:
            self.best_loss = math.inf

    def __call__(self, trainer: "Trainer", record: EpochRecord) -> bool:
        """Return whether to stop."""
        self._losses.append(record.loss)
        loss = record.validation_loss if self._early else record.loss
        # So written, what is no number is no gain.
        is_gain = loss < self.best_loss if self._tol is None else loss <= self.best_loss - self._tol
        self._n_no_change = 0 if is_gain else self._n_no_change + 1
        if is_gain:
            self._n_updates_at_gain = trainer.n_updates
        if loss < self.best_loss:
            self.best_loss = loss
            self.best_parameters = trainer.model.parameters.copy() if self._early else None
        if self.finish is not None and self.finish.is_due() and self.finish.make(trainer):
            self.has_converged = True
            return True
        n_updates = trainer.n_updates - self._n_updates_at_gain
        if self._tol is None or not self._is_plateau or n_updates < self._n_updates_no_change:
            return False
        rate = record.learning_rate
        if self._is_adaptive and rate is not None and rate > _LEAST_RATE:
            trainer.learning_rate_factor /= _DIVISOR
            self._n_no_change = 0
            return False
        if self.finish is not None:
            self.finish.make(trainer)
        self.has_converged = True
        return True

    @property
    def _is_plateau(self) -> bool:
        """Whether the last epochs have brought nothing."""
        return self._n_no_change >= self._n_iter_no_change

    @property
    def _still_learns(self) -> bool:
        """Whether the last tenth of the epochs has lowered the loss by more than a network's loss falls for ever."""
        n_last = max(len(self._losses) // 10, 1)
        before = min(self._losses[:-n_last], default=math.inf)
        return not min(self._losses[-n_last:]) >= before - _SLOW_FALL * abs(before)

    def warn_of_its_end(self, has_all_epochs: bool, has_chosen_rate: bool) -> None:
        """Warn where epochs were too few, or the loss rose from the first to the last."""
        first, last = self._losses[0], self._losses[-1]
        if has_chosen_rate and not self._early and last - first > max(abs(first), self._tol or 0.0):
            warn(
                f"The loss rose from {first:.3g} in the first epoch to {last:.3g} in the last: expected a smaller "
                "learning_rate_init, or solver and learning_rate to be 'auto'",
                ConvergenceWarning,
            )
        elif (
            has_all_epochs
            and not (self.has_converged or self._is_plateau or self._tol is None)
            and (has_chosen_rate or self._still_learns)
        ):
            warn(
                "Maximum number of iteration reached before convergence. Consider increasing max_iter to improve the "
                f"fit: max_iter={len(self._losses)} epochs were over while the loss still fell by more than "
                f"tol={self._tol:g}",
                ConvergenceWarning,
            )
