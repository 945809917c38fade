"""What every optimiser has."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np

from fastgd.kernels import aligned_zero_rows, aligned_zeros, whole_lines
from fastgd.layer_stack import LayerStack
from fastgd.losses import Loss
from fastgd.schedules import Schedule
from fastgd.schedules.base import check_learning_rate

LearningRate = float | Schedule | Literal["auto"]


class State(NamedTuple):
    """What an optimiser keeps from one update to the next, as the arrays of `fastgd.kernels.Vectors`.

    vectors : (n_states, n_parameters and more), of the parameters' dtype
    own : (n,) float64
    named : views of what it holds, by the names that a saved run has for them
    """

    vectors: np.ndarray
    own: np.ndarray
    named: dict[str, np.ndarray]


@dataclass(frozen=True)
class Optimizer(ABC):
    """A learning rate, settings for the kernels, and some state."""

    learning_rate: LearningRate

    #: What the vectors of state are called, each parallel to the parameters, as in the formulas.
    state_names: ClassVar[tuple[str, ...]] = ()

    #: Those behind them that no formula shows.
    hidden_state_names: ClassVar[tuple[str, ...]] = ()

    #: The largest stable rate, as a share of that of plain SGD; None where steps are not in proportion to the gradient.
    stable_share: ClassVar[float | None] = None

    #: How long a weight's steps are, in rates, while it keeps moving one way; None where they are in proportion to the
    #: gradient, or become shorter.
    step_per_rate: ClassVar[float | None] = None

    #: Whether an update is  w -= learning_rate · g  and no more.
    is_plain: ClassVar[bool] = False

    #: Whether a rate of "auto" is known without a search; see `auto_rate`.
    needs_no_search: ClassVar[bool] = False

    #: Whether a rate that is known so is one for targets of a standard deviation of 1, and in proportion to it.
    auto_rate_scales_with_targets: ClassVar[bool] = False

    #: Whether it knows random weights as such, and learns less from weights of zero.
    wants_random_weights: ClassVar[bool] = False

    def __post_init__(self) -> None:
        self._set_checked(check_learning_rate, "learning_rate")
        self._check_settings()

    def _check_settings(self) -> None:  # noqa: B027 (an optimiser may have no settings)
        """Raise a ValueError or TypeError for settings out of range."""

    def _set_checked(self, check: Any, *names: str) -> None:
        for name in names:
            object.__setattr__(self, name, check(getattr(self, name), name))

    @property
    def n_states(self) -> int:
        """How many vectors of state there are."""
        return len(self.state_names) + len(self.hidden_state_names)

    @abstractmethod
    def settings_for(self, model: LayerStack, loss: Loss, is_full_batch: bool) -> tuple:
        """The settings as the kernels take them, all but the learning rate.

        is_full_batch : whether each update is one of all rows
        """

    def resolved_for(self, model: LayerStack, loss: Loss) -> "Optimizer":
        """The optimiser with all that it leaves open decided for a model and its loss.

        Raises a ValueError where it cannot train them.
        """
        return self

    def check_dtype(self, dtype: np.dtype) -> None:
        """Raise a ValueError where eps is zero in a model's dtype: a gradient of zero would be divided by it."""
        eps = getattr(self, "eps", None)
        if eps is not None and dtype.type(eps) == 0:
            raise ValueError(
                f"eps is {eps}, which is 0 in {dtype}; expected at least {np.finfo(dtype).smallest_subnormal:.2g}"
            )

    def initial_state(self, model: LayerStack) -> State:
        """What the state starts from: zeros, and nothing of its own."""
        vectors = aligned_zero_rows(self.n_states, model.parameters.size, model.dtype)
        return State(vectors, np.empty(0), {})

    def begin(self, model: LayerStack, state: State) -> None:  # noqa: B027 (few look at the model)
        """Take in the model as it is before training; called before each call that trains."""

    def auto_rate(self, loss: Loss, is_full_batch: bool) -> float:
        """What a learning rate of "auto" is where no search is made for it: that of the class, before any fall."""
        return type(self).learning_rate

    def describe(self) -> dict[str, Any]:
        """The optimiser as JSON can hold it."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        if isinstance(self.learning_rate, Schedule):
            values["learning_rate"] = self.learning_rate.describe()
        return {"type": type(self).__name__} | values


def with_fields(state: State, dtype: np.dtype, n_more: int = 0) -> State:
    """The same state with fields of a structured dtype for its own and, from a line of the cache on, more numbers.

    All are zero.
    """
    own = aligned_zeros(whole_lines(1) + n_more, np.dtype(np.float64))
    fields = own[: dtype.itemsize // own.itemsize].view(dtype)
    return state._replace(own=own, named={name: fields[name] for name in dtype.names})
