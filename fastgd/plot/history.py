"""Pictures of what a run remembers of its epochs."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from fastgd.data import checks
from fastgd.history import History
from fastgd.losses import name_of
from fastgd.plot.axes import (
    GREEN,
    GREY,
    PURPLE,
    VERMILLION,
    axes_for,
    blue_on,
    marker_of,
    number,
    single_axes,
    spans_decades,
)
from fastgd.trainer import Trainer

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# How high the panels of metrics and of the rate are, where that of the loss is 1.
_HEIGHT_OF_METRIC, _HEIGHT_OF_RATE = 0.6, 0.4


@overload
def learning_curve(
    run: History | Trainer,
    *,
    noise_loss: float | None = ...,
    best_epoch: int | None = ...,
    metrics: Sequence[str] | None = ...,
    ax: "Axes",
) -> "Axes": ...
@overload
def learning_curve(
    run: History | Trainer,
    *,
    noise_loss: float | None = ...,
    best_epoch: int | None = ...,
    metrics: Sequence[str] | None = ...,
    ax: "Sequence[Axes] | np.ndarray | None" = ...,
) -> np.ndarray: ...
def learning_curve(
    run: History | Trainer,
    *,
    noise_loss: float | None = None,
    best_epoch: int | None = None,
    metrics: Sequence[str] | None = None,
    ax: "Axes | Sequence[Axes] | np.ndarray | None" = None,
) -> "Axes | np.ndarray":
    """The losses of each epoch; below them, each metric and the learning rate.

    The loss of training is the mean over the epoch, each row taken before the update that it led to; that of validation
    is taken after the epoch, and so often the lower of the two at first. The scale is logarithmic where numbers span a
    factor of 20. In the panel of the rate, epochs that "auto" has taken back are marked.

    Parameters
    ----------
    run : History or Trainer
        Of one epoch at least. With a Trainer the losses are called by their name.
    noise_loss : float, optional
        The loss that the noise in the targets leaves to a perfect model, as in the `noise_loss` of synthetic data.
    best_epoch : int, optional
        The epoch to mark, from 1, such as `EarlyStopping.best_epoch`; by default that of the lowest validation loss, or
        none without validation data.
    metrics : sequence of str, optional
        Those to show, of `run.history.metrics`; by default all.
    ax : Axes or sequence of Axes, optional
        A single one shows the losses alone; several are for the losses, the metrics and, where epochs have one, the
        learning rate, in this order.

    Returns
    -------
    Axes, or ndarray of Axes, (n_panels,)
        The single one that was given, or all panels from the top.

    Raises
    ------
    ValueError, TypeError
        For a run without epochs, an epoch or a metric that it does not have, or other axes than these.
    ImportError
        Without matplotlib.

    Examples
    --------
    >>> import fastgd as gd
    >>> data = gd.data.synthetic(n_samples=10_000, n_features=10, noise=0.1)
    >>> trainer = gd.Trainer(gd.Model([gd.Linear(10, 1), gd.ReLU()]), optimizer=gd.SGD(0.01), batch_size=16)
    >>> history = trainer.fit(data, epochs=5, validation=0.2)
    >>> losses, rate = gd.plot.learning_curve(trainer, noise_loss=data.noise_loss)
    >>> losses.figure.savefig("run.png")  # doctest: +SKIP
    """
    history = _history_of(run)
    epochs = np.arange(1, len(history) + 1)
    shown = [] if metrics is None else [checks.choice(name, "metrics", history.metrics) for name in metrics]
    shown = list(history.metrics) if metrics is None else shown
    rates = _numbers(history.learning_rate)
    is_single = _is_axes(ax)
    panels, heights = ["the losses"], [1.0]
    if not is_single:
        has_rates = not np.isnan(rates).all()
        panels += shown + ["the learning rate"] * has_rates
        heights += [_HEIGHT_OF_METRIC] * len(shown) + [_HEIGHT_OF_RATE] * has_rates
    size = (6.4, 4.8 if len(panels) == 1 else 3.2 * sum(heights) + 0.6)
    axes = axes_for(ax, panels, nrows=len(panels), sharex=True, height_ratios=heights, figsize=size)
    marked = _draw_losses(axes[0], run, epochs, noise_loss, best_epoch)
    # A figure of the user's own has room for one line.
    axes[0].set_ylabel(_name_of_loss(run, separator="\n" if ax is None else " "))
    for panel, name in zip(axes[1:], shown if not is_single else [], strict=False):
        _draw_metric(panel, epochs, name, history.metrics[name], marked)
    if len(axes) > 1 + len(shown):
        _draw_rates(axes[-1], epochs, rates, history)
    from matplotlib.ticker import MaxNLocator

    axes[-1].set_xlabel("epoch")
    axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))
    return axes[0] if is_single else np.array(axes)


def _is_axes(ax: Any) -> bool:
    return ax is not None and not isinstance(ax, Sequence | np.ndarray)


def _draw_losses(
    ax: "Axes", run: History | Trainer, epochs: np.ndarray, noise_loss: float | None, best_epoch: int | None
) -> int | None:
    """Draw them, and return the epoch that is marked."""
    history = _history_of(run)
    loss, validation = _numbers(history.loss), _numbers(history.validation_loss)
    marker, blue = marker_of(len(epochs)), blue_on(ax)
    ax.plot(epochs, loss, color=blue, marker=marker, markersize=4, label="training, mean during the epoch")
    has_validation = not np.isnan(validation).all()
    if has_validation:
        style: dict[str, Any] = {"color": VERMILLION, "linestyle": "--", "marker": marker, "markersize": 4}
        ax.plot(epochs, validation, label="validation, after the epoch", **style)
    if best_epoch is not None:
        best_epoch = checks.integer(best_epoch, "best_epoch", 1)
        if best_epoch > len(epochs):
            raise ValueError(f"best_epoch is {best_epoch} and the run has {len(epochs)} epochs; expected one of them")
    elif has_validation:
        best_epoch = int(epochs[np.nanargmin(validation)])
    if best_epoch is not None:
        value = validation[best_epoch - 1]
        value = loss[best_epoch - 1] if np.isnan(value) else value
        color, label = VERMILLION if has_validation else blue, f"best epoch: {best_epoch}, {number(value)}"
        ax.plot(best_epoch, value, "o", color=color, markersize=11, fillstyle="none", label=label)
    floor = []
    if noise_loss is not None:
        floor = [checks.non_negative(noise_loss, "noise_loss")]
        ax.axhline(*floor, color=GREY, linestyle=":", label=f"noise floor: {number(noise_loss)}")
    if spans_decades(loss, validation, floor):
        ax.set_yscale("log")
    ax.legend()
    return best_epoch


def _draw_metric(ax: "Axes", epochs: np.ndarray, name: str, values: list[float], marked: int | None) -> None:
    ax.plot(epochs, values, color=GREEN, marker=marker_of(len(epochs)), markersize=4)
    if marked is not None:
        ax.plot(marked, values[marked - 1], color=GREEN, marker="o", markersize=11, fillstyle="none")
    ax.set_ylabel("R²" if name == "r2" else name)


def _draw_rates(ax: "Axes", epochs: np.ndarray, rates: np.ndarray, history: History) -> None:
    ax.plot(epochs, rates, color=PURPLE, marker=marker_of(len(epochs)), markersize=4)
    for index, epoch in enumerate(sorted({setback.epoch for setback in history.setbacks})):
        ax.axvline(epoch, color=GREY, linestyle=":", label="taken back and tried again" if index == 0 else None)
    if history.setbacks:
        ax.legend()
    if spans_decades(rates):
        ax.set_yscale("log")
    else:
        # Rates that differ by rounding alone would be all of the axis.
        highest = np.nanmax(rates)
        ax.set_ylim(0, 1.05 * highest if highest > 0 else None)
    ax.set_ylabel("learning rate")


def throughput(run: History | Trainer, n_samples: int | None = None, *, ax: "Axes | None" = None) -> "Axes":
    """Rows that were trained on a second, epoch by epoch, against the seconds of training so far.

    Each epoch is as wide as it took, validation, metrics and callbacks not counted. A first one that took longer than
    all others together, as where kernels were compiled, stands in the title instead.

    Parameters
    ----------
    run : History or Trainer
        Of one epoch at least.
    n_samples : int, optional
        The rows of an epoch, at least 1. Without it, epochs a second are shown.
    ax : Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    ValueError, TypeError
        For a run without epochs, or arguments that are not as above.
    ImportError
        Without matplotlib.

    Examples
    --------
    >>> import fastgd as gd
    >>> data = gd.data.synthetic(n_samples=10_000, n_features=10)
    >>> history = gd.Trainer(gd.Model([gd.Linear(10, 1), gd.ReLU()])).fit(data, epochs=5)
    >>> ax = gd.plot.throughput(history, data.n_samples)
    """
    seconds = np.array(_history_of(run).seconds)
    rows = 1 if n_samples is None else checks.integer(n_samples, "n_samples", 1)
    ax = single_axes(ax)
    from matplotlib.ticker import EngFormatter

    speed = rows / np.maximum(seconds, np.finfo(np.float64).tiny)
    edges = np.concatenate([[0], np.cumsum(seconds)])
    unit, shown = "epochs" if n_samples is None else "rows", EngFormatter(places=1)
    ax.stairs(speed, edges, baseline=None, color=blue_on(ax), linewidth=1.5)
    if len(seconds) > 1 and seconds[0] > seconds[1:].sum():
        ax.set_xlim(edges[1], edges[-1])
        ax.set_title(f"not shown: the first epoch, {number(seconds[0], 3)} s, {shown(speed[0])} {unit} a second")
        speed = speed[1:]
    median = np.median(speed)
    ax.axhline(median, color=GREY, linestyle=":", label=f"median of {len(speed)} epochs: {shown(median)}")
    ax.yaxis.set_major_formatter(EngFormatter())
    ax.set_ylim(bottom=0)
    ax.set_xlabel("seconds of training")
    ax.set_ylabel(f"{unit} a second")
    ax.legend()
    return ax


def _history_of(run: Any) -> History:
    history = run.history if isinstance(run, Trainer) else run
    if not isinstance(history, History):
        hint = ", such as its trainer_" if hasattr(run, "trainer_") else ""
        raise TypeError(f"run is {run!r}; expected a History or a Trainer{hint}")
    if not history:
        raise ValueError("the run has no epochs yet; expected it after trainer.fit(...)")
    return history


def _name_of_loss(run: History | Trainer, separator: str) -> str:
    if isinstance(run, History):
        return "loss"
    name = name_of(run.loss).replace("_", " ")
    return f"{name}{separator}of standardised targets" if run.model.standardized_targets is not None else name


def _numbers(values: Sequence[float | None]) -> np.ndarray:
    """As an array, with NaN for None."""
    return np.array([np.nan if value is None else value for value in values], np.float64)
