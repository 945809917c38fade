"""What training changes, as one record of named arrays."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from fastgd import storage

# What means nothing between two epochs, or is the model's own.
_OF_AN_EPOCH = "parameters", "batch_gradient", "n_rows", "position", "loss_sum", "batch_weight"


class RunState(NamedTuple):
    """All that training goes on from, at any place of an epoch; kernels change it in place.

    parameters : (n_parameters,), those of the model
    optimizer_state : (n_states, n_parameters)
    optimizer_own : (n,) float64, the rest of the optimiser's state, whose parts are the optimizer_fields by name
    average : (n_parameters,) float64, the mean of the parameters; (0,) where none is kept
    batch_gradient : (n_parameters,), of the rows that are done of a batch that is not; (0,) where no batch is cut
    n_updates, n_rows, position, loss_sum, batch_weight : those of `kernels.Progress`
    """

    parameters: np.ndarray
    optimizer_state: np.ndarray
    optimizer_own: np.ndarray
    optimizer_fields: dict[str, np.ndarray]
    average: np.ndarray
    batch_gradient: np.ndarray
    n_updates: np.ndarray
    n_rows: np.ndarray
    position: np.ndarray
    loss_sum: np.ndarray
    batch_weight: np.ndarray

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """All memory, by name."""
        return {name: array for name, array in self._asdict().items() if name != "optimizer_fields"}

    def copy(self) -> dict[str, np.ndarray]:
        """The same numbers in memory of their own."""
        return {name: array.copy() for name, array in self.arrays.items()}

    def assign(self, copies: Mapping[str, np.ndarray]) -> None:
        """Become equal to a copy of this state."""
        for name, array in self.arrays.items():
            np.copyto(array, copies[name])

    def between_epochs(self) -> dict[str, np.ndarray]:
        """What a run goes on from between two epochs, besides the model's parameters, by name."""
        named = {name: array for name, array in self.arrays.items() if name not in _OF_AN_EPOCH}
        del named["optimizer_own"]
        return named | {f"optimizer_{name}": array for name, array in self.optimizer_fields.items()}

    def within_epoch(self) -> dict[str, np.ndarray]:
        """What an epoch goes on from besides, by name."""
        return {name: array for name, array in self.arrays.items() if name in _OF_AN_EPOCH and name != "parameters"}

    def load_epoch(self, saved: Mapping[str, np.ndarray]) -> None:
        """Go on from what another run's `within_epoch` held; a ValueError says what does not fit."""
        load_arrays(self.within_epoch(), saved, "state of the epoch")

    def load(self, saved: Mapping[str, np.ndarray | storage.SavedTensor]) -> None:
        """Go on from what another run's `between_epochs` held; a ValueError says what does not fit."""
        load_arrays(self.between_epochs(), saved, "state of the run")


class Snapshot:
    """What arrays hold at a moment, to which they may go back; its memory is made once.

    arrays : those of a state
    """

    def __init__(self, arrays: Iterable[np.ndarray]) -> None:
        #: Those that have elements.
        self.arrays = [array for array in arrays if array.size]
        self._copies = [np.empty_like(array) for array in self.arrays]

    def take(self) -> None:
        """Copy what the arrays hold."""
        for array, copy in zip(self.arrays, self._copies, strict=True):
            np.copyto(copy, array)

    def restore(self) -> None:
        """Have the arrays hold what was copied last."""
        for array, copy in zip(self.arrays, self._copies, strict=True):
            np.copyto(array, copy)


def load_arrays(
    expected: Mapping[str, np.ndarray], saved: Mapping[str, np.ndarray | storage.SavedTensor], what: str
) -> None:
    """Write what was saved into arrays of the same names; a ValueError says what does not fit."""
    storage.require_names(saved, what, expected)
    for name, array in expected.items():
        found = saved[name]
        if tuple(found.shape) != array.shape:
            raise ValueError(
                f"{name} has shape {tuple(found.shape)}; expected {array.shape}, as this version of fastgd saves it"
            )
        # A vector that is not kept has no elements, and none of any dtype.
        if array.size and str(found.dtype) != array.dtype.name:
            raise ValueError(
                f"{name} has dtype {found.dtype}; expected {array.dtype}, as this version of fastgd saves it"
            )
        array[...] = found
