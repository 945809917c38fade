"""`fastgd train --checkpoint`: runs that outlive what ends their process."""

import argparse
import contextlib
import os
import re
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any

from fastgd.cli.output import require_output, say

if TYPE_CHECKING:
    from fastgd import Trainer
    from fastgd.callbacks import Checkpoint


class Terminated(KeyboardInterrupt):
    """SIGTERM has come, which ends training as Ctrl-C does."""


def every(text: str) -> str | int:
    """What --every says: a time, or a number of updates."""
    if re.fullmatch(r"\d+", text):
        return int(text)
    if not re.fullmatch(r"(\d+\.?\d*|\.\d+)(s|min|h)", text):
        raise argparse.ArgumentTypeError(f"{text!r}; expected a time as 60s, 10min or 1h, or a number of updates")
    return text


def checkpoints(options: argparse.Namespace) -> "list[Checkpoint]":
    """The callback that saves the run, where one was asked for; an error where that is not to be."""
    import fastgd as gd
    from fastgd import storage

    path = options.checkpoint
    if path is None:
        if options.resume:
            raise ValueError("--resume without --checkpoint; expected --checkpoint RUN.safetensors, to go on from it")
        if options.every is not None:
            raise ValueError("--every without --checkpoint; expected --checkpoint RUN.safetensors, to save the run to")
        return []
    if os.path.exists(path) and not options.resume:
        raise ValueError(
            f"--checkpoint is {path}, which exists; expected --resume to go on from it, or the name of a new file"
        )
    if options.out is not None and os.path.realpath(path) == os.path.realpath(options.out):
        raise ValueError(f"--checkpoint and --out are both {path}; expected two files")
    # Before anything is compiled.
    storage.require_name(path)
    require_output(path, option="--checkpoint")
    return [gd.callbacks.Checkpoint(path, "60s" if options.every is None else options.every)]


def resumed(options: argparse.Namespace, trainer: "Trainer") -> "Trainer":
    """The run that --resume goes on with, or the new one where none was saved yet.

    trainer : as the options say; a ValueError where the saved run has other settings
    """
    if not options.resume or not os.path.exists(options.checkpoint):
        return trainer
    import fastgd as gd

    saved = gd.Trainer.load(options.checkpoint)
    before, now = _settings(saved), _settings(trainer)
    differences = [f"{name} {before[name]} and now {now[name]}" for name in now if before[name] != now[name]]
    if differences:
        raise ValueError(
            f"{options.checkpoint} was saved with {', '.join(differences)}; expected the options of that run, or "
            "another --checkpoint"
        )
    n_epochs = len(saved.history)
    made = "" if n_epochs < options.epochs else f": no more to do for --epochs {options.epochs}"
    say(f"resumed      {options.checkpoint}, after {n_epochs} epochs and {saved.n_updates} updates{made}")
    return saved


def note_checkpoint(options: argparse.Namespace, error: BaseException) -> None:
    """Note on what has ended a run from where it goes on, if it was saved."""
    if isinstance(error, KeyboardInterrupt) and options.checkpoint is not None and os.path.exists(options.checkpoint):
        error.add_note(f"the same command with --resume goes on from {options.checkpoint}")


def _settings(trainer: "Trainer") -> dict[str, Any]:
    names = ["loss", "optimizer", "batch_size", "shuffle", "seed", "alpha", "l1_ratio", "clip_value", "clip_norm"]
    names += ["max_norm", "average_from", "standardize_targets"]
    return {"model": repr(trainer.model)} | {name: repr(getattr(trainer, name)) for name in names}


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """Inside, SIGTERM does what Ctrl-C does, and raises Terminated in the end."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    has_come = False

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal has_come
        has_come = True
        # Where Ctrl-C waits for the end of a step, so does this.
        handler = signal.getsignal(signal.SIGINT)
        (handler if callable(handler) else signal.default_int_handler)(signal.SIGINT, frame)

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    except KeyboardInterrupt as error:
        if not has_come:
            raise
        terminated = Terminated()
        for note in getattr(error, "__notes__", []):
            terminated.add_note(note)
        raise terminated from None
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL if before is None else before)
