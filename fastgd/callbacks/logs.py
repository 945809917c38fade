"""Callbacks that write the numbers of each epoch into files."""

import contextlib
import json
import math
import os
import socket
import time
from collections.abc import Iterator
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
        with atomic_files.errors_about(self.path), open(self.path, "ab") as file:
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
        Where the folder cannot be written, when `fit` begins; where the disk is full, after an epoch or at the end.

    Examples
    --------
    >>> import fastgd as gd
    >>> log = gd.callbacks.TensorBoard("runs/adam")  # doctest: +SKIP
    >>> trainer.fit(X, y, epochs=10, callbacks=[log])  # doctest: +SKIP
    """

    def __init__(self, log_dir: str | os.PathLike) -> None:
        try:
            from tensorboardX import RecordWriter
        except ImportError as error:
            raise ImportError(
                "callbacks.TensorBoard needs tensorboardX; expected pip install 'fastgd[tensorboard]'"
            ) from error
        self.log_dir = os.fsdecode(log_dir)
        if not self.log_dir:
            raise ValueError("log_dir is empty; expected the name of a folder")
        if os.path.isfile(self.log_dir):
            raise NotADirectoryError(f"log_dir is {self.log_dir!r}, a file; expected a folder")
        self._open = RecordWriter
        self._file: Any = None
        self._flushed_at = 0.0

    def on_begin(self, trainer: "Trainer") -> None:
        """Open a file in the folder."""
        from tensorboardX.proto.event_pb2 import Event, SessionLog

        with atomic_files.errors_about(self.log_dir):
            if "://" not in self.log_dir:
                os.makedirs(self.log_dir, exist_ok=True)
            # Several calls of `fit` may begin in one second; files are read in the order of their names.
            name = f"events.out.tfevents.{time.time_ns()}.{socket.gethostname()}.{os.getpid()}"
            self._file = self._open(os.path.join(self.log_dir, name))
        self._write(Event(file_version="brain.Event:2"))
        n_epochs = len(trainer.history)
        if n_epochs:
            self._write(Event(step=n_epochs + 1, session_log=SessionLog(status=SessionLog.START)))

    def __call__(self, trainer: "Trainer", record: EpochRecord) -> None:
        """Write an epoch."""
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.summary import scalar

        for name, value in scalars(record).items():
            self._write(Event(step=record.epoch, summary=scalar(name, value)))
        if time.monotonic() - self._flushed_at >= _FLUSHED_EVERY:
            with self._errors_end_it():
                self._file.flush()
            self._flushed_at = time.monotonic()

    def on_end(self, trainer: "Trainer", error: BaseException | None) -> None:
        """Close the file."""
        if self._file is not None:
            with self._errors_end_it():
                self._file.flush()
            self._file.close()
            self._file = None

    def _write(self, event: Any) -> None:
        event.wall_time = time.time()
        with self._errors_end_it():
            self._file.write(event.SerializeToString())

    @contextlib.contextmanager
    def _errors_end_it(self) -> Iterator[None]:
        """What cannot be written, as on a full disk, closes the file."""
        try:
            with atomic_files.errors_about(self.log_dir):
                yield
        except OSError:
            file, self._file = self._file, None
            with contextlib.suppress(OSError):
                file.close()
            raise

    def __repr__(self) -> str:
        return f"TensorBoard({self.log_dir!r})"


def scalars(record: EpochRecord) -> dict[str, float]:
    """The numbers of an epoch, by name, that it has: all but its own number."""
    return {name: value for name, value in record.by_name().items() if name != "epoch" and value is not None}
