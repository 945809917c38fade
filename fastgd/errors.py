"""Errors and warnings that are fastgd's own; bad input raises ValueError or TypeError."""

import sys
import warnings
from pathlib import Path

_HERE = str(Path(__file__).parent)


class DivergenceError(ArithmeticError):
    """Training stopped being finite. The model keeps its last finite parameters."""


class UsageWarning(UserWarning):
    """What was asked for can be done, and is hardly what was meant.

    `warnings.filterwarnings("ignore", category=gd.UsageWarning)` silences it.
    """


def warn(message: str) -> None:
    """Warn of a use, at the line from which fastgd was called."""
    depth, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_HERE):
        depth, frame = depth + 1, frame.f_back
    warnings.warn(message, UsageWarning, stacklevel=depth)
