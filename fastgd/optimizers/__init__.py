"""The optimisers: what training does with the gradient of a batch.

Formulas, argument names and defaults are PyTorch's, but that `lr` is called `learning_rate`. A learning rate is a
number, a schedule from `fastgd.schedules`, or "auto" for one that short trials on some of the rows choose, or that is
known to do without any, and that is lowered where an epoch goes wrong (see `Trainer`).

w stands for the parameters, g for the mean gradient of the batch, t for the number of the update, from 1.
"""

from typing import Any

from fastgd import schedules
from fastgd.data import checks
from fastgd.optimizers.adaptive import Adagrad, Adam, AdamW, RMSprop
from fastgd.optimizers.base import LearningRate, Optimizer
from fastgd.optimizers.normalized_sgd import NormalizedSGD
from fastgd.optimizers.sgd import SGD
from fastgd.schedules import Schedule

__all__ = [
    "OPTIMIZERS",
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "LearningRate",
    "NormalizedSGD",
    "Optimizer",
    "RMSprop",
    "check_optimizer",
    "restore",
]

#: Every optimiser, by the name that a saved run uses.
OPTIMIZERS = {kind.__name__: kind for kind in (SGD, Adam, AdamW, Adagrad, RMSprop, NormalizedSGD)}


def check_optimizer(optimizer: Any) -> Optimizer:
    """An optimiser, SGD() where none is given."""
    if optimizer is None:
        return SGD()
    if not isinstance(optimizer, Optimizer):
        names = {name.lower(): name for name in OPTIMIZERS}
        wanted = optimizer.__name__ if isinstance(optimizer, type) else optimizer
        known = names.get(wanted.lower()) if isinstance(wanted, str) else None
        raise TypeError(
            f"optimizer is {optimizer!r}; expected 'auto' or an instance of {', '.join(OPTIMIZERS)}, as in "
            f"gd.{known or 'SGD'}({'' if known else '0.01'})"
        )
    return optimizer


def restore(description: dict[str, Any], schedule: Schedule | None = None) -> Optimizer:
    """The optimiser that `Optimizer.describe` described, with the user's own schedule where it had one."""
    arguments = dict(description)
    kind = OPTIMIZERS[checks.choice(arguments.pop("type"), "optimizer", OPTIMIZERS)]
    if isinstance(arguments["learning_rate"], dict):
        arguments["learning_rate"] = schedules.restore(arguments["learning_rate"], schedule)
    return kind(**arguments)
