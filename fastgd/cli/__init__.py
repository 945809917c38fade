"""The command line: `fastgd train | predict | trace | export | warmup | info`.

What trains is imported inside the commands: `fastgd --help` should not wait for a compiler.
"""

import argparse
import sys
import traceback
import warnings
from collections.abc import Sequence

from fastgd._engine.progress import show_line
from fastgd.cli.arguments import parser
from fastgd.cli.checkpoint import Terminated
from fastgd.cli.output import flush_stderr, in_options, lost_stdout, one_line, stdout_left_to
from fastgd.errors import DivergenceError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status, as `fastgd --help` lists them."""
    try:
        options = parser().parse_args(arguments)
        with stdout_left_to(getattr(options, "out", None)):
            return _run(options)
    finally:
        # What is left to the interpreter's end fails there without a word that could be caught.
        with lost_stdout():
            if sys.stdout is not None:
                sys.stdout.flush()
        flush_stderr()


def _run(options: argparse.Namespace) -> int:
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            return options.run(options)
    except Terminated as error:
        show_line(_with_notes("fastgd: terminated", error))
        return 143
    except KeyboardInterrupt as error:
        show_line(_with_notes("fastgd: interrupted", error))
        return 130
    except DivergenceError as error:
        show_line(f"fastgd: {one_line(error)}")
        return 1
    except MemoryError as error:
        show_line(f"fastgd: error: not enough memory ({one_line(error) or 'no more is free'})")
        return 2
    except (ValueError, TypeError, OSError, ImportError) as error:
        show_line(f"fastgd: error: {in_options(one_line(error))}")
        return 2
    except Exception:
        show_line(f"{traceback.format_exc()}fastgd: this is a fault of fastgd's own; please report the lines above")
        return 3


def _with_notes(line: str, error: BaseException) -> str:
    """A line, and what else there is to say of an error."""
    return "; ".join([line, *map(one_line, getattr(error, "__notes__", []))])


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    show_line(f"fastgd: warning: {in_options(one_line(message))}")
