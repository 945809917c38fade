"""The learning curve of `fastgd train --plot`."""

import os
from typing import TYPE_CHECKING

from fastgd.cli.output import require_output, say

if TYPE_CHECKING:
    from fastgd import Trainer

# Dots an inch: 6.4 inches are 1280 pixels.
_RESOLUTION = 200


def require_picture(path: str | None, out: str | None, *inputs: str | None) -> None:
    """Raise an error where a picture cannot be drawn, or not be written to this file.

    out : the file of the model          inputs : those that are read
    """
    if path is None:
        return
    require_output(path, *inputs, option="--plot")
    if out is not None and os.path.realpath(path) == os.path.realpath(out):
        raise ValueError(f"--plot and --out are both {path}; expected two files")
    known = _kinds()
    if _kind_of(path) not in known:
        raise ValueError(f"--plot is {path}; expected a name that ends in one of .{', .'.join(sorted(known))}")


def draw(trainer: "Trainer", path: str | None, noise_loss: float | None) -> None:
    """Write the learning curve of a run, if that was asked for and there is an epoch to see."""
    if path is None or not trainer.history:
        return
    import matplotlib

    from fastgd import atomic_files, plot

    # No window is opened, and none needs to be there.
    matplotlib.use("agg")
    figure = plot.learning_curve(trainer, noise_loss=noise_loss)[0].figure
    with atomic_files.atomic_write(path) as file:
        figure.savefig(file, format=_kind_of(path), dpi=_RESOLUTION)
    say(f"picture      {path}")


def _kind_of(path: str) -> str:
    return os.path.splitext(path)[1].lower().removeprefix(".")


def _kinds() -> list[str]:
    """The kinds of files that can be written."""
    try:
        from matplotlib.backend_bases import FigureCanvasBase
    except ImportError as error:
        raise ImportError("--plot needs matplotlib; expected pip install 'fastgd[plot]'") from error
    return list(FigureCanvasBase.filetypes)
