"""An epoch while it is trained, and as a saved run holds it where it was saved before the epoch's end."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from fastgd import storage
from fastgd.data import checks

# What the names of an epoch's tensors begin with in a file, and those of them that the epoch began with.
PREFIX, _BEFORE = "epoch.", "before."
_NAMES = ["n_updates", "seconds", "rate_factor", "loss_before", "n_setbacks"]


class BeforeEpoch(NamedTuple):
    """What a safeguard takes an epoch back to.

    arrays : those of `RunState`          loss : on the rows that are judged by
    n_setbacks : how often the epoch was taken back
    """

    arrays: Mapping[str, np.ndarray]
    loss: float
    n_setbacks: int


@dataclass
class CutEpoch:
    """An epoch of which some rows are done.

    n_updates : made before it          seconds : that its training took so far
    rate_factor : what multiplies its learning rates          state : `RunState.within_epoch()`
    before : what the safeguard goes back to, or None without one
    settings : those that may be assigned, as it began with them
    is_loaded : whether a file held it, and not this process
    """

    n_updates: int
    seconds: float
    rate_factor: float
    state: Mapping[str, np.ndarray]
    before: BeforeEpoch | None
    settings: dict[str, Any] = field(default_factory=dict)
    is_loaded: bool = False

    @property
    def position(self) -> int:
        """How many rows are done."""
        return int(self.state["position"][0])

    @property
    def is_over(self) -> bool:
        """Whether all rows are done, and found good."""
        return self.before is None and self.position == int(self.state["n_rows"][0])

    def describe(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """What JSON can hold of it, and its arrays by name."""
        before = self.before
        arrays = {f"{PREFIX}{name}": array for name, array in self.state.items()}
        arrays |= {f"{PREFIX}{_BEFORE}{name}": array for name, array in (before.arrays.items() if before else ())}
        numbers = {"n_updates": self.n_updates, "seconds": self.seconds, "rate_factor": self.rate_factor}
        numbers |= {"loss_before": before and before.loss, "n_setbacks": before.n_setbacks if before else 0}
        return numbers, arrays

    @classmethod
    def restore(cls, numbers: dict[str, Any], tensors: Mapping[str, Any]) -> "CutEpoch":
        """What `describe` described."""
        storage.require_names(numbers, "epoch", _NAMES)
        arrays = {name.removeprefix(PREFIX): np.array(tensor) for name, tensor in tensors.items()}
        before = {name.removeprefix(_BEFORE): array for name, array in arrays.items() if name.startswith(_BEFORE)}
        state = {name: array for name, array in arrays.items() if not name.startswith(_BEFORE)}
        if state["position"].shape != (1,) or not 0 <= state["position"][0] <= state["n_rows"][0]:
            raise ValueError(f"position is {state['position']} of {state['n_rows']} rows; expected one of them")
        n_setbacks = checks.integer(numbers["n_setbacks"], "n_setbacks", 0)
        return cls(
            checks.integer(numbers["n_updates"], "n_updates", 0),
            checks.non_negative(numbers["seconds"], "seconds"),
            checks.non_negative(numbers["rate_factor"], "rate_factor"),
            state,
            BeforeEpoch(before, float(numbers["loss_before"]), n_setbacks) if before else None,
        )


@dataclass
class UnderWay:
    """An epoch that is trained, or was the last one.

    number : how many came before it          n_updates : made before it
    rate_factor : what multiplies its learning rates          seconds : its training took, before it was taken up again
    """

    number: int
    n_updates: int
    rate_factor: float
    seconds: float = 0.0
    began: float = field(default_factory=time.perf_counter)

    @property
    def seconds_so_far(self) -> float:
        """How long its training took."""
        return self.seconds + time.perf_counter() - self.began
