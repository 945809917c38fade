"""The rows that `fastgd train` learns from, and what their targets are taken for."""

import argparse
import contextlib
import glob
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from fastgd.cli.classes import Classes, are_as_wanted, class_weights, labels_in, require_no_class_weight
from fastgd.cli.npy_files import Arrays, npy_arrays
from fastgd.cli.output import say

if TYPE_CHECKING:
    from fastgd import Dataset
    from fastgd.data import Stream
    from fastgd.losses import Loss

# Synthetic rows and features, and the standard deviation of their noise.
_SYNTHETIC, _NOISE = (1_000_000, 100), 0.1

# A synthetic data set of up to this size is made once and kept; a larger one is made anew in each epoch.
_KEPT_BYTES = 1 << 30
# Tasks are told by so many targets.
_LOOKED_AT = 100_000


class Rows(NamedTuple):
    """What there is to learn from.

    validation : the rows to judge by, or None where none were asked for
    classes : those that the numbers in the data stand for, or None
    noise_loss : the loss that synthetic rows leave to a perfect model
    """

    data: "Dataset | Stream"
    validation: "Dataset | None"
    classes: Classes | None = None
    noise_loss: float | None = None


def is_npy(path: str) -> bool:
    """Whether a path is that of X.npy, or of a folder that has one."""
    is_missing = not os.path.exists(path) and not glob.has_magic(path)
    return path.endswith(".npy") or os.path.exists(os.path.join(path, "X.npy")) or is_missing


def names_in(text: str | None) -> list[str] | None:
    """The names of columns that are separated by commas."""
    return None if text is None else text.split(",")


def arrays_of(options: argparse.Namespace) -> Arrays | None:
    """The arrays of the files that were given; None for synthetic rows."""
    X, y, weights = options.X, options.target, options.sample_weight
    if X is None:
        if y or weights or options.class_weight:
            raise ValueError(
                "--target, --sample-weight or --class-weight without X; expected fastgd train X.npy --target Y.npy"
            )
        return None
    if options.synthetic is not None or options.noise is not None:
        raise ValueError(f"--synthetic or --noise, and X is {X}; expected either X or --synthetic")
    if not is_npy(X):
        return _opened(options)
    if y is None and not Path(X).is_dir():
        raise ValueError(f"no targets for {X}; expected --target Y.npy")
    return npy_arrays(options, X)


def _opened(options: argparse.Namespace) -> Arrays:
    """Rows of any files that `fastgd.data.open` takes; those of a stream in memory, unless they are too many."""
    import numpy as np

    from fastgd import data
    from fastgd.data import spooled
    from fastgd.data.base import Dataset

    labels = None
    if options.target is not None and options.target.endswith(".npy"):
        labels = data.map_array(options.target)
        # A data set has numbers alone.
        without_words = {"target": None} if labels.dtype.kind in "US" else {}
    else:
        options.categories, without_words = categories_of(options), {}
    rows = open_rows(options, options.X, **without_words)
    # Those that were found are those of any other rows, too.
    if hasattr(rows, "chosen"):
        options.categories, options.fill_nulls = list(rows.chosen.categories.items()), dict(rows.chosen.fills)
    if not isinstance(rows, Dataset):
        rows = spooled.in_memory_if_small(rows) or rows
    if labels is not None:
        return Arrays(options.target, labels, rows)
    if rows.n_outputs == 0:
        raise ValueError(f"no targets for {options.X}; expected --target NAME")
    if isinstance(rows, Dataset):
        from fastgd.data.subset import Subset

        first = Subset(rows, np.arange(min(rows.n_samples, _LOOKED_AT)))
        y = first.targets(np.dtype(np.float64)).y
    else:
        y = next(np.asarray(block.y) for block in rows.open() if len(block.y))
    return Arrays(options.X, labels_in(rows, y), rows)


def categories_of(options: argparse.Namespace) -> list[tuple[str | None, list[str] | int | str]]:
    """What `--categories` says, and the values of a target that is a column of words, sorted."""
    known, names = list(options.categories or ()), names_in(options.target)
    if names is None or len(names) != 1 or names[0] in dict(known):
        return known
    # What is wrong with the file or its columns is said where the rows are opened.
    with contextlib.suppress(ImportError, ValueError, TypeError, OSError):
        alone = {"target": None, "weight": None, "features": names, "drop": (), "categories": None}
        alone["fill_nulls"] = None
        column = open_rows(options, options.X, **alone, takes_any=True)
        # Of numbers with a stray "?", each would be a class.
        if getattr(column, "others", ()) and (not column.nearly_numbers or _asks_for_classes(options)):
            from fastgd.data.columnar.contents import contents_of

            words = contents_of(column, most=math.inf).values[names[0]]
            if words and all(isinstance(word, str) for word in words):
                return [*known, (names[0], words)]
    return known


def _asks_for_classes(options: argparse.Namespace) -> bool:
    from fastgd import losses

    task, loss = (getattr(options, name, None) for name in ("task", "loss"))
    return task == "classification" or (loss is not None and losses.takes_classes(loss))


def open_rows(options: argparse.Namespace, path: str, **others: Any) -> "Dataset | Stream":
    """Rows of files, with the columns that were named.

    others : what else of a `Request` there is, or in place of the options; `n_features` for SVMlight files alone
    """
    from fastgd.data.files import SVMLIGHT, opened
    from fastgd.data.request import Request

    target = names_in(getattr(options, "target", None))
    names = {
        "target": target[0] if target and len(target) == 1 else target,
        "weight": getattr(options, "sample_weight", None),
        "features": names_in(options.features),
        "drop": names_in(options.drop) or (),
        "categories": dict(options.categories) if options.categories else None,
        "fill_nulls": options.fill_nulls or None,
        "handle_unknown": options.handle_unknown,
        "column_names": names_in(options.column_names),
        "zero_based": "auto" if options.zero_based is None else options.zero_based,
    }
    if Path(path).suffix.lower() not in SVMLIGHT:
        others.pop("n_features", None)
    return opened(path, Request(**names | others))


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

    shape = _SYNTHETIC if options.synthetic is None else options.synthetic
    noise = _NOISE if options.noise is None else options.noise
    data = gd.data.synthetic(*shape, hidden=options.hidden, noise=noise, seed=options.seed, dtype=options.dtype)
    size = data.n_samples * (data.n_features + data.n_outputs) * data.dtype.itemsize
    say(
        f"data         {data.n_samples} rows x {data.n_features} features, synthetic, {size / 1e6:.0f} MB, "
        + ("kept in memory" if size <= _KEPT_BYTES else "made anew in each epoch")
    )
    kept = gd.data.ArrayDataset(*data.arrays()) if size <= _KEPT_BYTES else data
    return Rows(*_with_validation(options, kept, None), noise_loss=data.noise_loss)


def rows_of_files(options: argparse.Namespace, arrays: Arrays, loss: "Loss") -> Rows:
    """The rows of files, with labels as the loss wants them, and those to judge by."""
    if options.task != "classification":
        require_no_class_weight(options, "numbers")
    elif are_as_wanted(arrays.y, loss):
        require_no_class_weight(options, "probabilities, or several columns")
    else:
        data, classes = _with_labels(options, arrays, loss)
        return Rows(*_with_validation(options, data, classes), classes)
    return Rows(*_with_validation(options, arrays.rows, None))


def _with_labels(options: argparse.Namespace, arrays: Arrays, loss: "Loss") -> "tuple[Dataset | Stream, Classes]":
    """Rows whose targets are labels, and what classes there are."""
    import numpy as np

    from fastgd import labels
    from fastgd.data.base import Dataset

    rows = arrays.rows
    if isinstance(rows, Dataset):
        everything = rows.targets(np.dtype(np.float64))
        y, v = everything.y, everything.sample_weight
    else:
        blocks = [(np.asarray(block.y), np.asarray(block.sample_weight)) for block in rows.open()]
        y, v = map(np.concatenate, zip(*blocks, strict=True))
    y = labels_in(rows, y) if arrays.file == options.X else arrays.y
    v = v if rows.has_sample_weight else None
    found = labels.classes_of(y, arrays.file)
    classes = Classes(found, loss, class_weights(options.class_weight, found, y, v))
    if isinstance(rows, Dataset):
        return classes.of_rows(rows, y, v, arrays.file), classes
    return classes.of_stream(rows, arrays.file), classes


def _with_validation(
    options: argparse.Namespace, dataset: "Dataset", classes: Classes | None
) -> "tuple[Dataset, Dataset | None]":
    """The rows to train on and those to judge by."""
    import numpy as np

    from fastgd import data
    from fastgd.data.subset import split

    given = options.validation
    if given is None:
        return dataset, None
    if len(given) == 2:
        if classes is None:
            return dataset, data.open(given[0], target=given[1])
        return dataset, classes.of_rows(data.open(given[0]), data.map_array(given[1]), None, given[1])
    try:
        share = float(given[0])
    except ValueError:
        share = None
    if share is None and len(given) == 1 and not is_npy(given[0]):
        return dataset, _rows_to_judge_by(options, given[0], dataset, classes)
    if share == 0 and len(given) == 1:
        return dataset, None
    if share is None or len(given) > 1:
        missing = f", and there is no file {given[0]}" if share is None and not os.path.exists(given[0]) else ""
        raise ValueError(
            f"--validation is {' '.join(given)}{missing}; expected a share of the rows, as in 0.2, X.npy Y.npy, or a "
            "file like X"
        )
    return split(dataset, share, np.random.default_rng([options.seed, 0, 1]))


def _rows_to_judge_by(options: argparse.Namespace, file: str, learnt: "Dataset", classes: Classes | None) -> "Dataset":
    """The rows of files, with labels as the loss wants them.

    learnt : the rows to train on, whose columns they have, by name where these have names
    """
    import numpy as np

    from fastgd.data import spooled
    from fastgd.data.base import Dataset

    by_name = {} if learnt.columns is None else {"columns": learnt.columns, "features": None, "drop": ()}
    rows = open_rows(options, file, **by_name, n_features=learnt.n_features)
    rows = rows if isinstance(rows, Dataset) else spooled.in_memory_if_small(rows)
    if rows is None:
        raise ValueError(
            f"{file} has more than {spooled.KEPT_BYTES >> 20} MB of rows to judge by; expected fewer, or .npy files"
        )
    if classes is None:
        return rows
    targets = rows.targets(np.dtype(np.float64))
    v = targets.sample_weight if rows.has_sample_weight else None
    return classes.of_rows(rows, labels_in(rows, targets.y), v, file)
