"""The schedules that fastgd has."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from fastgd.data import checks
from fastgd.schedules.base import Schedule


def _checked(schedule: Schedule, **checks: Any) -> None:
    for name, check in checks.items():
        object.__setattr__(schedule, name, check(getattr(schedule, name), name))


def _count(value: Any, name: str) -> int:
    return checks.integer(value, name, 1)


@dataclass(frozen=True)
class Constant(Schedule):
    """The same rate for every update.

    Examples
    --------
    >>> import numpy as np
    >>> import fastgd as gd
    >>> gd.schedules.Constant(0.1)(np.array([1, 2, 3])).round(4).tolist()
    [0.1, 0.1, 0.1]
    """

    learning_rate: float

    def __post_init__(self) -> None:
        _checked(self, learning_rate=checks.non_negative)

    def __call__(self, t: np.ndarray) -> np.ndarray:
        return np.full(np.shape(t), self.learning_rate)[()]

    def is_constant(self, first: float, last: float) -> bool:
        return True


@dataclass(frozen=True)
class InverseScaling(Schedule):
    """learning_rate / t^power_t, as scikit-learn's "invscaling".

    Examples
    --------
    >>> import numpy as np
    >>> import fastgd as gd
    >>> gd.schedules.InverseScaling(0.1, power_t=0.5)(np.array([1, 4, 100])).round(4).tolist()
    [0.1, 0.05, 0.01]
    """

    learning_rate: float = 0.01
    power_t: float = 0.25

    def __post_init__(self) -> None:
        _checked(self, learning_rate=checks.non_negative, power_t=checks.non_negative)

    def __call__(self, t: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):
            return self.learning_rate / t**self.power_t


@dataclass(frozen=True)
class Optimal(Schedule):
    """1 / (alpha (t0 + t - 1)) with t0 = 1 / √alpha^1.5, as scikit-learn's "optimal" after Bottou.

    alpha is a number of the schedule's own, so that it also works without any penalty.

    Examples
    --------
    >>> import numpy as np
    >>> import fastgd as gd
    >>> gd.schedules.Optimal(alpha=0.01)(np.array([1, 100, 10_000])).round(4).tolist()
    [3.1623, 0.7656, 0.01]
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
    """learning_rate · gamma^⌊(t - 1) / step_size⌋, as PyTorch's StepLR counted in updates.

    Examples
    --------
    >>> import numpy as np
    >>> import fastgd as gd
    >>> gd.schedules.Step(0.1, step_size=2, gamma=0.5)(np.array([1, 2, 3, 4, 5])).round(4).tolist()
    [0.1, 0.1, 0.05, 0.05, 0.025]
    """

    learning_rate: float
    step_size: int
    gamma: float = 0.1

    def __post_init__(self) -> None:
        _checked(self, learning_rate=checks.non_negative, step_size=_count, gamma=checks.non_negative)

    def __call__(self, t: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore", invalid="ignore"):
            return self.learning_rate * self.gamma ** ((t - 1) // self.step_size)


@dataclass(frozen=True)
class Exponential(Schedule):
    """learning_rate · gamma^(t - 1), as PyTorch's ExponentialLR counted in updates.

    Examples
    --------
    >>> import numpy as np
    >>> import fastgd as gd
    >>> gd.schedules.Exponential(0.1, gamma=0.5)(np.array([1, 2, 3])).round(4).tolist()
    [0.1, 0.05, 0.025]
    """

    learning_rate: float
    gamma: float

    def __post_init__(self) -> None:
        _checked(self, learning_rate=checks.non_negative, gamma=checks.non_negative)

    def __call__(self, t: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore", invalid="ignore"):
            return self.learning_rate * self.gamma ** (t - 1)


@dataclass(frozen=True)
class CosineWarmRestarts(Schedule):
    """From learning_rate to eta_min along half a cosine over T_0 updates, then over T_mult times as many, and so on.

    As PyTorch's CosineAnnealingWarmRestarts counted in updates; Loshchilov and Hutter, "SGDR" (ICLR 2017), equation 5.

    Examples
    --------
    >>> import numpy as np
    >>> import fastgd as gd
    >>> gd.schedules.CosineWarmRestarts(0.1, T_0=4)(np.array([1, 2, 3, 4, 5])).round(4).tolist()
    [0.1, 0.0854, 0.05, 0.0146, 0.1]
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

    Examples
    --------
    >>> import numpy as np
    >>> import fastgd as gd
    >>> gd.schedules.Cooldown(0.1, period=8, share=0.5)(np.array([1, 5, 6, 7, 8, 9])).round(4).tolist()
    [0.1, 0.1, 0.075, 0.05, 0.025, 0.1]
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
    """Another schedule, or a rate, times a factor that grows evenly from start_factor to 1 over n_updates updates.

    Examples
    --------
    >>> import numpy as np
    >>> import fastgd as gd
    >>> gd.schedules.LinearWarmup(0.1, n_updates=4)(np.array([1, 2, 3, 4, 5])).round(4).tolist()
    [0.025, 0.05, 0.075, 0.1, 0.1]
    """

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

    Examples
    --------
    >>> import numpy as np
    >>> import fastgd as gd
    >>> gd.schedules.OneCycle(0.1, total_steps=5)(np.array([1, 2, 3, 4, 5])).round(4).tolist()
    [0.004, 0.095, 0.0611, 0.0188, 0.0]
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


def as_schedule(learning_rate: Any) -> Schedule:
    """A schedule as it is, or a constant one."""
    if isinstance(learning_rate, Schedule):
        return learning_rate
    return Constant(learning_rate)
