"""What every schedule has, and how those of a user's own are asked for their rates."""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from fastgd.data import checks


class Schedule(ABC):
    """The learning rate of each update, a function of its number alone.

    Training that meets a rate that is negative or not finite ends there with a ValueError.

    Examples
    --------
    >>> import fastgd as gd
    >>> class Halving(gd.schedules.Schedule):
    ...     def __call__(self, t):
    ...         return 0.1 / 2 ** ((t - 1) // 1000)
    >>> gd.SGD(Halving()).learning_rate(2001)
    0.025
    """

    @abstractmethod
    def __call__(self, t: np.ndarray) -> np.ndarray:
        """The rates of the updates with the numbers t, both (n,) float64; t counts from 1, and may look ahead."""

    def is_constant(self, first: float, last: float) -> bool:
        """Whether the updates from number first to number last are known to have one rate."""
        return False

    def describe(self) -> dict[str, Any]:
        """The schedule as JSON can hold it; of a user's own, no more than its name."""
        if not is_here(self):
            return {"own": type(self).__name__}
        return {"type": type(self).__name__} | {
            name: value.describe() if isinstance(value, Schedule) else value for name, value in vars(self).items()
        }


def is_here(schedule: Schedule) -> bool:
    """Whether a schedule is one of fastgd's."""
    return type(schedule).__module__.startswith(f"{__package__}.")


def check_learning_rate(learning_rate: Any, name: str) -> "float | Schedule | str":
    """A number of at least 0, a schedule, or "auto"."""
    if isinstance(learning_rate, Schedule) or (isinstance(learning_rate, str) and learning_rate == "auto"):
        return learning_rate
    try:
        return checks.non_negative(learning_rate, name)
    except TypeError:
        raise TypeError(
            f"{name} is {learning_rate!r}; expected a number, 'auto' or a schedule: one of gd.schedules, or an "
            "instance of your own subclass of gd.schedules.Schedule"
        ) from None


def rates_of(schedule: Schedule, t: np.ndarray) -> np.ndarray:
    """The rates of the updates t, (n,) float64, of a user's own schedule; NaN where it gives a negative one."""
    try:
        given = schedule(t)
    except ValueError as error:
        raise ValueError(
            f"{schedule!r} fails for an array of updates t: {error}; expected one rate for each"
        ) from error
    try:
        checked = np.asarray(given, np.float64)
    except (TypeError, ValueError):
        checked = None
    if checked is None or checked.shape != t.shape:
        raise ValueError(f"{schedule!r} gives {given!r} for {len(t)} updates; expected an array of shape {t.shape}")
    return np.where(checked >= 0, checked, np.nan)


def require_rate(schedule: Schedule, t: float) -> None:
    """Raise a ValueError that names the update t, unless its rate is a finite number of at least 0."""
    rate = schedule(np.array([t]))[0]
    if not (np.isfinite(rate) and rate >= 0):
        raise ValueError(f"{schedule!r} gives {rate} for update {t:.0f}; expected finite rates of at least 0")
