"""Learning rates that change with the number of updates. Any optimiser takes one in place of a number.

Each is a function of t, the number of the update from 1: a number, or an array of integers or float64. Rates,
factors and exponents are at least 0, numbers of updates integers of at least 1, shares in [0, 1]; others are a
ValueError or TypeError. One of your own is a subclass of Schedule with this function:

    class Halving(gd.schedules.Schedule):
        def __call__(self, t):
            return 0.1 / 2 ** ((t - 1) // 1000)
"""

from typing import Any

from fastgd.data import checks
from fastgd.schedules.base import Schedule, is_here
from fastgd.schedules.formulas import (
    Constant,
    Cooldown,
    CosineWarmRestarts,
    Exponential,
    InverseScaling,
    LinearWarmup,
    OneCycle,
    Optimal,
    Step,
)

# What users call; `help` shows these alone.
__all__ = [
    "Constant",
    "Cooldown",
    "CosineWarmRestarts",
    "Exponential",
    "InverseScaling",
    "LinearWarmup",
    "OneCycle",
    "Optimal",
    "Schedule",
    "Step",
]

#: Every schedule, by the name that a saved run uses.
SCHEDULES = {
    schedule.__name__: schedule
    for schedule in (
        *(Constant, InverseScaling, Optimal, Step, Exponential),
        *(CosineWarmRestarts, Cooldown, LinearWarmup, OneCycle),
    )
}


def is_known(schedule: Schedule) -> bool:
    """Whether a schedule is made of those here alone, which give one rate for each update."""
    within = (value for value in vars(schedule).values() if isinstance(value, Schedule))
    return is_here(schedule) and all(map(is_known, within))


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
