"""The losses as a curve in the terminal, drawn by plotext while training goes on."""

import os
import shutil
import sys
import time
from typing import TYPE_CHECKING, Any

from fastgd._engine.progress import show_line

if TYPE_CHECKING:
    from fastgd import Trainer
    from fastgd.history import EpochRecord, History

# Characters: a wider or higher curve shows no more.
_MOST_COLUMNS, _MOST_LINES = 100, 20
# Seconds between two pictures, so that short epochs are trained and not drawn.
_INTERVAL = 0.1
_N_TICKS = 5


def can_draw() -> bool:
    """Whether stderr is a terminal that shows curves, and moves its cursor where it is told."""
    screen = sys.stderr
    try:
        if screen is None or not screen.isatty() or os.environ.get("TERM") == "dumb":
            return False
        "⣿┤".encode(screen.encoding or "ascii")
    except (UnicodeEncodeError, ValueError):
        return False
    return True


class LiveCurve:
    """A callback that draws the losses of all epochs so far on stderr, each picture in the place of the one before.

    n_epochs : how many there will be, for the axis

    Raises
    ------
    ImportError
        Without plotext.
    """

    def __init__(self, n_epochs: int) -> None:
        _plotext()
        self._n_epochs = n_epochs
        self._n_lines = 0
        self._drawn_at = -_INTERVAL
        self._last_drawn = 0

    def __call__(self, trainer: "Trainer", record: "EpochRecord") -> None:
        """Draw, if the last picture is not too new."""
        if time.monotonic() - self._drawn_at >= _INTERVAL:
            self._draw(trainer.history)

    def on_end(self, trainer: "Trainer", error: BaseException | None) -> None:
        """Draw what the last picture does not have yet."""
        if len(trainer.history) > self._last_drawn:
            self._draw(trainer.history)

    def _draw(self, history: "History") -> None:
        columns, lines = shutil.get_terminal_size()
        width, height = min(columns - 1, _MOST_COLUMNS), min(lines - 2, _MOST_LINES)
        picture = curve(history, max(len(history), self._n_epochs), width, height, "NO_COLOR" not in os.environ)
        # Up to the first line of the picture before, and nothing left of it.
        again = f"\x1b[{self._n_lines}A\x1b[J" if self._n_lines else ""
        show_line(again + picture)
        self._n_lines = picture.count("\n") + 1
        self._drawn_at, self._last_drawn = time.monotonic(), len(history)


def curve(history: "History", n_epochs: int, width: int, height: int, has_colors: bool) -> str:
    """The losses of training and validation as lines of text.

    history : of one epoch at least          n_epochs : where the axis ends
    width, height : in characters            has_colors : whether by ANSI sequences
    """
    import numpy as np

    from fastgd.plot.axes import spans_decades

    plotext = _plotext()
    losses = {
        "training": np.array(history.loss, np.float64),
        "validation": np.array([np.nan if loss is None else loss for loss in history.validation_loss], np.float64),
    }
    known = np.concatenate(list(losses.values()))
    low, high = np.nanmin(known), np.nanmax(known)
    is_logarithmic = spans_decades(known)
    scale = np.log10 if is_logarithmic else np.asarray
    ticks = np.geomspace(low, high, _N_TICKS) if is_logarithmic else np.linspace(low, high, _N_TICKS)
    epochs = np.unique(np.linspace(1, n_epochs, _N_TICKS).round()).astype(int).tolist()

    figure = plotext.figure
    figure.clear()
    plotext.terminal.limit(False, False)
    figure.plot_size(width, height)
    figure.theme("colorless")
    for (name, values), color in zip(losses.items(), ("blue+", "orange"), strict=True):
        is_known = ~np.isnan(values)
        if is_known.any():
            x, y = np.flatnonzero(is_known) + 1, scale(values[is_known])
            marker = plotext.marker("braille", pixel=plotext.pixel(color))
            # More points than the screen has dots would be drawn over one another.
            step = -max(1, len(x) // (2 * width))
            signal = figure.signal(x[::step].tolist(), y[::step].tolist(), marker=marker).lines(True)
            figure.draw(signal.label(f"{name} {values[is_known][-1]:.4g}"))
    figure.ruler("x").lim(1, max(n_epochs, 2))
    figure.ruler("x").ticks(epochs, [str(epoch) for epoch in epochs])
    figure.ruler("y").ticks(scale(ticks).tolist(), [f"{tick:.3g}" for tick in ticks])
    figure.label("epoch", axis="x")
    figure.title(f"loss after epoch {len(history)} of {n_epochs}")
    # Losses fall: the upper right corner is free.
    figure.legend(True, max(n_epochs, 2), float(scale(high)), ha="right", va="top", relative=True)
    return figure.build().string(colorless=not has_colors).rstrip("\n")


def _plotext() -> Any:
    try:
        import plotext
    except ImportError as error:
        raise ImportError("--live needs plotext; expected pip install 'fastgd[plot]'") from error
    if not hasattr(plotext, "figure"):
        raise ImportError("--live needs plotext 6 or later; expected pip install 'fastgd[plot]'")
    return plotext
