"""Callbacks as `Trainer.fit` calls them."""

import contextlib
import inspect
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastgd._engine.monitor import Monitor
from fastgd._engine.timed_checkpoint import Checkpoint
from fastgd.history import EpochRecord, History


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
        tensors |= {_tensor_name(index, name): array for name, array in arrays.items()}
        numbers = {name: value for name, value in callback.state.items() if name not in arrays}
        descriptions.append({"settings": callback.settings, "state": numbers, "arrays": list(arrays)})
    return descriptions, tensors


def tensor_names(descriptions: list[dict[str, Any]]) -> list[str]:
    """The names of the arrays that `describe` gave beside these descriptions."""
    return [_tensor_name(index, name) for index, one in enumerate(descriptions) for name in one["arrays"]]


def _tensor_name(index: int, name: str) -> str:
    return f"callbacks.{index}.{name}"


def restore(descriptions: list[dict[str, Any]], tensors: dict[str, np.ndarray]) -> list[SavedCallback]:
    """What `describe` described."""
    return [
        SavedCallback(
            description["settings"],
            description["state"] | {name: tensors[_tensor_name(index, name)] for name in description["arrays"]},
        )
        for index, description in enumerate(descriptions)
    ]


def require_callables(callbacks: Any) -> None:
    """Raise a TypeError for anything but a list or tuple of callables of a trainer and a record, and for a class in
    place of an instance.
    """
    if not isinstance(callbacks, Sequence) or isinstance(callbacks, str):
        hint = ", as in callbacks=[callback]" if callable(callbacks) else ""
        raise TypeError(f"callbacks is {callbacks!r}; expected a list of callables{hint}")
    for index, callback in enumerate(callbacks):
        if isinstance(callback, type):
            raise TypeError(f"callbacks[{index}] is the class {callback.__name__}; expected an instance of it")
        if not callable(callback):
            raise TypeError(f"callbacks[{index}] is {callback!r}; expected a callable")
        with contextlib.suppress(ValueError):
            # Of what is not written in Python, nobody may know the arguments.
            signature = inspect.signature(callback)
            try:
                signature.bind(None, None)
            except TypeError:
                raise TypeError(
                    f"callbacks[{index}] is {callback!r} with arguments {signature}; expected a callable of two, as in "
                    "def callback(trainer, record)"
                ) from None


class CallbackList:
    """The callbacks of one call of `fit`.

    Parameters
    ----------
    callbacks : sequence of callables
    has_validation : bool
        Whether records will have a validation loss.
    metrics : sequence of str
        The names of those that they will have.
    history : History
        Of the run.

    Raises
    ------
    TypeError
        For anything but a list or tuple of callables; for a class in place of an instance.
    ValueError
        Where one would watch what no record will have, or has watched another run.
    """

    def __init__(self, callbacks: Any, has_validation: bool, metrics: Sequence[str], history: History) -> None:
        require_callables(callbacks)
        for callback in callbacks:
            if isinstance(callback, Monitor):
                callback.check(has_validation, metrics)
                callback.watch(history)
        self._callbacks = list(callbacks)
        #: Those whose state is part of a saved run.
        self.monitors = [callback for callback in callbacks if isinstance(callback, Monitor)]
        self._checkpoints = [callback for callback in callbacks if isinstance(callback, Checkpoint)]
        self._on_slice = [callback.on_slice for callback in callbacks if hasattr(callback, "on_slice")]

    @property
    def is_empty(self) -> bool:
        """Whether there is none."""
        return not self._callbacks

    @property
    def may_save(self) -> bool:
        """Whether one may save the run."""
        return bool(self._on_slice) or any(map(_saves_run, self.monitors))

    def between_slices(
        self, trainer: Any, shown: Callable[[int, float], None] | None
    ) -> Callable[[int, float], None] | None:
        """What is to be called with a slice's rows and the mean loss; None where nobody listens.

        shown : who else listens
        """
        if not self._on_slice:
            return shown

        def on_rows(n_rows: int, loss: float) -> None:
            if shown is not None:
                shown(n_rows, loss)
            for on_slice in self._on_slice:
                on_slice(trainer)

        return on_rows

    def save(self, trainer: Any) -> None:
        """Have each Checkpoint save the run as it is."""
        for checkpoint in self._checkpoints:
            checkpoint.save(trainer)

    def save_interrupted(
        self, trainer: Any, run: Any, known: list[dict[str, Any]] | None, error: BaseException
    ) -> None:
        """Have each Checkpoint save a run that Ctrl-C has ended; that one cannot is a note on the error.

        known : what the monitors knew before they were to hear of an epoch, where that was interrupted
        """
        if not self._checkpoints:
            return
        try:
            if known is None:
                self.save(trainer)
                return
            with run.last_epoch_reopened(), self._knowing(known):
                self.save(trainer)
        except OSError as failure:
            error.add_note(f"The run could not be saved: {failure}")

    def known(self) -> list[dict[str, Any]]:
        """What the monitors know."""
        return [monitor.saved_state() for monitor in self.monitors]

    @contextlib.contextmanager
    def _knowing(self, known: list[dict[str, Any]]) -> Iterator[None]:
        """Inside, the monitors know this."""
        now = self.known()
        try:
            for monitor, state in zip(self.monitors, known, strict=True):
                monitor.restore(state)
            yield
        finally:
            for monitor, state in zip(self.monitors, now, strict=True):
                monitor.restore(state)

    def load_state(self, states: list[SavedCallback]) -> None:
        """Give what the callbacks of a saved run knew to those here that are new and have the same settings."""
        states = list(states)
        for callback in self.monitors:
            found = next((state for state in states if state.settings == callback.settings()), None)
            if found and callback.is_new:
                callback.restore(found.state)
                states.remove(found)

    @contextlib.contextmanager
    def of(self, trainer: Any) -> Iterator[None]:
        """Training goes on inside: callbacks hear of its beginning, and those that did of its end however it ends."""
        begun = []
        try:
            for callback in self._callbacks:
                if hasattr(callback, "on_begin"):
                    callback.on_begin(trainer)
                begun.append(callback)
            yield
        except BaseException as error:
            _end(begun, trainer, error)
            raise
        _end(begun, trainer, None)

    def after_epoch(self, trainer: Any, record: EpochRecord) -> bool:
        """Call each; whether one wants training to stop."""
        checkpoints = [callback for callback in self._callbacks if _saves_run(callback)]
        answers = [_is_true(callback(trainer, record)) for callback in self._callbacks if not _saves_run(callback)]
        for index, checkpoint in enumerate(checkpoints):
            # What it saves holds the notes of all.
            others = [other for other in checkpoints[index + 1 :] if other is not checkpoint]
            with _noted(record, others):
                answers.append(_is_true(checkpoint(trainer, record)))
        return any(answers)


def _is_true(answer: Any) -> bool:
    # A function that logs may return anything, such as the loss.
    return isinstance(answer, bool | np.bool_) and bool(answer)


def _saves_run(callback: Any) -> bool:
    return isinstance(callback, Monitor) and callback.saves_run


@contextlib.contextmanager
def _noted(record: EpochRecord, monitors: list[Monitor]) -> Iterator[None]:
    """Inside, these know of an epoch; they forget it again, as their classes may not want to be called with it."""
    known = [monitor.saved_state() for monitor in monitors]
    try:
        for monitor in monitors:
            monitor.improves(record)
        yield
    finally:
        for monitor, state in zip(monitors, known, strict=True):
            monitor.restore(state)


def _end(callbacks: list[Any], trainer: Any, error: BaseException | None) -> None:
    """Tell each of the end, and then raise what the first failed with, unless an error that was there comes first."""
    main = error
    for callback in callbacks:
        if not hasattr(callback, "on_end"):
            continue
        try:
            callback.on_end(trainer, error)
        except BaseException as failure:
            if main is None:
                main = failure
            elif failure is not main:
                text = "".join(traceback.format_exception(failure, chain=False))
                main.add_note(f"In on_end of {callback!r} after it:\n{text}")
    if error is None and main is not None:
        raise main
