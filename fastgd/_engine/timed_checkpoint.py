"""Saves of a run while it goes on, inside its epochs too."""

import os
import re
import time
from typing import Any

from fastgd import atomic_files, storage
from fastgd.data import checks
from fastgd.errors import warn
from fastgd.history import EpochRecord

_SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0}


class Checkpoint:
    """Save the run again and again, in the midst of epochs too, to go on after a crash with the same bits.

    Between two saves lie at least so many seconds or updates; it looks ten times a second. The run is also saved when
    `fit` ends, before callbacks put the best parameters back, and on Ctrl-C before KeyboardInterrupt leaves `fit`. The
    file that was there is replaced once the new one is whole and on the disk. `Trainer.load` and `fit(...,
    resume=True)` go on from it.

    Where the file cannot be written while training goes on, as on a full disk, a RuntimeWarning says so, the file from
    before stays as it is, and the next save is tried when it is due; at the end of `fit` that is an OSError.

    Parameters
    ----------
    path : path
        Where `Trainer.save` writes, into a folder that exists.
    every : str or int
        Seconds, minutes or hours, as in "60s", "10min" or "1.5h", or a number of updates, at least 1.

    Raises
    ------
    ValueError, TypeError
        For another `every`.
    OSError
        When `fit` begins, where the file cannot be written.

    Examples
    --------
    >>> import fastgd as gd
    >>> data = gd.data.synthetic(n_samples=1000, n_features=5)
    >>> trainer = gd.Trainer(gd.Model([gd.Linear(5, 1)]), optimizer=gd.SGD(0.01))
    >>> history = trainer.fit(data, epochs=2, callbacks=[gd.callbacks.Checkpoint("run.safetensors", every="60s")])
    >>> len(gd.Trainer.load("run.safetensors").fit(data, epochs=3, resume=True))
    3
    """

    def __init__(self, path: str | os.PathLike, every: str | int = "60s") -> None:
        self.path = os.fsdecode(path)
        self.every = every
        self._seconds = _seconds(every) if isinstance(every, str) else None
        self._updates = None if isinstance(every, str) else checks.integer(every, "every", 1)
        self._saved_at, self._saved_updates = 0.0, 0

    def __repr__(self) -> str:
        return f"Checkpoint({self.path!r}, every={self.every!r})"

    def on_begin(self, trainer: Any) -> None:
        """Raise an error where nothing could be saved."""
        storage.require_name(self.path)
        atomic_files.require_writable(self.path)
        self._note_saved(trainer)

    def __call__(self, trainer: Any, record: EpochRecord) -> None:
        """Nothing: each epoch has a slice at its end."""

    def on_slice(self, trainer: Any) -> None:
        """Save the run, if it is time."""
        if self._seconds is not None:
            is_due = time.monotonic() - self._saved_at >= self._seconds
        else:
            is_due = trainer.n_updates - self._saved_updates >= self._updates
        if not is_due:
            return
        try:
            self.save(trainer)
        except OSError as error:
            self._note_saved(trainer)
            warn(
                f"the run could not be saved ({error}); {self.path} is what it was before, training goes on, "
                f"and the next save is tried in {self.every if self._seconds else f'{self.every} updates'}",
                RuntimeWarning,
            )

    def save(self, trainer: Any) -> None:
        """Save the run as it is."""
        trainer.save(self.path)
        self._note_saved(trainer)

    def _note_saved(self, trainer: Any) -> None:
        self._saved_at, self._saved_updates = time.monotonic(), trainer.n_updates


def _seconds(every: str) -> float:
    match = re.fullmatch(r"\s*(\d+\.?\d*|\.\d+)\s*(s|min|h)\s*", every)
    seconds = float(match[1]) * _SECONDS[match[2]] if match else 0.0
    if seconds == 0:
        raise ValueError(f"every is {every!r}; expected a time as '60s', '10min' or '1h', or a number of updates")
    return seconds
