"""Callbacks that write the numbers of each epoch into files."""

import json
import math
import os
import time
from typing import TYPE_CHECKING, Any

from fastgd import atomic_files
from fastgd.history import EpochRecord, History

if TYPE_CHECKING:
    from fastgd.trainer import Trainer

# Seconds after which TensorBoard can see what was written.
_FLUSHED_EVERY = 5


class JSONLines:
    """Write a line of JSON for each epoch: its number, losses, seconds, learning rate and metrics, by their names.

    The file always has the epochs of one run, each once. A new run replaces what was there; a run that goes on, in
    another `fit` or from a saved file, has all of its epochs in it, and what was written after the run was saved is
    gone. What an epoch does not have is null, and so is what is not finite, as JSON has no other number for it.

    Parameters
    ----------
    path : path
        Of the file, in a folder that exists.

    Raises
    ------
    ValueError
        For an empty path.
    OSError
        Where the file cannot be written.

    Examples
    --------
    >>> import fastgd as gd
    >>> log = gd.callbacks.JSONLines("run.jsonl")  # doctest: +SKIP
    >>> trainer.fit(X, y, epochs=10, callbacks=[log])  # doctest: +SKIP
    >>> pandas.read_json("run.jsonl", lines=True).validation_loss.min()  # doctest: +SKIP
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self.path = os.fsdecode(path)
        atomic_files.require_writable(self.path)
        # Whose epochs the file has, and how many.
        self._history: History | None = None
        self._n_written = 0

    def on_begin(self, trainer: "Trainer") -> None:
        """Have the file hold the epochs so far, unless it does."""
        history = trainer.history
        if self._history is history and self._n_written == len(history):
            return
        with atomic_files.atomic_write(self.path) as file:
            file.writelines(map(_line, history))
        self._history, self._n_written = history, len(history)

    def __call__(self, trainer: "Trainer", record: EpochRecord) -> None:
        """Write an epoch."""
        # Opened and closed each time: every line that is said to be written is.
        with open(self.path, "ab") as file:
            file.write(_line(record))
        self._n_written = record.epoch

    def __repr__(self) -> str:
        return f"JSONLines({self.path!r})"


def _line(record: EpochRecord) -> bytes:
    finite = {name: _finite(value) for name, value in record.by_name().items()}
    return json.dumps(finite, allow_nan=False, ensure_ascii=False).encode() + b"\n"


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


class TensorBoard:
    """Write the numbers of each epoch as scalars that TensorBoard shows: `tensorboard --logdir runs`.

    The tags are loss, validation_loss, seconds, learning_rate and the metrics by their names; the step is the epoch.
    Numbers are float32 there. Where a run goes on from a saved file into the same folder, TensorBoard hides what was
    written for later epochs before.

    It needs tensorboardX: `pip install "fastgd[tensorboard]"`.

    Parameters
    ----------
    log_dir : path
        The folder of this run, made where it is missing; runs in folders beside one another are shown together.

    Raises
    ------
    ImportError
        Without tensorboardX.
    OSError
        When `fit` begins, where the folder cannot be written.

    Examples
    --------
    >>> import fastgd as gd
    >>> log = gd.callbacks.TensorBoard("runs/adam")  # doctest: +SKIP
    >>> trainer.fit(X, y, epochs=10, callbacks=[log])  # doctest: +SKIP
    """

    def __init__(self, log_dir: str | os.PathLike) -> None:
        try:
            from tensorboardX import SummaryWriter
        except ImportError as error:
            raise ImportError(
                "callbacks.TensorBoard needs tensorboardX; expected pip install 'fastgd[tensorboard]'"
            ) from error
        self.log_dir = os.fsdecode(log_dir)
        if not self.log_dir:
            raise ValueError("log_dir is empty; expected the name of a folder")
        if os.path.isfile(self.log_dir):
            raise NotADirectoryError(f"log_dir is {self.log_dir!r}, a file; expected a folder")
        self._open = SummaryWriter
        self._writer: Any = None

    def on_begin(self, trainer: "Trainer") -> None:
        """Open a file in the folder."""
        n_epochs = len(trainer.history)
        # tensorboardX counts in seconds, of which several calls of `fit` may need one: later files would take the
        # place of earlier ones. They are read in the order of their names.
        name = f".{time.time_ns()}.{os.getpid()}"
        purged = {"purge_step": n_epochs + 1} if n_epochs else {}
        self._writer = self._open(self.log_dir, filename_suffix=name, flush_secs=_FLUSHED_EVERY, **purged)

    def __call__(self, trainer: "Trainer", record: EpochRecord) -> None:
        """Write an epoch."""
        for name, value in scalars(record).items():
            self._writer.add_scalar(name, value, record.epoch)

    def on_end(self, trainer: "Trainer", error: BaseException | None) -> None:
        """Close the file."""
        self._writer.close()
        self._writer = None

    def __repr__(self) -> str:
        return f"TensorBoard({self.log_dir!r})"


def scalars(record: EpochRecord) -> dict[str, float]:
    """The numbers of an epoch, by name, that it has: all but its own number."""
    return {name: value for name, value in record.by_name().items() if name != "epoch" and value is not None}
