"""What pictures have in common: what they take, and the axes to draw into.

matplotlib is imported when the first is drawn.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgd.model import Model

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# The palette of Okabe and Ito, less the colours that white swallows.
BLUE, VERMILLION, GREEN, PURPLE, SKY_BLUE = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9"
#: Neither background swallows it.
GREY = "0.5"
# Where the largest is so many times the smallest, a logarithmic scale shows more.
_MANY_TIMES = 20
# Points of longer curves would run into one another.
_FEW_POINTS = 30


def require_model(model: Any) -> None:
    """Raise a TypeError for anything but a Model."""
    if not isinstance(model, Model):
        hint = ", such as its model_" if hasattr(model, "model_") else ""
        raise TypeError(f"model is {model!r}; expected a Model{hint}")


def single_axes(ax: "Axes | None") -> "Axes":
    """The axes that were given, or those of a new figure."""
    return axes_for(ax, ["the picture"])[0]


def axes_for(ax: "Axes | Sequence[Axes] | np.ndarray | None", panels: Sequence[str], **layout: Any) -> "list[Axes]":
    """Axes for panels: those that were given, or those of a new figure.

    panels : their names, for errors          layout : of a new figure, as `pyplot.subplots` takes it
    """
    pyplot = _pyplot()
    from matplotlib.axes import Axes

    if ax is None:
        _, axes = pyplot.subplots(squeeze=False, layout="constrained", **layout)
        return list(axes.flat)
    given = [ax] if isinstance(ax, Axes) else list(np.ravel(np.asarray(ax, object)))
    if len(given) != len(panels) or not all(isinstance(each, Axes) for each in given):
        expected = "a matplotlib Axes" if len(panels) == 1 else f"{len(panels)} Axes, for {', '.join(panels)}"
        raise TypeError(f"ax is {ax!r}; expected {expected}, as pyplot.subplots() gives them")
    return given


def _pyplot() -> Any:
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise ImportError("fastgd.plot needs matplotlib; expected pip install 'fastgd[plot]'") from error
    return pyplot


def blue_on(ax: "Axes") -> str:
    """The blue that stands out from the axes' background."""
    from matplotlib.colors import to_rgba

    *rgb, opacity = to_rgba(ax.get_facecolor())
    return SKY_BLUE if opacity > 0 and np.dot(rgb, (0.2126, 0.7152, 0.0722)) < 0.5 else BLUE


def number(value: float, digits: int = 4) -> str:
    """As text that stands beside mathematics."""
    return f"{value:.{digits}g}".replace("-", "−")


def marker_of(n_points: int) -> str | None:
    """What marks the points of a curve, where there are few; without it a single one would not be seen."""
    return "o" if n_points <= _FEW_POINTS else None


def spans_decades(*values: Any) -> bool:
    """Whether numbers, NaN apart, are all positive and some twenty times as large as others."""
    numbers = np.concatenate([np.ravel(each) for each in values]).astype(np.float64)
    numbers = numbers[~np.isnan(numbers)]
    return bool(numbers.size and numbers.min() > 0 and numbers.max() >= _MANY_TIMES * numbers.min())
