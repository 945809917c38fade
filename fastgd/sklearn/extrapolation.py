"""A long step of a linear model along the way that its parameters have drifted, where epochs have become slow."""

from typing import TYPE_CHECKING, Self

import numpy as np

from fastgd.layers import Linear

if TYPE_CHECKING:
    from fastgd.data.base import Dataset
    from fastgd.trainer import Trainer

# The first step, in units of the drift, and how often it may double.
_FIRST, _MOST_DOUBLINGS = 0.5, 14


class Extrapolation:
    """Finds how far a linear model does well to go on in the direction that some epochs have taken it.

    Where features say nearly the same, the loss is flat along their differences, and many epochs go there by little
    more than equal steps; what is steep has long settled. So w + γ (w - w_before) with γ = ½, 1, 2, ... is tried for
    as long as the objective falls. It is the line search of one direction of Scieur, d'Aspremont and Bach,
    "Regularized nonlinear acceleration" (2016); the objective is convex, and never rises.

    dataset : rows to learn from, on which each γ costs a pass of prediction
    """

    def __init__(self, dataset: "Dataset") -> None:
        self._dataset = dataset
        self._epoch = 0
        # After the epochs of this number and of half of it, a power of two.
        self._marked, self._before = 0, None
        self._latest: np.ndarray | None = None

    @classmethod
    def of(cls, trainer: "Trainer", dataset: "Dataset", tol: float | None, early: bool) -> Self | None:
        """What a run may try where it would end: where the model is linear, its rate is "auto" with steps that are
        bounded, and neither weights that are exactly zero, a mean of parameters nor an epoch's best are wanted.
        """
        is_auto = trainer.optimizer.learning_rate == "auto" and getattr(trainer.optimizer, "bounded", False)
        is_smooth = trainer.l1_ratio == 0 or trainer.alpha == 0
        is_wanted = is_auto and is_smooth and trainer.average_from is None and tol is not None and not early
        return cls(dataset) if is_wanted and trainer.replicas == 1 else None

    def note(self, trainer: "Trainer") -> None:
        """Take note of the parameters after an epoch: of the epochs 1, 2, 4, ..., the latest two are kept."""
        self._epoch += 1
        if self._epoch >= 2 * self._marked:
            self._marked = self._epoch
            self._before, self._latest = self._latest, trainer.model.parameters.astype(np.float64)

    def step(self, trainer: "Trainer") -> float:
        """Make the best step, and return by how much it has lowered the objective."""
        if self._before is None:
            return 0.0
        model = trainer.model
        end = model.parameters.astype(np.float64)
        drift = end - self._before
        least = first = self._objective(trainer)
        best, length = 0.0, _FIRST
        for _ in range(_MOST_DOUBLINGS):
            model.parameters = end + length * drift
            found = self._objective(trainer)
            # So written, what is no number ends it.
            if not found < least:
                break
            least, best, length = found, length, 2 * length
        model.parameters = end + best * drift
        return first - least

    def _objective(self, trainer: "Trainer") -> float:
        """The mean loss on all rows and the L2 penalty."""
        weights = next(layer for layer in trainer.model.layers if isinstance(layer, Linear)).weight
        squares = float(np.vdot(weights, weights))
        loss = trainer.model.loss(self._dataset, loss=trainer.loss, n_threads=trainer.n_threads)
        return loss + 0.5 * trainer.alpha * squares
