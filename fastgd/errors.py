"""Errors and warnings that are fastgd's own; bad input raises ValueError or TypeError."""

import os
import sys
import warnings
from pathlib import Path
from types import FrameType

_HERE = str(Path(__file__).parent) + os.sep


class DivergenceError(ArithmeticError, ValueError):
    """Training stopped being finite. The model keeps its last finite parameters. Also a ValueError, as scikit-learn's.

    Examples
    --------
    >>> import fastgd as gd
    >>> trainer = gd.Trainer(gd.Model([gd.Linear(1, 1)], dtype="float64"), optimizer=gd.SGD(1e6))
    >>> try:
    ...     trainer.fit([[1.0]] * 100, [1.0] * 100)
    ... except gd.DivergenceError as error:
    ...     print(str(error).partition(":")[0])
    training diverged at epoch 1, step 26, with learning rate 1e+06
    """


class UsageWarning(UserWarning):
    """A call is valid, and probably a mistake.

    `warnings.filterwarnings("ignore", category=gd.UsageWarning)` silences it.

    Examples
    --------
    >>> import warnings
    >>> import fastgd as gd
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     prediction = gd.Model([gd.Linear(1, 1)]).predict([[1]])
    >>> print(str(caught[0].message).partition(";")[0])
    predict was called on a model with the random weights that it began with
    """


def warn(message: str, category: type[Warning] = UsageWarning) -> None:
    """Warn of a use, at the line from which fastgd was called, or scikit-learn that called it."""
    depth, frame = 1, sys._getframe()
    while frame.f_back is not None and _is_inside(frame):
        depth, frame = depth + 1, frame.f_back
    warnings.warn(message, category, stacklevel=depth)


def _is_inside(frame: FrameType) -> bool:
    return frame.f_code.co_filename.startswith(_HERE) or frame.f_globals.get("__name__", "").startswith("sklearn.")
