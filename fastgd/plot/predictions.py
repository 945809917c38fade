"""Pictures of predictions beside what is true."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from fastgd import labels
from fastgd.data import checks
from fastgd.losses import Loss, LossName, kind_of
from fastgd.model import Model
from fastgd.plot.axes import GREEN, GREY, PURPLE, VERMILLION, blue_on, single_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# More points than these hide one another: their density says more.
_MOST_POINTS = 5000
# Of more classes, numbers would be too small to read.
_MOST_COUNTS, _MOST_SHARES = 20, 8
_MARKERS = "os^D"


def predicted(
    model: Any, X: ArrayLike, y: ArrayLike, *, loss: LossName | Loss | None = None, ax: "Axes | None" = None
) -> "Axes":
    """What is predicted against what is true: a point for each row and output, or their density for more than 5000.

    On the diagonal, predictions are right.

    Parameters
    ----------
    model : Model, or an estimator of `fastgd.sklearn`
        Or anything else with a `predict`.
    X : array of shape (n_samples, in_features)
        As for `model.predict`.
    y : array of shape (n_samples, n_outputs), or (n_samples,) for one output
        The targets, numbers.
    loss : str, or what a function of `fastgd.losses` returns, optional
        "poisson" for a Model that was trained by it, whose outputs are logarithms of what it predicts; needless where
        `set_classes` has told it.
    ax : Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    ValueError, TypeError
        For targets that are no numbers, or not one for each prediction; and as in `model.predict`.
    ImportError
        Without matplotlib.

    Examples
    --------
    >>> import fastgd as gd
    >>> X, y = gd.data.synthetic(n_samples=1000, n_features=5, noise=0.1).arrays()
    >>> model = gd.Model([gd.Linear(5, 1), gd.ReLU()])
    >>> history = gd.Trainer(model, optimizer=gd.SGD(0.01)).fit(X, y, epochs=5)
    >>> ax = gd.plot.predicted(model, X, y)
    """
    true = np.asarray(checks.real_array(y, "y"), np.float64)
    found = np.asarray(model.predict(X), np.float64)
    if true.size != found.size or len(true) != len(found):
        raise ValueError(f"y has shape {true.shape} and predictions {found.shape}; expected a target for each of them")
    true, found = true.reshape(len(true), -1), found.reshape(len(found), -1)
    if not np.isfinite(true).all():
        raise ValueError("y holds a NaN or infinity")
    labels = getattr(model, "labels", None)
    if (loss is not None and kind_of(loss).link == "log") or (loss is None and labels is not None and labels.are_rates):
        found = np.exp(found)
    ax = single_axes(ax)
    low, high = min(true.min(), found.min()), max(true.max(), found.max())
    margin = 0.03 * (high - low or abs(high) or 1.0)
    ends = [low - margin, high + margin]
    if true.size > _MOST_POINTS:
        density = ax.hexbin(
            true.ravel(), found.ravel(), gridsize=50, extent=(*ends, *ends), mincnt=1, bins="log", cmap="viridis"
        )
        ax.figure.colorbar(density, ax=ax, label="predictions in a cell")
    else:
        colors = [blue_on(ax), VERMILLION, GREEN, PURPLE]
        for k, (targets, predictions) in enumerate(zip(true.T, found.T, strict=True)):
            style: dict[str, Any] = {"marker": _MARKERS[k % 4], "color": colors[k % 4], "linestyle": "none"}
            name = f"output {k}" if true.shape[1] > 1 else None
            ax.plot(targets, predictions, markersize=3, alpha=0.5, label=name, **style)
    ax.plot(ends, ends, "--", color=GREY, label="predicted = true")
    ax.set(xlim=ends, ylim=ends, xlabel="true target", ylabel="predicted target", aspect="equal")
    ax.legend()
    return ax


def confusion_matrix(model: Any, X: ArrayLike, y: ArrayLike, *, ax: "Axes | None" = None) -> "Axes":
    """How many rows of each true class are predicted to be of each: true classes down, predicted ones across.

    Each row of the picture is coloured by shares of its true class, so that rare classes are seen as well.

    Parameters
    ----------
    model : Model with classes, or a classifier of `fastgd.sklearn`
        Or any other with `classes_` and `predict`.
    X : array of shape (n_samples, in_features)
        As for `model.predict`.
    y : array of shape (n_samples,)
        The true labels, each one of the model's.
    ax : Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    ValueError, TypeError
        For a model without classes, a label that it does not know, by its row, or another number of labels than rows.
    ImportError
        Without matplotlib.

    Examples
    --------
    >>> import fastgd as gd
    >>> X, numbers = gd.data.synthetic(n_samples=1000, n_features=5).arrays()
    >>> y = ["large" if number > 1 else "small" for number in numbers]
    >>> model = gd.Model([gd.Linear(5, 2)])
    >>> model.set_classes(gd.labels.classes_of(y), "cross_entropy")
    >>> encoded = gd.labels.encode(y, model.classes, "cross_entropy")
    >>> history = gd.Trainer(model, "cross_entropy", gd.SGD(0.1)).fit(X, encoded, epochs=5)
    >>> ax = gd.plot.confusion_matrix(model, X, y)
    """
    is_model = isinstance(model, Model)
    classes = model.classes if is_model else getattr(model, "classes_", None)
    if classes is None:
        raise ValueError(f"{type(model).__name__} has no classes; expected a Model after set_classes, or a classifier")
    true = labels.encode(y, classes, "cross_entropy").astype(np.intp)
    found = model.predict_classes(X) if is_model else model.predict(X)
    if len(found) != len(true):
        raise ValueError(f"y has {len(true)} labels and X {len(found)} rows; expected a label for each row")
    found = labels.encode(found, classes, "cross_entropy", "predictions").astype(np.intp)
    counts = np.zeros((len(classes),) * 2, np.int64)
    np.add.at(counts, (true, found), 1)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)

    ax = single_axes(ax)
    image = ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    ax.figure.colorbar(image, ax=ax, label="share of the true class's rows")
    if len(classes) <= _MOST_COUNTS:
        for (i, j), count in np.ndenumerate(counts):
            share = f"\n{shares[i, j]:.1%}" if len(classes) <= _MOST_SHARES else ""
            # What the colours are read on is the picture itself, whatever the style.
            color = "white" if shares[i, j] > 0.65 else "black"
            ax.text(j, i, f"{count}{share}", color=color, ha="center", va="center")
    names = [str(each) for each in classes.tolist()]
    are_long = sum(map(len, names)) > 40
    places = range(len(names)) if len(names) <= _MOST_COUNTS else None
    if places is not None:
        turned: dict[str, Any] = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if are_long else {}
        ax.set_xticks(places, names, **turned)
        ax.set_yticks(places, names)
    ax.set_xlabel("predicted class")
    ax.set_ylabel("true class")
    return ax
