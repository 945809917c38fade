"""Callbacks as `Trainer.fit` calls them."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from fastgd.callbacks import Monitor
from fastgd.history import EpochRecord

if TYPE_CHECKING:
    from fastgd.trainer import Trainer


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

    @contextlib.contextmanager
    def of(self, trainer: "Trainer") -> Iterator[None]:
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

    def after_epoch(self, trainer: "Trainer", record: EpochRecord) -> bool:
        """Call each; whether one wants training to stop."""
        answers = [bool(callback(trainer, record)) for callback in self._callbacks]
        return any(answers)
