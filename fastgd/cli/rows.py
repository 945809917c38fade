"""The rows that `fastgd train` learns from, and what their targets are taken for."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from fastgd.cli.output import rows_files, say

if TYPE_CHECKING:
    import numpy as np

    from fastgd import Dataset
    from fastgd.losses import Loss

# A synthetic data set of up to this size is made once and kept; a larger one is made anew in each epoch.
_KEPT_BYTES = 1 << 30
# Integers are taken for measurements where they have more values than this.
_FEW_VALUES = 20


class Rows(NamedTuple):
    """What there is to learn from.

    validation : the rows to judge by, or None where none were asked for
    classes : (n_classes,), the labels that the numbers in the data stand for, or None
    noise_loss : the loss that synthetic rows leave to a perfect model
    """

    data: "Dataset"
    validation: "Dataset | None"
    classes: "np.ndarray | None" = None
    noise_loss: float | None = None


class Arrays(NamedTuple):
    """What the files of a data set hold, memory-mapped; `file` is where the targets are."""

    file: str
    X: "np.ndarray"
    y: "np.ndarray"
    sample_weight: "np.ndarray | None"


def arrays_of(options: argparse.Namespace) -> Arrays | None:
    """The arrays of the files that were given; None for synthetic rows."""
    from fastgd.data import map_array

    X, y, weights = options.X, options.target, options.sample_weight
    if X is None:
        if y or weights:
            raise ValueError("--target or --sample-weight without X; expected fastgd train X.npy --target Y.npy")
        return None
    if Path(X).is_dir():
        if y or weights:
            raise ValueError(f"{X} is a folder and brings its own y.npy; expected no --target and no --sample-weight")
        X, y, weights = rows_files(X)
        weights = weights if Path(weights).exists() else None
    elif y is None:
        raise ValueError(f"no targets for {X}; expected --target Y.npy")
    return Arrays(y, map_array(X), map_array(y), None if weights is None else map_array(weights))


def task_of(options: argparse.Namespace, arrays: Arrays | None) -> str:
    """Whether targets are numbers or classes: "regression" or "classification".

    arrays : of the files, or None for synthetic rows
    """
    from fastgd import labels, losses

    of_loss = None
    if options.loss is not None:
        of_loss = "classification" if losses.takes_classes(options.loss) else "regression"
    if options.task != "auto" and of_loss not in (None, options.task):
        others = losses.OF_CLASSES if options.task == "classification" else set(losses.LOSSES) - set(losses.OF_CLASSES)
        raise ValueError(
            f"--task is {options.task} and --loss is {options.loss}, of {of_loss}; expected one of "
            f"{', '.join(sorted(others))}"
        )
    task = of_loss if options.task == "auto" else options.task
    if task is None:
        task = "classification" if arrays is not None and labels.are_words(arrays.y) else "regression"
    if task == "classification" and arrays is None:
        raise ValueError("synthetic targets are numbers; expected a loss of numbers, or X.npy --target Y.npy")
    if task == "regression" and arrays is not None and arrays.y.dtype.kind in "US":
        said, instead = f"--loss is {options.loss}, of numbers", "--loss cross_entropy"
        if options.task == "regression":
            said, instead = "--task is regression", "--task classification"
        raise ValueError(
            f"{arrays.file} holds strings, as {labels.shown(arrays.y.ravel()[:1])}, and {said}; expected {instead}, or "
            "numbers"
        )
    return task


def synthetic_rows(options: argparse.Namespace) -> Rows:
    """Rows of a teacher network, and, where asked for, some of them to judge by."""
    import fastgd as gd

    data = gd.data.synthetic(
        *options.synthetic, hidden=options.hidden, noise=options.noise, seed=options.seed, dtype=options.dtype
    )
    size = data.n_samples * (data.n_features + data.n_outputs) * data.dtype.itemsize
    say(
        f"data         {data.n_samples} rows x {data.n_features} features, synthetic, {size / 1e6:.0f} MB, "
        + ("kept in memory" if size <= _KEPT_BYTES else "made anew in each epoch")
    )
    kept = gd.data.ArrayDataset(*data.arrays()) if size <= _KEPT_BYTES else data
    return Rows(*_with_validation(options, kept, None, None), noise_loss=data.noise_loss)


def rows_of_files(options: argparse.Namespace, arrays: Arrays, loss: "Loss") -> Rows:
    """The rows of files, with labels as the loss wants them, and those to judge by."""
    from fastgd import labels
    from fastgd.data.arrays import ArrayDataset

    y, classes = arrays.y, None
    if options.task == "classification" and not _are_as_wanted(y, loss):
        classes = labels.classes_of(y, arrays.file)
        y = labels.encode(y, classes, loss, arrays.file)
    dataset = ArrayDataset(arrays.X, y, arrays.sample_weight)
    return Rows(*_with_validation(options, dataset, classes, loss), classes)


def _are_as_wanted(y: "np.ndarray", loss: "Loss") -> bool:
    """Whether the loss takes these targets as they are: some strictly between 0 and 1, or several columns."""
    from fastgd import losses

    targets = losses.kind_of(loss).targets
    if y.dtype.kind in "US" or targets == "a class":
        return False
    if y.ndim == 2 and y.shape[1] > 1:
        return True
    is_within = targets == "in [0, 1]" and y.dtype.kind == "f" and bool(((y >= 0) & (y <= 1)).all())
    return is_within and bool(((y > 0) & (y < 1)).any())


def _with_validation(
    options: argparse.Namespace, dataset: "Dataset", classes: "np.ndarray | None", loss: "Loss | None"
) -> "tuple[Dataset, Dataset | None]":
    """The rows to train on and those to judge by."""
    import numpy as np

    from fastgd import data, labels
    from fastgd.data.subset import split

    given = options.validation
    if given is None:
        return dataset, None
    if len(given) == 2:
        y = data.map_array(given[1])
        y = y if classes is None else labels.encode(y, classes, loss, given[1])
        return dataset, data.ArrayDataset(data.map_array(given[0]), y)
    try:
        share = float(given[0])
    except ValueError:
        share = None
    if share is None or len(given) > 1:
        raise ValueError(f"--validation is {' '.join(given)}; expected a share of the rows, as in 0.2, or X.npy Y.npy")
    return split(dataset, share, np.random.default_rng([options.seed, 0, 1]))


def may_be_classes(y: "np.ndarray") -> bool:
    """Whether targets look like class labels in numbers: few integers, each in several rows."""
    import numpy as np

    some = y[:100_000]
    if some.size != len(some) or some.dtype.kind not in "iuf":
        return False
    values = np.unique(some)
    return 2 <= len(values) <= min(_FEW_VALUES, len(some) // 5) and bool((values == np.floor(values)).all())
