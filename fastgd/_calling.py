"""Callbacks as `Trainer.fit` calls them."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastgd.history import EpochRecord
from fastgd.monitor import Monitor


@dataclass(eq=False)
class SavedCallback:
    """What a callback was, and what it knew."""

    settings: dict[str, Any]
    state: dict[str, Any]


def describe(callbacks: list[SavedCallback]) -> tuple[list[dict[str, Any]], dict[str, np.ndarray]]:
    """What JSON can hold of them, and their arrays by name."""
    descriptions, tensors = [], {}
    for index, callback in enumerate(callbacks):
        arrays = {name: value for name, value in callback.state.items() if isinstance(value, np.ndarray)}
        tensors |= {f"callbacks.{index}.{name}": array for name, array in arrays.items()}
        numbers = {name: value for name, value in callback.state.items() if name not in arrays}
        descriptions.append({"settings": callback.settings, "state": numbers, "arrays": list(arrays)})
    return descriptions, tensors


def restore(descriptions: list[dict[str, Any]], tensors: dict[str, np.ndarray]) -> list[SavedCallback]:
    """What `describe` described."""
    return [
        SavedCallback(
            description["settings"],
            description["state"] | {name: tensors[f"callbacks.{index}.{name}"] for name in description["arrays"]},
        )
        for index, description in enumerate(descriptions)
    ]


class Calling:
    """The callbacks of one call of `fit`.

    Parameters
    ----------
    callbacks : sequence of callables
    has_validation : bool
        Whether records will have a validation loss.

    Raises
    ------
    TypeError
        For anything but a list or tuple of callables; for a class in place of an instance.
    ValueError
        Where one would watch what no record will have.
    """

    def __init__(self, callbacks: Any, has_validation: bool) -> None:
        if not isinstance(callbacks, Sequence) or isinstance(callbacks, str):
            hint = ", as in callbacks=[callback]" if callable(callbacks) else ""
            raise TypeError(f"callbacks is {callbacks!r}; expected a list of callables{hint}")
        for index, callback in enumerate(callbacks):
            if isinstance(callback, type):
                raise TypeError(f"callbacks[{index}] is the class {callback.__name__}; expected an instance of it")
            if not callable(callback):
                raise TypeError(f"callbacks[{index}] is {callback!r}; expected a callable")
            if isinstance(callback, Monitor):
                callback.check(has_validation)
        self._callbacks = list(callbacks)
        #: Those whose state is part of a saved run.
        self.monitors = [callback for callback in callbacks if isinstance(callback, Monitor)]

    def take_up(self, states: list[SavedCallback]) -> None:
        """Give what the callbacks of a saved run knew to those here that are new and have the same settings."""
        states = list(states)
        for callback in self.monitors:
            found = next((state for state in states if state.settings == callback.settings()), None)
            if found and callback.is_new:
                callback.restore(found.state)
                states.remove(found)

    @contextlib.contextmanager
    def of(self, trainer: Any) -> Iterator[None]:
        """Training goes on inside: callbacks hear of its beginning, and of its end however it ends."""
        self._tell("on_begin", trainer)
        try:
            yield
        except BaseException as error:
            self._tell("on_end", trainer, error)
            raise
        self._tell("on_end", trainer, None)

    def _tell(self, method: str, *arguments: Any) -> None:
        for callback in self._callbacks:
            if hasattr(callback, method):
                getattr(callback, method)(*arguments)

    def after_epoch(self, trainer: Any, record: EpochRecord) -> bool:
        """Call each; whether one wants training to stop."""
        answers = [bool(callback(trainer, record)) for callback in self._callbacks if not self._saves_run(callback)]
        # All take note of the epoch before one saves, as their notes are saved too.
        for checkpoint in [
            callback for callback in filter(self._saves_run, self._callbacks) if callback.is_due(record)
        ]:
            checkpoint.save(trainer, record)
        return any(answers)

    @staticmethod
    def _saves_run(callback: Any) -> bool:
        return isinstance(callback, Monitor) and callback.saves_run
