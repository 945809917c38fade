"""Learning rates that change with the number of updates. Any optimiser takes one in place of a number.

Each is a function of t, the number of the update from 1: a number, or an array of integers or float64. One of your own
is a subclass of Schedule with this function:

    class Halving(gd.schedules.Schedule):
        def __call__(self, t):
            return 0.1 / 2 ** ((t - 1) // 1000)
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastgd.data import checks


class Schedule(ABC):
    """The learning rate of each update, a function of its number alone.

    Training that meets a rate that is negative or not finite ends there with a ValueError.
    """

    @abstractmethod
    def __call__(self, t: np.ndarray) -> np.ndarray:
        """The rates of the updates with the numbers t, both (n,) float64; t counts from 1, and may look ahead."""

    def is_constant(self, first: float, last: float) -> bool:
        """Whether the updates from number first to number last are known to have one rate."""
        return False

    def describe(self) -> dict[str, Any]:
        """The schedule as JSON can hold it; of a user's own, no more than its name."""
        if not _is_here(self):
            return {"own": type(self).__name__}
        return {"type": type(self).__name__} | {
            name: value.describe() if isinstance(value, Schedule) else value for name, value in vars(self).items()
        }


def _checked(schedule: Schedule, **checks: Any) -> None:
    for name, check in checks.items():
        object.__setattr__(schedule, name, check(getattr(schedule, name), name))


def _count(value: Any, name: str) -> int:
    return checks.integer(value, name, 1)


@dataclass(frozen=True)
class Constant(Schedule):
    """The same rate for every update."""

    learning_rate: float

    def __post_init__(self) -> None:
        _checked(self, learning_rate=checks.non_negative)

    def __call__(self, t: np.ndarray) -> np.ndarray:
        return np.full(np.shape(t), self.learning_rate)[()]

    def is_constant(self, first: float, last: float) -> bool:
        return True


@dataclass(frozen=True)
class InverseScaling(Schedule):
    """learning_rate / t^power_t, as scikit-learn's "invscaling"."""

    learning_rate: float = 0.01
    power_t: float = 0.25

    def __post_init__(self) -> None:
        _checked(self, learning_rate=checks.non_negative, power_t=checks.non_negative)

    def __call__(self, t: np.ndarray) -> np.ndarray:
        return self.learning_rate / t**self.power_t


@dataclass(frozen=True)
class Optimal(Schedule):
    """1 / (alpha (t0 + t - 1)) with t0 = 1 / √alpha^1.5, as scikit-learn's "optimal" after Bottou.

    alpha is a number of the schedule's own, so that it also works without any penalty.
    """

    alpha: float = 0.0001

    def __post_init__(self) -> None:
        _checked(self, alpha=checks.positive)

    def __call__(self, t: np.ndarray) -> np.ndarray:
        # The first rate is the typical weight √(1 / √alpha).
        first = np.sqrt(1 / np.sqrt(self.alpha))
        return 1 / (self.alpha * (1 / (first * self.alpha) + t - 1))


@dataclass(frozen=True)
class Step(Schedule):
    """learning_rate · gamma^⌊(t - 1) / step_size⌋, as PyTorch's StepLR counted in updates."""

    learning_rate: float
    step_size: int
    gamma: float = 0.1

    def __post_init__(self) -> None:
        _checked(self, learning_rate=checks.non_negative, step_size=_count, gamma=checks.non_negative)

    def __call__(self, t: np.ndarray) -> np.ndarray:
        return self.learning_rate * self.gamma ** ((t - 1) // self.step_size)


@dataclass(frozen=True)
class Exponential(Schedule):
    """learning_rate · gamma^(t - 1), as PyTorch's ExponentialLR counted in updates."""

    learning_rate: float
    gamma: float

    def __post_init__(self) -> None:
        _checked(self, learning_rate=checks.non_negative, gamma=checks.non_negative)

    def __call__(self, t: np.ndarray) -> np.ndarray:
        return self.learning_rate * self.gamma ** (t - 1)


@dataclass(frozen=True)
class CosineWarmRestarts(Schedule):
    """From learning_rate to eta_min along half a cosine over T_0 updates, then over T_mult times as many, and so on.

    As PyTorch's CosineAnnealingWarmRestarts counted in updates; Loshchilov and Hutter, "SGDR" (ICLR 2017), equation 5.
    """

    learning_rate: float
    T_0: int
    T_mult: int = 1
    eta_min: float = 0.0

    def __post_init__(self) -> None:
        _checked(self, learning_rate=checks.non_negative, T_0=_count, T_mult=_count, eta_min=checks.non_negative)

    def __call__(self, t: np.ndarray) -> np.ndarray:
        done, length = np.subtract(t, 1.0), np.full(np.shape(t), float(self.T_0))
        if self.T_mult == 1:
            done = done % self.T_0
        else:
            while (past := done >= length).any():
                done = np.where(past, done - length, done)
                length = np.where(past, length * self.T_mult, length)
        share = (1 + np.cos(np.pi * done / length)) / 2
        return self.eta_min + (self.learning_rate - self.eta_min) * share


@dataclass(frozen=True)
class Cooldown(Schedule):
    """learning_rate · min(1, (1 - done) / share), done = (t - 1) / period - ⌊(t - 1) / period⌋.

    A constant rate that falls evenly towards 0 over the last share of each period, and so takes the noise of its steps
    out of the parameters: Hägele et al., "Scaling laws and compute-optimal training beyond fixed training durations"
    (NeurIPS 2024), section 3, again and again.
    """

    learning_rate: float
    period: int
    share: float = 0.25

    def __post_init__(self) -> None:
        _checked(self, learning_rate=checks.non_negative, period=_count)
        _checked(self, share=checks.positive)
        _checked(self, share=lambda value, name: checks.between(value, name, 0, 1))

    def __call__(self, t: np.ndarray) -> np.ndarray:
        # In place: memory that is new for each of these steps would cost more than all of them.
        done = np.array(t, np.float64)
        done -= 1
        done /= self.period
        done -= np.floor(done)
        rates = np.subtract(1, done, out=done)
        rates /= self.share
        np.minimum(rates, 1, out=rates)
        rates *= self.learning_rate
        return rates[()]

    def is_constant(self, first: float, last: float) -> bool:
        in_one_period = (first - 1) // self.period == (last - 1) // self.period
        return in_one_period and self(np.array([last]))[0] == self.learning_rate


@dataclass(frozen=True)
class LinearWarmup(Schedule):
    """Another schedule, or a rate, times a factor that grows evenly from start_factor to 1 over n_updates updates."""

    learning_rate: "float | Schedule"
    n_updates: int
    start_factor: float = 0.0

    def __post_init__(self) -> None:
        _checked(
            self, n_updates=_count, start_factor=checks.non_negative, learning_rate=lambda rate, _: as_schedule(rate)
        )

    def __call__(self, t: np.ndarray) -> np.ndarray:
        share = np.minimum(np.divide(t, self.n_updates), 1)
        return self.learning_rate(t) * (self.start_factor + (1 - self.start_factor) * share)

    def is_constant(self, first: float, last: float) -> bool:
        return first >= self.n_updates and self.learning_rate.is_constant(first, last)


@dataclass(frozen=True)
class OneCycle(Schedule):
    """Along half a cosine up from max_lr / div_factor to max_lr, then down to max_lr / div_factor / final_div_factor.

    As PyTorch's OneCycleLR; after total_steps updates the last rate stays. pct_start is the share of the way up.
    """

    max_lr: float
    total_steps: int
    pct_start: float = 0.3
    div_factor: float = 25.0
    final_div_factor: float = 1e4

    def __post_init__(self) -> None:
        _checked(self, max_lr=checks.non_negative, total_steps=_count, div_factor=checks.positive)
        _checked(self, final_div_factor=checks.positive, pct_start=lambda v, n: checks.between(v, n, 0, 1))

    def __call__(self, t: np.ndarray) -> np.ndarray:
        first, last = self.max_lr / self.div_factor, self.max_lr / self.div_factor / self.final_div_factor
        top, end = self.pct_start * self.total_steps - 1, self.total_steps - 1
        done = np.minimum(t - 1, end)
        up = np.clip(done / top, 0, 1) if top > 0 else 1.0
        down = np.clip((done - top) / (end - top), 0, 1) if end > top else 0.0
        rising = self.max_lr + (first - self.max_lr) * (1 + np.cos(np.pi * up)) / 2
        falling = last + (self.max_lr - last) * (1 + np.cos(np.pi * down)) / 2
        return np.where(done <= top, rising, falling)[()]


#: Every schedule, by the name that a saved run uses.
SCHEDULES = {
    schedule.__name__: schedule
    for schedule in (
        *(Constant, InverseScaling, Optimal, Step, Exponential),
        *(CosineWarmRestarts, Cooldown, LinearWarmup, OneCycle),
    )
}


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


def as_schedule(learning_rate: Any) -> Schedule:
    """A schedule as it is, or a constant one."""
    if isinstance(learning_rate, Schedule):
        return learning_rate
    return Constant(learning_rate)


def _is_here(schedule: Schedule) -> bool:
    return SCHEDULES.get(type(schedule).__name__) is type(schedule)


def is_known(schedule: Schedule) -> bool:
    """Whether a schedule is made of those here alone, which give no bad rates."""
    within = (value for value in vars(schedule).values() if isinstance(value, Schedule))
    return _is_here(schedule) and all(map(is_known, within))


def rates(schedule: Schedule, t: np.ndarray) -> np.ndarray:
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


def restore(description: dict[str, Any], own: Schedule | None = None) -> Schedule:
    """The schedule that `Schedule.describe` described; `own` where that is a user's of its name."""
    if "own" in description:
        if own is None or own.describe() != description:
            name = description["own"]
            raise ValueError(
                f"the run follows a schedule {name} of your own and schedule is {own!r}; expected "
                f"Trainer.load(path, schedule={name}(...))"
            )
        return own
    arguments = {name: restore(v, own) if isinstance(v, dict) else v for name, v in description.items()}
    return SCHEDULES[checks.choice(arguments.pop("type"), "schedule", SCHEDULES)](**arguments)
