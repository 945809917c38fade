"""The curves of `learning.py` as a picture. Needs matplotlib: `pip install fastgd[plot]`."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.peers import learning

# Okabe and Ito's, which all can tell apart.
COLOURS = {
    "fastgd": "#0072b2",
    "MLPRegressor, MLPClassifier": "#e69f00",
    "PyTorch": "#d55e00",
    "HistGradientBoosting": "#555555",
}
INK, GREY = "#1f2328", "#59636e"


def draw(found: dict[str, dict[str, list[learning.Curve]]], path: Path) -> None:
    """One panel a table: the score on rows held out against seconds of training, a line a seed."""
    figure = Figure(figsize=(10, 4.2), layout="constrained", facecolor="white")
    for axes, (name, curves) in zip(figure.subplots(1, len(found)), found.items(), strict=True):
        is_classes = learning.is_classes(name)
        for label, of_seeds in curves.items():
            draw_learner(axes, label, COLOURS[label], of_seeds)
        axes.set_xscale("log")
        axes.set_title(f"{learning.SETS[name]} ({name})", loc="left", color=INK, fontsize=10.5)
        axes.set_xlabel("seconds of training, one thread", color=GREY)
        axes.set_ylabel(f"{'accuracy' if is_classes else 'R²'} on rows held out", color=GREY)
        axes.xaxis.set_major_formatter(lambda seconds, _: f"{seconds:g}")
        axes.set_ylim(*limits(curves))
        axes.tick_params(colors=GREY, which="both")
        axes.grid(color="#d9dee3", linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
    figure.legend(*axes.get_legend_handles_labels(), frameon=False, labelcolor=INK, loc="outside lower center", ncols=4)
    figure.suptitle("A hidden layer of 64, no learning rate given", x=0.01, ha="left", color=INK, weight="bold")
    with mpl.rc_context({"svg.hashsalt": "fastgd"}):
        figure.savefig(path, dpi=150, metadata={"Date": None} if path.suffix == ".svg" else None)


def draw_learner(axes: Axes, label: str, colour: str, of_seeds: list[learning.Curve]) -> None:
    for number, curve in enumerate(of_seeds):
        seconds, scores = zip(*curve, strict=True)
        style = {"linewidth": 1.6} if len(curve) > 1 else {"marker": "D", "linestyle": "none"}
        axes.plot(seconds, scores, color=colour, alpha=0.85, label=label if number == 0 else None, **style)


def limits(curves: dict[str, list[learning.Curve]]) -> tuple[float, float]:
    """From what the slowest starts end at to a little above the best."""
    scores = np.concatenate([[score for _, score in curve] for of_seeds in curves.values() for curve in of_seeds])
    low, high = np.quantile(scores, 0.02), scores.max()
    return low - 0.1 * (high - low), high + 0.1 * (high - low)
