"""The learning rates of a run's updates."""

import numpy as np

from fastgd.schedules import Constant, Schedule, is_known
from fastgd.schedules.base import rates_of, require_rate


class LearningRates:
    """What a schedule gives for each update, times a factor.

    schedule : Schedule          n_updates : (1,) int64, those that are made, which counts on

    Attributes
    ----------
    factor : float
    is_constant : bool, whether the schedule is
    used : (n,) float64, those of the last call where the schedule is a user's own, whose rates may be anything
    """

    def __init__(self, schedule: Schedule, n_updates: np.ndarray) -> None:
        self.factor = 1.0
        self.is_constant = isinstance(schedule, Constant)
        self.used = np.empty(0)
        self._schedule = schedule
        self._n_updates = n_updates
        self._is_known = is_known(schedule)
        self._first = 0

    def at(self, update: int | None = None) -> float:
        """The rate of the update of this number, from 1; of the next by default."""
        return float(self._of(int(self._n_updates[0]) + 1 if update is None else update, 1)[0])

    def at_each(self, updates: np.ndarray) -> np.ndarray:
        """The rates of the updates of these numbers, (n,) float64, which grow."""
        if self._schedule.is_constant(float(updates[0]), float(updates[-1])):
            return np.full(len(updates), self.at(int(updates[0])))
        return self._rates_at(updates.astype(np.float64))

    def next(self, n: int) -> np.ndarray:
        """The rates of the next n updates, (n,) float64, or (1,) where it is the same for all of them."""
        self._first = int(self._n_updates[0])
        return self._of(self._first + 1, n)

    def note_used(self, rates: np.ndarray) -> None:
        """Keep those of the rates that `next` gave last that updates were made with."""
        if not self._is_known:
            self.used = rates[: self._n_updates[0] - self._first]

    def require_next(self) -> None:
        """Raise a ValueError where the next rate is none."""
        require_rate(self._schedule, float(self._n_updates[0] + 1))

    def _of(self, first: int, n: int) -> np.ndarray:
        if type(self._schedule) is Constant:
            # As below, which takes a few microseconds.
            return np.array([self.factor * self._schedule.learning_rate])
        if self._schedule.is_constant(float(first), first + n - 1.0):
            n = 1
        return self._rates_at(np.arange(1.0, n + 1) + (first - 1.0))

    def _rates_at(self, t: np.ndarray) -> np.ndarray:
        return self.factor * (self._schedule(t) if self._is_known else rates_of(self._schedule, t))
