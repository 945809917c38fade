"""The arrays that .npy files hold: features, and targets that may be words."""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from fastgd.cli.output import rows_files

if TYPE_CHECKING:
    import numpy as np

    from fastgd import Dataset
    from fastgd.data import Stream


class Arrays(NamedTuple):
    """What the files of a data set hold; `file` is where the targets are.

    y : all targets, or, of rows that are not .npy, the first of them
    rows : the data set itself, without targets where these are words in .npy
    """

    file: str
    y: "np.ndarray"
    rows: "Dataset | Stream"


def npy_arrays(options: argparse.Namespace, X: str) -> Arrays:
    """Those of X.npy, or of a folder that has one; `y` is None where no targets were named."""
    from fastgd import data

    y, weights = options.target, getattr(options, "sample_weight", None)
    if options.features or options.drop or options.categories or options.fill_nulls or options.column_names:
        raise ValueError(
            f"--features, --drop, --categories, --fill-nulls or --column-names, and {X} has no names; expected none"
        )
    if Path(X).is_dir():
        if y or weights:
            raise ValueError(f"{X} is a folder and brings its own y.npy; expected no --target and no --sample-weight")
        X, y, weights = rows_files(X)
        weights = weights if Path(weights).exists() else None
    Path(X).stat()
    for option, path in (("--target", y), ("--sample-weight", weights)):
        if path is not None and os.path.exists(path) and os.path.samefile(X, path):
            raise ValueError(f"{option} is {path}, which holds the features; expected another file")
    targets = None if y is None else data.map_array(y)
    are_strings = targets is not None and targets.dtype.kind in "US"
    rows = data.open(X, target=None if are_strings else y, sample_weight=weights)
    if are_strings and len(targets) != rows.n_samples:
        raise ValueError(f"{y} has {len(targets)} rows and {X} has {rows.n_samples}; expected as many")
    return Arrays(y, targets, rows)
