"""What the commands write: the report on stdout, and the file that --out names."""

import contextlib
import os
import re
import shlex
import sys
from collections.abc import Iterator
from typing import TextIO

from fastgd._engine.progress import show_line

_NAME = r"""(?P<name>'[^']*'|"[^"]*")"""
# Arguments of `fastgd.data.open`, as its errors call them, and what they are here.
_OPTIONS = {
    rf"drop=\[{_NAME}\]": "--drop {}",
    r"features=\[\.\.\.\]": "--features NAME,...",
    r"features=\['', \.\.\.\]": "--features ,NAME,...",
    rf"features=\[{_NAME}, \.\.\.\]": "--features {},NAME,...",
    r"column_names=\[\.\.\.\]": "--column-names NAME,...",
    r"by name, a table's are gd\.data\.open.*model\.feature_names\)\]": "fastgd info MODEL.safetensors shows all",
    rf"categories=\{{{_NAME}: 'auto'\}}": "--categories {}",
    rf"categories=\{{{_NAME}: 64\}}": "--categories {}=64",
    r"categories='auto'": "--categories auto",
    "zero_based=True or zero_based=False": "--zero-based or --no-zero-based",
    r"handle_unknown='ignore'": "--handle-unknown ignore",
    rf"fill_nulls=\{{{_NAME}: 'mean'\}}": "--fill-nulls {}=mean",
    r"(?<!\S)fill_nulls(?!\S)": "--fill-nulls",
}


def one_line(message: Exception | str) -> str:
    """The text of an error or a warning without line breaks."""
    return " ".join(str(message).split())


def in_options(message: str) -> str:
    """A message with the options of the command line in place of Python's arguments."""
    for argument, option in _OPTIONS.items():
        message = re.sub(
            argument,
            lambda found, option=option: option.format(*(shlex.quote(name[1:-1]) for name in found.groups())),
            message,
        )
    return message


def say(line: str) -> None:
    """Print a line of the report on stdout; a run goes on where nobody reads it."""
    with lost_stdout():
        if sys.stdout is not None:
            # A path may have bytes that are no text.
            encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
            line = line.encode(encoding, "backslashreplace").decode(encoding)
            print(line, flush=True)


@contextlib.contextmanager
def lost_stdout() -> Iterator[None]:
    """Where stdout takes nothing more, it is put out of the way: the model is worth more than the report of it."""
    try:
        yield
    except (OSError, ValueError) as error:
        if not isinstance(error, BrokenPipeError):
            show_line(f"fastgd: nothing more can be written to stdout: {one_line(error)}")
        _discard(sys.stdout)


def flush_stderr() -> None:
    """Write what waits for stderr, if that takes it: else the interpreter would try at its end, and exit with 120."""
    try:
        if sys.stderr is not None:
            sys.stderr.flush()
    except (OSError, ValueError):
        _discard(sys.stderr)


def _discard(stream: TextIO) -> None:
    """Send what waits in a stream's buffer, and what follows, nowhere."""
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


@contextlib.contextmanager
def stdout_left_to(out: str | None) -> Iterator[None]:
    """Where the file to write is stdout itself, the report goes to stderr."""
    try:
        is_stdout = out is not None and os.path.samestat(os.stat(out), os.fstat(sys.stdout.fileno()))
    except (OSError, ValueError, AttributeError):
        is_stdout = False
    with contextlib.redirect_stdout(sys.stderr) if is_stdout else contextlib.nullcontext():
        yield


def require_output(path: str | None, *inputs: str | None, option: str = "--out") -> None:
    """Raise an error where a file cannot be written, or would take the place of one that is read."""
    if path is None:
        return
    if not path:
        raise ValueError(f"{option} is empty; expected the name of a file to write")
    for given in inputs:
        if given and os.path.exists(path) and os.path.exists(given) and os.path.samefile(path, given):
            raise ValueError(f"{option} is {path}, which is read; expected another file")
    from fastgd import atomic_files

    atomic_files.require_writable(path)


def rows_files(path: str) -> list[str]:
    """The files that hold rows: this one, or those in this folder."""
    if not os.path.isdir(path):
        return [path]
    if not os.path.exists(os.path.join(path, "X.npy")):
        return [entry.path for entry in os.scandir(path)]
    return [os.path.join(path, f"{name}.npy") for name in ("X", "y", "sample_weight")]
