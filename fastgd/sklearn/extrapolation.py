"""A long step of a linear model along the way that its parameters have drifted, where epochs have become slow."""

from typing import TYPE_CHECKING, Self

import numpy as np

from fastgd.layers import Linear
from fastgd.optimizers import Adagrad

if TYPE_CHECKING:
    from fastgd.data.base import Dataset
    from fastgd.trainer import Trainer

# The first step, in units of the drift, and how often it may double.
_FIRST, _MOST_DOUBLINGS = 0.5, 14
# A run that has not converged after this many epochs is slow.
_MANY_EPOCHS = 32


class Extrapolation:
    """Finds how far a linear model does well to go on in the direction that some epochs have taken it.

    Where features say nearly the same, the loss is flat along their differences, and many epochs go there by little
    more than equal steps; what is steep has long settled. So w + γ (w - w_before) with γ = ½, 1, 2, ... is tried for
    as long as the objective falls, from three places on the way, one after the other; it never rises. Combinations of
    all places are what Scieur, d'Aspremont and Bach, "Regularized nonlinear acceleration" (2016), look for.

    dataset : rows to learn from, on which each γ costs a pass of prediction
    """

    def __init__(self, dataset: "Dataset") -> None:
        self._dataset = dataset
        self._epoch = 0
        # The parameters after the epochs of this number, a power of two, and of half of it, and after the last step.
        self._marked = 0
        self._latest: np.ndarray | None = None
        self._before: np.ndarray | None = None
        self._landing: np.ndarray | None = None

    @classmethod
    def of(cls, trainer: "Trainer", dataset: "Dataset", tol: float | None, early: bool) -> Self | None:
        """What a run may try: where the model is linear, its rate is "auto" with steps that are bounded, batches are
        not full, and neither weights that are exactly zero, a mean of parameters nor an epoch's best are wanted.
        """
        optimizer = trainer.optimizer
        is_auto = isinstance(optimizer, Adagrad) and optimizer.bounded and optimizer.learning_rate == "auto"
        is_smooth = trainer.l1_ratio == 0 or trainer.alpha == 0
        is_wanted = (
            is_auto
            and trainer.batch_size is not None
            and is_smooth
            and trainer.average_from is None
            and tol is not None
            and not early
        )
        return cls(dataset) if is_wanted and trainer.replicas == 1 else None

    def note(self, trainer: "Trainer") -> bool:
        """Take note of the parameters after an epoch: of the epochs 1, 2, 4, ..., the latest two are kept.

        Return whether so many epochs say that a step is due: after 32, 64, 128, ...
        """
        self._epoch += 1
        if self._epoch < 2 * self._marked:
            return False
        self._marked = self._epoch
        self._before, self._latest = self._latest, trainer.model.parameters.astype(np.float64)
        return self._epoch >= _MANY_EPOCHS

    def step(self, trainer: "Trainer") -> float:
        """Make the best steps that are tried, and return by how much they have lowered the objective."""
        if self._before is None:
            return 0.0
        first = least = self._objective(trainer)
        for place in (self._before, self._latest, self._landing):
            if place is not None:
                least = self._go_on_from(trainer, place, least)
        if least < first:
            self._landing = trainer.model.parameters.astype(np.float64)
        return first - least

    def _go_on_from(self, trainer: "Trainer", place: np.ndarray, least: float) -> float:
        """Make the best step along the way from a place, and return the objective after it.

        least : the objective as it is
        """
        model = trainer.model
        end = model.parameters.astype(np.float64)
        drift = end - place
        best, length = 0.0, _FIRST
        for _ in range(_MOST_DOUBLINGS if drift.any() else 0):
            model.parameters = end + length * drift
            found = self._objective(trainer)
            # So written, what is no number ends it.
            if not found < least:
                break
            least, best, length = found, length, 2 * length
        model.parameters = end + best * drift
        return least

    def _objective(self, trainer: "Trainer") -> float:
        """The mean loss on all rows and the L2 penalty."""
        weights = next(layer for layer in trainer.model.layers if isinstance(layer, Linear)).weight
        squares = float(np.vdot(weights, weights))
        loss = trainer.model.loss(self._dataset, loss=trainer.loss, n_threads=trainer.n_threads)
        return loss + 0.5 * trainer.alpha * squares
