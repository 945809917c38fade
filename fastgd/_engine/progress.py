"""What is shown on stderr while training goes on, and what the logger "fastgd" hears of it.

That it cannot be shown never ends training.
"""

import contextlib
import logging
import sys
from collections.abc import Callable, Iterator
from typing import Any, Literal

from fastgd.history import EpochRecord, Setback

ProgressMode = bool | Literal["epochs"]

logger = logging.getLogger("fastgd")
# Who has set up no logging is told nothing.
logger.addHandler(logging.NullHandler())


def show_line(line: str) -> None:
    """Print a line on stderr, if that takes it."""
    screen = _Screen(sys.stderr)
    screen.write(f"{line}\n")
    screen.flush()


class Progress:
    """What a call of `Trainer.fit` shows: a tqdm bar over rows, a line for each epoch, or nothing.

    mode : True for the bar, "epochs" for the lines, or False; any other is a ValueError
    """

    def __init__(self, mode: ProgressMode) -> None:
        if mode not in (True, False, "epochs"):
            raise ValueError(f"progress is {mode!r}; expected True, False or 'epochs'")
        self._shows_lines = mode == "epochs"
        self._shows_bar = bool(mode) and not self._shows_lines
        self._bar: Any = None
        self._last_epoch = 0
        self._numbers: dict[str, str] = {}

    def found_rate(self, learning_rate: float) -> None:
        """Say which rate "auto" has found."""
        logger.info('learning rate "auto": %.4g', learning_rate)
        if self._shows_bar or self._shows_lines:
            show_line(f'learning rate "auto": {learning_rate:.4g}')

    @contextlib.contextmanager
    def over(self, n_rows: int | None, last_epoch: int) -> Iterator[None]:
        """Training goes on inside.

        n_rows : of all epochs, or None where that is not known
        last_epoch : the number of the last one, if nothing stops training before
        """
        self._last_epoch = last_epoch
        if self._shows_bar:
            # Where it writes to stderr, tqdm flushes stdout first, which may be closed or full; a notebook may lack
            # what its bar is made of.
            with contextlib.suppress(Exception):
                from tqdm.auto import tqdm

                screen = _Screen(sys.stderr)
                self._bar = tqdm(total=n_rows, unit="row", unit_scale=True, dynamic_ncols=True, file=screen)
        try:
            yield
        finally:
            if self._bar is not None:
                with contextlib.suppress(Exception):
                    self._bar.close()

    @property
    def on_rows(self) -> Callable[[int, float], None] | None:
        """What is to be called with the number of rows trained on and the mean loss; None where nobody looks."""
        return self.advance if self._bar is not None else None

    @property
    def is_silent(self) -> bool:
        """Whether nobody sees or hears of an epoch."""
        return self._bar is None and not self._hears_of_epochs

    @property
    def _hears_of_epochs(self) -> bool:
        return self._shows_lines or logger.isEnabledFor(logging.DEBUG)

    def advance(self, n_rows: int, loss: float) -> None:
        """Show that so many rows more were trained on, and the mean loss of the epoch so far."""
        self._show_numbers(loss=f"{loss:.4g}")
        with contextlib.suppress(Exception):
            self._bar.update(n_rows)

    def after_epoch(self, record: EpochRecord) -> None:
        """Show how an epoch went."""
        if self._bar is not None:
            validation = {} if record.validation_loss is None else {"validation_loss": record.validation_loss}
            numbers = {"loss": record.loss} | validation | record.metrics
            self._show_numbers(**{name: f"{number:.4g}" for name, number in numbers.items()})
        if self._hears_of_epochs:
            line = f"epoch {record.epoch}/{self._last_epoch}: {_in_words(record)}"
            logger.debug("%s", line)
            if self._shows_lines:
                show_line(line)

    def _show_numbers(self, **numbers: str) -> None:
        self._numbers |= numbers
        with contextlib.suppress(Exception):
            self._bar.set_postfix(self._numbers, refresh=False)


def log_setback(setback: Setback) -> None:
    """Say that "auto" has taken an epoch back."""
    logger.info(
        "epoch %d was taken back, as %s; learning rates are multiplied by %.4g from here on",
        *setback,
    )


def _in_words(record: EpochRecord) -> str:
    numbers = record.by_name()
    del numbers["epoch"], numbers["seconds"]
    words = [f"{name} {number:.4g}" for name, number in numbers.items() if number is not None]
    return ", ".join([*words, f"{record.seconds:.3g} s"])


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
