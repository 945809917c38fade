"""The optimisers: what a training run does with the gradient of a batch."""

from dataclasses import asdict, dataclass
from typing import Any

from fastgd import _check


@dataclass(frozen=True)
class SGD:
    """parameters -= learning_rate · gradient: the article's update, ŵ = w - α δw.

    Parameters
    ----------
    learning_rate : float
        The step size α, at least 0.
    """

    learning_rate: float = 0.001

    def __post_init__(self) -> None:
        object.__setattr__(self, "learning_rate", _check.non_negative(self.learning_rate, "learning_rate"))

    def arguments(self) -> dict[str, Any]:
        """What `SGD(**arguments)` needs to be the same."""
        return asdict(self)


#: Every optimiser, by the name that a saved run uses.
OPTIMIZERS = {"SGD": SGD}

Optimizer = SGD


def check_optimizer(optimizer: Any) -> Optimizer:
    """An optimiser, SGD() where none is given."""
    if optimizer is None:
        return SGD()
    if not isinstance(optimizer, tuple(OPTIMIZERS.values())):
        raise TypeError(
            f"optimizer is {optimizer!r}; expected an instance of {', '.join(OPTIMIZERS)}, as in gd.SGD(0.01)"
        )
    return optimizer
