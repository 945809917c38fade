"""What is shown on stderr while training goes on. That it cannot be shown never ends training."""

import contextlib
import sys
from typing import Any


def show_line(line: str) -> None:
    """Print a line on stderr, if that takes it."""
    screen = _Screen(sys.stderr)
    screen.write(f"{line}\n")
    screen.flush()


class ProgressBar:
    """A tqdm bar over rows, or nothing.

    n_rows : int, of all epochs          shown : whether there is a bar
    """

    def __init__(self, n_rows: int, shown: bool) -> None:
        self._bar = None
        if shown:
            from tqdm import tqdm

            screen = _Screen(sys.stderr)
            # Where it writes to stderr, tqdm flushes stdout first, which may be closed or full.
            with contextlib.suppress(Exception):
                self._bar = tqdm(total=n_rows, unit="row", unit_scale=True, dynamic_ncols=True, file=screen)

    def __enter__(self) -> "ProgressBar":
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def advance(self, n_rows: int, loss: float) -> None:
        """Show that so many rows more were trained on, and the mean loss."""
        if self._bar is not None:
            self._bar.set_postfix(loss=f"{loss:.4g}", refresh=False)
            self._bar.update(n_rows)


class _Screen:
    """A stream that shows what it can: closed, full, or a pipe that nobody reads, it shows nothing."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        # Whatever a stream of the user's own raises, too.
        with contextlib.suppress(Exception):
            self._stream.write(text)

    def flush(self) -> None:
        with contextlib.suppress(Exception):
            self._stream.flush()

    def __eq__(self, other: object) -> bool:
        # So tqdm knows stderr, and takes the bar away while something else is printed there.
        return self._stream is other

    __hash__ = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
