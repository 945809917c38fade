"""The speeds of the report's table as a picture. Needs matplotlib: `pip install fastgd[plot]`."""

from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

COLOURS = {"fastgd": "#1f6feb", "NumPy": "#a3aab3"}
INK, GREY = "#1f2328", "#59636e"


def draw(speeds: dict[str, dict[str, float]], path: Path) -> None:
    """Horizontal bars on a log scale.

    speeds : for each workload, each library's speed as a multiple of pure Python's
    """
    figure = Figure(figsize=(8.5, 0.7 * len(speeds) + 1.4), layout="constrained", facecolor="white")
    axes = figure.subplots()
    height = 0.36
    for row, speeds_here in enumerate(speeds.values()):
        for side, (library, colour) in zip((-1, 1), COLOURS.items(), strict=True):
            speed, place = speeds_here[library], row + side * height / 2
            axes.barh(place, speed, height * 0.92, color=colour)
            label = f"{float(f'{speed:.2g}'):,.0f}×"
            if row == 0:
                label += f"  {library}"
            weight = "bold" if library == "fastgd" else "normal"
            axes.annotate(
                label, (speed, place), (5, 0), textcoords="offset points", va="center", color=INK, weight=weight
            )
    axes.set_xscale("log")
    # Room for the longest bar's label.
    axes.set_xlim(1, 5 * max(max(here.values()) for here in speeds.values()))
    axes.set_yticks(range(len(speeds)), labels=list(speeds), color=INK)
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", which="both", colors=GREY, length=0)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}×")
    axes.grid(axis="x", color="#d9dee3", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)
    figure.suptitle("Training speed as a multiple of pure Python's", x=0.01, ha="left", color=INK, weight="bold")
    axes.set_xlabel("rows per second, pure Python = 1×, log scale", loc="left", color=GREY)
    with mpl.rc_context({"svg.hashsalt": "fastgd"}):
        metadata = {"Date": None} if path.suffix == ".svg" else None
        figure.savefig(path, dpi=150, metadata=metadata)
