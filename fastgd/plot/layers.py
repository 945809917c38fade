"""Pictures of what stands in a model's layers, and of what they give."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from fastgd.activations import Activation, Dropout, Identity, ReLU
from fastgd.data import checks
from fastgd.layers import Linear
from fastgd.model import Model
from fastgd.plot.axes import BLUE, GREY, SKY_BLUE, VERMILLION, axes_for, require_model, single_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Sides of a picture, width to height.
_ASPECT = 4 / 3
# More names of features than this would lie on top of one another.
_MOST_NAMES = 40


def first_layer(
    model: Model, shape: tuple[int, int] | None = None, *, n_units: int = 64, ax: "Axes | None" = None
) -> "Axes":
    """The weights of the first Linear: an image for each unit, or a table of units and features.

    Red weights are above zero, blue ones below, all on one scale. Behind a Standardize layer they are those of
    standardised features; `model.fold()` has those of raw ones.

    Parameters
    ----------
    model : Model
    shape : (height, width), optional
        Of the images that the features are the pixels of, row by row. Without it, a row for each unit is drawn, and a
        column for each feature, under its name where the model knows up to 40 of them.
    n_units : int
        How many units to show at most, from the first on; a title says so where there are more.
    ax : Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    ValueError, TypeError
        For a shape that has not as many pixels as the layer has features, or a number of units below 1.
    ImportError
        Without matplotlib.

    Examples
    --------
    >>> import fastgd as gd
    >>> ax = gd.plot.first_layer(gd.Model([gd.Linear(64, 10)], seed=1), (8, 8))
    """
    require_model(model)
    linear = next(layer for layer in model.layers if isinstance(layer, Linear))
    shown = min(checks.integer(n_units, "n_units", 1), linear.out_features)
    weight = np.asarray(linear.weight[:shown], np.float64)
    if shape is not None:
        height, width = (checks.integer(side, "shape", 1) for side in _pair(shape))
        if height * width != linear.in_features:
            raise ValueError(
                f"shape is {shape!r}, of {height * width} pixels, and the layer has {linear.in_features} features; "
                "expected as many"
            )
        weight = _mosaic(weight.reshape(shown, height, width))
    ax = single_axes(ax)
    bound = float(np.nanmax(np.abs(weight))) or 1.0
    aspect: Literal["auto", "equal"] = "auto" if shape is None else "equal"
    image = ax.imshow(weight, cmap="RdBu_r", vmin=-bound, vmax=bound, aspect=aspect, interpolation="nearest")
    of = " of standardised features" if model.standardize is not None else ""
    ax.figure.colorbar(image, ax=ax, label=f"weight{of}")
    if shape is None:
        from matplotlib.ticker import MaxNLocator

        names = model.feature_names or ()
        if 0 < len(names) <= _MOST_NAMES:
            ax.set_xticks(range(len(names)), names, rotation=90)
        else:
            ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        ax.yaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        ax.set_xlabel("feature")
        ax.set_ylabel("unit")
    else:
        ax.set_axis_off()
    if shape is not None or shown < linear.out_features:
        of_all = f"{shown}" if shown == linear.out_features else f"the first {shown} of {linear.out_features}"
        ax.set_title(f"first layer: weights of {of_all} units" + (f", {height} × {width} each" if shape else ""))
    return ax


def _pair(shape: tuple[int, int]) -> tuple[int, int]:
    if not isinstance(shape, Sequence) or len(shape) != 2:
        raise ValueError(f"shape is {shape!r}; expected (height, width)")
    return shape


def _mosaic(images: np.ndarray) -> np.ndarray:
    """Images beside and below one another, (n, height, width) to (rows, columns), with NaN between them."""
    n, height, width = images.shape
    ideal = min(n, max(1, round(np.sqrt(n * _ASPECT * (height + 1) / (width + 1)))))
    # One near it may leave fewer places empty.
    n_columns = min(range(max(1, ideal - 2), min(n, ideal + 2) + 1), key=lambda c: (-n % c, abs(c - ideal)))
    n_rows = -(-n // n_columns)
    table = np.full((n_rows * (height + 1) - 1, n_columns * (width + 1) - 1), np.nan)
    for k, image in enumerate(images):
        row, column = k // n_columns * (height + 1), k % n_columns * (width + 1)
        table[row : row + height, column : column + width] = image
    return table


def activations(model: Model, X: ArrayLike, *, ax: "Sequence[Axes] | np.ndarray | None" = None) -> np.ndarray:
    """What each activation layer gives for some rows: how its outputs are spread, and which units are dead.

    A box goes from the first quartile of a layer's outputs to the third, with a line at the median and whiskers from
    the 5th percentile to the 95th. Beside it are the layer's units: dead where a unit is 0 for every row, always active
    where for none. A dead ReLU passes no gradient, and learns from none of these rows.

    Parameters
    ----------
    model : Model
        With an activation behind a Linear; Identity and Dropout are none.
    X : array of shape (n_samples, in_features)
        As for `model.predict`; the outputs of a layer for all rows are held in memory.
    ax : two Axes, optional

    Returns
    -------
    ndarray of Axes, (2,)

    Raises
    ------
    ValueError, TypeError
        For a model without activations, other axes than two, and for rows as in `model.predict`.
    ImportError
        Without matplotlib.

    Examples
    --------
    >>> import fastgd as gd
    >>> X, y = gd.data.synthetic(n_samples=1000, n_features=20).arrays()
    >>> model = gd.Model([gd.Linear(20, 64), gd.ReLU(), gd.Linear(64, 64), gd.ReLU(), gd.Linear(64, 1)])
    >>> history = gd.Trainer(model, optimizer=gd.SGD(0.01)).fit(X, y)
    >>> outputs, units = gd.plot.activations(model, X)
    """
    require_model(model)
    names, boxes, shares = [], [], []
    for index, layer, outputs in _outputs(model, X):
        names.append(f"{index}: {type(layer).__name__}, {outputs.shape[1]} units")
        low, first, median, third, high = (float(q) for q in np.percentile(outputs, [5, 25, 50, 75, 95]))
        boxes.append({"whislo": low, "q1": first, "med": median, "q3": third, "whishi": high, "fliers": []})
        is_active = outputs > 0
        dead, always = (~is_active.any(axis=0)).mean(), is_active.all(axis=0).mean()
        shares.append((dead, 1 - dead - always, always) if isinstance(layer, ReLU) else None)
    if not names:
        raise ValueError(f"{model!r} has no activation behind a Linear; expected one, such as ReLU")
    size = (7.2, 1.6 + 0.55 * len(names))
    panels = axes_for(ax, ["the outputs", "the units"], ncols=2, width_ratios=[3, 2], figsize=size)
    places = np.arange(len(names))
    panels[0].bxp(boxes, places, orientation="horizontal", widths=0.5, showfliers=False, **_lines())
    panels[0].set_yticks(places, names)
    panels[0].set_xlabel("outputs: quartiles, and 5 % to 95 %")
    _draw_units(panels[1], shares)
    for panel in panels:
        panel.set_ylim(len(names) - 0.5, -0.5)
    panels[1].set_yticks(places, [] if ax is None else names)
    return np.array(panels)


def _outputs(model: Model, X: ArrayLike) -> Iterator[tuple[int, Activation, np.ndarray]]:
    """Each activation with its place among the layers and its outputs, (n_samples, width)."""
    for index, layer in enumerate(model.layers):
        before = model.layers[: index + 1]
        if not isinstance(layer, Activation) or isinstance(layer, Identity | Dropout):
            continue
        if any(isinstance(each, Linear) for each in before):
            part = Model(before, model.dtype)
            part.parameters = model.parameters[: part.parameters.size]
            part.may_be_untrained = False
            yield index, layer, part.predict(X)


def _lines() -> dict[str, Any]:
    """What the lines of boxes look like: as the axes' own, on any background, but for the median."""
    from matplotlib import rcParams

    own = {name: {"color": rcParams["axes.edgecolor"]} for name in ("boxprops", "whiskerprops", "capprops")}
    return own | {"medianprops": {"color": VERMILLION, "linewidth": 2}}


def _draw_units(ax: "Axes", shares: list[tuple[float, float, float] | None]) -> None:
    kinds = [("dead: 0 for every row", VERMILLION), ("active for some rows", SKY_BLUE), ("active for every row", BLUE)]
    begin = np.zeros(len(shares))
    for k, (name, color) in enumerate(kinds):
        widths = np.array([100 * (share[k] if share else 0.0) for share in shares])
        ax.barh(np.arange(len(shares)), widths, 0.5, left=begin, color=color, label=name)
        begin += widths
    for place, share in enumerate(shares):
        if share is None:
            ax.text(50, place, "no ReLU", ha="center", va="center", color=GREY)
        elif share[0] > 0:
            beside = 100 * share[0] + 2
            ax.text(beside if beside < 60 else 2, place, f"{share[0]:.1%} dead", color="black", va="center")
    ax.set_xlim(0, 100)
    ax.set_xlabel("units in %")
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), fontsize="small")
