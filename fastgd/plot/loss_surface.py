"""Pictures of the loss as a function of the parameters."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from fastgd.data import checks
from fastgd.data.as_dataset import as_dataset
from fastgd.data.base import Dataset
from fastgd.losses import Loss, LossName
from fastgd.model import Model
from fastgd.plot.axes import (
    GREEN,
    GREY,
    VERMILLION,
    blue_on,
    marker_of,
    number,
    require_model,
    single_axes,
    spans_decades,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: A parameter by its place in `model.parameters`, or as in ("0.weight", 0, 2), by names that `model.tensors()` has.
Weight = int | tuple[Any, ...]

# How far the tangent picture reaches at most, in steps: beyond, a step could not be seen.
_MOST_STEPS = 8
_N_POINTS = 201
# How many roundings a default picture is wide and high, at least.
_LEAST_ROUNDINGS = 500


def tangent(
    model: Model,
    X: ArrayLike | Dataset,
    y: ArrayLike | None = None,
    *,
    weight: Weight,
    learning_rate: float,
    loss: LossName | Loss = "half_squared_error",
    sample_weight: ArrayLike | None = None,
    span: float | None = None,
    ax: "Axes | None" = None,
) -> "Axes":
    """The mean loss of some rows along one weight w, its tangent, and the step ŵ = w - learning_rate · ∂loss/∂w.

    All other parameters stay as they are, and so does the model. It takes some 200 passes over the rows.

    Parameters
    ----------
    model : Model
    X, y, sample_weight
        Rows as for `Model.loss`: the batch of the step, or a single row.
    weight : int, or tuple of a name and indices
        The place of the weight in `model.parameters`, or as in ("0.weight", 0, 2): row 0 and column 2 of the weight of
        layer 0. A bias is a weight, too.
    learning_rate : float
        At least 0.
    loss : str, or what a function of `fastgd.losses` returns
    span : float, optional
        How far from w the picture reaches, more than 0; by default past the step and the minimum that the slope leads
        to, if that is not too far away, and no less than what shows more than rounding of the model's dtype.
    ax : Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    ValueError, TypeError, IndexError
        For a weight that the model does not have, and for rows as in `Model.loss`.
    ImportError
        Without matplotlib.

    Examples
    --------
    The third row of the worked example, whose loss has a kink where the neuron stands:

    >>> import fastgd as gd
    >>> neuron = gd.Model([gd.Linear(3, 1, bias=False), gd.ReLU()], dtype="float64")
    >>> neuron.layers[0].weight[:] = [[1 / 200, -3000 / 11_600_000, 1 / 5800]]
    >>> ax = gd.plot.tangent(neuron, [[0, 2000, 3000]], [1], weight=2, learning_rate=1e-7)
    """
    require_model(model)
    dataset = as_dataset(X, y, sample_weight)
    place, name = _place_of(model, weight, "weight")
    learning_rate = checks.non_negative(learning_rate, "learning_rate")
    if span is not None:
        span = checks.positive(span, "span")
    at = model.parameters.astype(np.float64)

    def along(value: float) -> tuple[float, float]:
        """Loss and slope where the weight has this value."""
        parameters = at.copy()
        parameters[place] = value
        mean, gradient = model.loss_and_gradient(dataset, loss=loss, parameters=parameters)
        return mean, float(gradient[place])

    w = float(at[place])
    here, slope = along(w)
    step = -learning_rate * slope
    there = along(w + step)[0]
    if span is None:
        span = max(_span(along, w, slope, step), _least_span(model.dtype, w, here, slope))
    values = w + np.linspace(-span, span, _N_POINTS)
    losses = np.array([along(value)[0] for value in values])

    ax = single_axes(ax)
    ax.plot(values, losses, color=blue_on(ax), linewidth=2, label="loss")
    low, high = min(losses.min(), here, there), max(losses.max(), here, there)
    margin = 0.1 * (high - low or abs(high) or 1.0)
    # Of the tangent alone, what leaves the picture is left out.
    ax.set_ylim(low - margin, high + margin)
    ends = np.array([w - span, w + span])
    ax.plot(ends, here + slope * (ends - w), "--", color=VERMILLION, label=f"tangent, slope ∂loss/∂w = {number(slope)}")
    ax.plot(w, here, "o", color=VERMILLION, markersize=8, label=f"w = {number(w)}, loss {number(here, 6)}")
    after = f"ŵ = w − {number(learning_rate)} · slope = {number(w + step)}, loss {number(there, 6)}"
    ax.plot(w + step, there, "s", color=GREEN, markersize=8, label=after)
    ax.plot([w + step, w + step], [here, there], ":", color=GREY)
    arrow: dict[str, Any] = {
        "arrowstyle": "-|>",
        "color": GREEN,
        "linewidth": 2,
        "shrinkA": 0,
        "shrinkB": 0,
        "mutation_scale": 15,
    }
    ax.annotate("", xy=(w + step, here), xytext=(w, here), arrowprops=arrow)
    ax.set_xlim(w - span, w + span)
    ax.set_xlabel(f"w, which is {name}")
    ax.set_ylabel("loss")
    ax.legend()
    return ax


def _span(along: Callable[[float], tuple[float, float]], w: float, slope: float, step: float) -> float:
    """How far to look on either side: past the step, and past where the slope would end if it went on to fall."""
    if step == 0:
        return abs(w) or 1.0
    change = slope - along(w + step)[1]
    # The slope is zero after so many steps like this one, if it falls towards zero at all.
    n_steps = slope / change if change * slope > 0 else 1.0
    return 1.5 * min(max(n_steps, 1.0), _MOST_STEPS) * abs(step)


def _least_span(dtype: np.dtype, w: float, loss: float, slope: float) -> float:
    """How far to look for the picture to show more than rounding of the weight and of the loss."""
    return _LEAST_ROUNDINGS * float(np.finfo(dtype).eps) * max(abs(w), abs(loss / slope) if slope else 0.0)


def descent_path(
    model: Model,
    path: Sequence[ArrayLike] | np.ndarray,
    X: ArrayLike | Dataset,
    y: ArrayLike | None = None,
    *,
    directions: tuple[Weight | np.ndarray, Weight | np.ndarray] | None = None,
    loss: LossName | Loss = "half_squared_error",
    sample_weight: ArrayLike | None = None,
    resolution: int = 41,
    ax: "Axes | None" = None,
) -> "Axes":
    """The way of the parameters, over the mean loss in the plane through its end.

    Colours show the loss in that plane: of two parameters it is the loss itself; of more, the path is seen from above,
    each point where it is nearest to the plane. It takes resolution² passes over the rows.

    Parameters
    ----------
    model : Model
        Stays as it is.
    path : array of shape (n_points, n_parameters)
        `model.parameters` at some moments, from the first to the last; at least two.
    X, y, sample_weight
        Rows as for `Model.loss`.
    directions : pair of weights, or of arrays of shape (n_parameters,), optional
        What spans the plane: two weights, as for `tangent`, or two directions that are not parallel. By default the two
        parameters, where the model has no more, or else the principal directions of the path, of which there must be
        three points at least.
    loss : str, or what a function of `fastgd.losses` returns
    resolution : int
        Points along each side of the picture at which the loss is taken, at least 2.
    ax : Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    ValueError, TypeError, IndexError
        For a path or directions that are not as above, and for rows as in `Model.loss`.
    ImportError
        Without matplotlib.

    Examples
    --------
    >>> import fastgd as gd
    >>> X, y = gd.data.synthetic(n_samples=200, n_features=2, seed=1).arrays()
    >>> model = gd.Model([gd.Linear(2, 1, bias=False, init="zeros")])
    >>> path = [model.parameters.copy()]
    >>> trainer = gd.Trainer(model, optimizer=gd.SGD(0.1), batch_size=None)
    >>> history = trainer.fit(X, y, epochs=20, callbacks=[lambda *_: path.append(model.parameters.copy())])
    >>> ax = gd.plot.descent_path(model, path, X, y)
    """
    require_model(model)
    dataset = as_dataset(X, y, sample_weight)
    resolution = checks.integer(resolution, "resolution", 2)
    points = _checked_path(model, path)
    basis, origin, names = _plane(model, points, directions)
    along = np.linalg.lstsq(basis.T, (points - points[-1]).T, rcond=None)[0].T + origin
    sides = [_side(along[:, k], along[:, 1 - k], resolution) for k in range(2)]
    surface = np.empty((resolution, resolution))
    for row, b in enumerate(sides[1]):
        for column, a in enumerate(sides[0]):
            parameters = points[-1] + (np.array([a, b]) - origin) @ basis
            surface[row, column] = model.loss_and_gradient(dataset, loss=loss, parameters=parameters)[0]

    ax = single_axes(ax)
    _draw_surface(ax, sides[0], sides[1], surface)
    ax.plot(*along.T, color="white", linewidth=3)
    ax.plot(*along.T, color=VERMILLION, linewidth=1.5, marker=marker_of(len(along)), markersize=4, label="path")
    edge: dict[str, Any] = {"markeredgecolor": "white", "markersize": 10, "linestyle": "none"}
    ax.plot(*along[0], marker="s", color=VERMILLION, label="beginning", **edge)
    ax.plot(*along[-1], marker="*", color=VERMILLION, label="end", **edge | {"markersize": 15})
    ax.set_xlabel(names[0])
    ax.set_ylabel(names[1])
    ax.legend()
    return ax


def _checked_path(model: Model, path: Any) -> np.ndarray:
    points = np.asarray(checks.real_array(path, "path"), np.float64)
    if points.ndim != 2 or points.shape[1] != model.parameters.size or len(points) < 2:
        raise ValueError(
            f"path has shape {points.shape}; expected (n_points, {model.parameters.size}), model.parameters at two "
            "moments or more"
        )
    if not np.isfinite(points).all():
        raise ValueError("path holds a NaN or infinity")
    return points


def _plane(
    model: Model, points: np.ndarray, directions: Sequence[Any] | None
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """What spans the plane, (2, n_parameters); the coordinates of the path's end in it, (2,); what they are called."""
    n_parameters = model.parameters.size
    if directions is None and n_parameters == 2:
        directions = (0, 1)
    if directions is None:
        if len(points) < 3 or n_parameters < 3:
            raise ValueError(
                f"path has {len(points)} points of {n_parameters} parameters; expected directions, a pair of weights "
                "or of arrays, to draw fewer than three of either"
            )
        _, sizes, right = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)
        shares = sizes[:2] ** 2 / max((sizes**2).sum(), np.finfo(np.float64).tiny)
        ordinals = zip(("first", "second"), shares, strict=True)
        names = [f"{ordinal} principal direction, {share:.1%} of the path's variance" for ordinal, share in ordinals]
        return right[:2], np.zeros(2), names
    if not isinstance(directions, Sequence | np.ndarray) or len(directions) != 2:
        raise ValueError(f"directions is {directions!r}; expected a pair of weights, or of arrays ({n_parameters},)")
    basis, origin, names = np.zeros((2, n_parameters)), np.zeros(2), ["first direction", "second direction"]
    for k, given in enumerate(directions):
        if isinstance(given, np.ndarray | list):
            direction = np.asarray(checks.real_array(given, f"directions[{k}]"), np.float64)
            if direction.shape != (n_parameters,):
                raise ValueError(f"directions[{k}] has shape {direction.shape}; expected ({n_parameters},)")
            basis[k] = direction
        else:
            place, names[k] = _place_of(model, given, f"directions[{k}]")
            basis[k, place], origin[k] = 1.0, points[-1, place]
    if np.linalg.matrix_rank(basis) < 2:
        raise ValueError("directions span no plane; expected two that are not zero and not parallel")
    return basis, origin, names


def _side(values: np.ndarray, others: np.ndarray, resolution: int) -> np.ndarray:
    """The places along a side of the picture: those of the path and a quarter more on either side."""
    extent = np.ptp(values)
    # A path that goes straight along the other side is not to be seen through a slit.
    margin = max(0.25 * extent, 0.1 * np.ptp(others), np.finfo(np.float32).eps * np.abs(values).max(), 1e-12)
    return np.linspace(values.min() - margin, values.max() + margin, resolution)


def _draw_surface(ax: "Axes", a: np.ndarray, b: np.ndarray, surface: np.ndarray) -> None:
    from matplotlib.colors import LogNorm

    low, high = surface.min(), surface.max()
    if spans_decades(surface):
        levels, norm = np.geomspace(low, high, 25), LogNorm(low, high)
    else:
        levels, norm = np.linspace(low, high if high > low else low + 1, 25), None
    filled = ax.contourf(a, b, surface, levels=levels, norm=norm, cmap="cividis")
    bar = ax.figure.colorbar(filled, ax=ax, label="loss")
    if norm is not None:
        from matplotlib.ticker import LogFormatterSciNotation, LogLocator

        bar.ax.yaxis.set_major_locator(LogLocator())
        bar.ax.yaxis.set_major_formatter(LogFormatterSciNotation())


def _place_of(model: Model, weight: Any, argument: str) -> tuple[int, str]:
    """The place of a weight among the parameters, and its name, as in 0.weight[0, 2]."""
    begin = 0
    tensors = {name: tensor for name, tensor in model.tensors().items() if name.endswith((".weight", ".bias"))}
    is_name = isinstance(weight, tuple | str)
    if not is_name:
        place = checks.integer(weight, argument, 0)
        if place >= model.parameters.size:
            size = model.parameters.size
            raise IndexError(f"{argument} is {weight} and the model has {size} parameters; expected less than {size}")
    for name, tensor in tensors.items():
        if isinstance(weight, tuple) and weight and weight[0] == name:
            indices = tuple(checks.integer(index, argument, 0) for index in weight[1:])
            if len(indices) != tensor.ndim or any(np.array(indices) >= tensor.shape):
                raise IndexError(
                    f"{argument} is {weight!r} and {name} has shape {tensor.shape}; expected a place in it"
                )
            return begin + int(np.ravel_multi_index(indices, tensor.shape)), _shown(name, indices)
        if not is_name and place < begin + tensor.size:
            return place, _shown(name, np.unravel_index(place - begin, tensor.shape))
        begin += tensor.size
    first = next(iter(tensors))
    raise ValueError(
        f"{argument} is {weight!r}; expected a place in model.parameters, or one of {', '.join(tensors)} with indices, "
        f"as in ({first!r}, 0, 0)"
    )


def _shown(name: str, indices: Sequence[Any]) -> str:
    return f"{name}[{', '.join(str(int(index)) for index in indices)}]"
