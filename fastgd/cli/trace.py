"""`fastgd trace`: every number of training steps, of a saved model on some rows or of the article's worked example."""

import argparse
import dataclasses
from contextlib import closing
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple, Protocol

from fastgd.cli.classes import labels_in
from fastgd.cli.output import rows_files, say
from fastgd.cli.rows import is_npy, open_rows

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from fastgd import Model, Trainer
    from fastgd.reference.algorithm import Layer
    from fastgd.tables import Table
    from fastgd.tracing import Trace

    _Result = Callable[[np.ndarray], np.ndarray]


class _Subject(Protocol):
    """What is trained and traced."""

    def trace(self) -> "Trace":
        """Train for an epoch."""

    def judged(self) -> "tuple[np.ndarray, list]":
        """The outputs for the rows, (n_rows, n_out), and the loss of each."""


class _Rows(NamedTuple):
    """The rows of a trace; y as the loss takes it, and as it was given; the number of the first in its file."""

    X: "np.ndarray"
    y: "np.ndarray"
    given: "np.ndarray"
    first: int = 0


class _ByKernels(NamedTuple):
    """A model, by the kernels."""

    trainer: "Trainer"
    rows: _Rows

    def trace(self) -> "Trace":
        return self.trainer.trace(self.rows.X, self.rows.y)

    def judged(self) -> "tuple[np.ndarray, list]":
        model, (X, y, *_) = self.trainer.model, self.rows
        losses = [model.loss(X[i : i + 1], y[i : i + 1], self.trainer.loss) for i in range(len(X))]
        return model.predict(X), losses


class _Exactly:
    """Linear and ReLU layers, by the reference."""

    def __init__(self, layers: "list[Layer]", X: list, Y: list, learning_rate: Fraction, batch_size: int) -> None:
        self._layers, self._X, self._Y = layers, X, Y
        self._learning_rate, self._batch_size = learning_rate, batch_size
        self._n_updates = 0

    def trace(self) -> "Trace":
        from fastgd.reference import exact

        trace = exact.trace(
            self._layers, self._X, self._Y, self._learning_rate, self._batch_size, n_updates=self._n_updates
        )
        self._n_updates += len(trace)
        return trace

    def judged(self) -> "tuple[np.ndarray, list]":
        import numpy as np

        from fastgd import reference

        outputs = [reference.predict(self._layers, x) for x in self._X]
        losses = [reference.half_squared_error(out, y)[0] for out, y in zip(outputs, self._Y, strict=True)]
        return np.array(outputs, object), losses


def trace(options: argparse.Namespace) -> int:
    """Print the tables."""
    if (options.example is None) == (options.model is None):
        raise ValueError("expected either MODEL.safetensors and rows, or --example article")
    if options.example is not None:
        tables = _of_example(options)
    elif options.X is None:
        raise ValueError(f"no rows for {options.model}; expected fastgd trace {options.model} X.npy, or a table")
    else:
        tables = _of_files(options)
    parts = [getattr(table, f"to_{options.format}")() for table in tables]
    # A browser takes a file for Latin-1 unless it is told.
    say("\n\n".join(['<meta charset="utf-8">', *parts] if options.format == "html" else parts))
    return 0


def _of_example(options: argparse.Namespace) -> "list[Table]":
    import numpy as np

    from fastgd.reference import article

    if options.row is not None:
        raise ValueError("--row with --example; expected it with a model and X.npy, as the example has three rows")
    X, y = np.array(article.X), np.array(article.Y)
    rate = article.LEARNING_RATE if options.learning_rate is None else options.learning_rate
    rows, trainer = _Rows(X, y, y), _trainer(options, article.model(options.dtype or "float64"), rate)
    subject: _Subject = _ByKernels(trainer, rows)
    if options.exact:
        _require_exact(trainer)
        subject = _Exactly(article.layers(), article.X, article.Y, rate, trainer.batch_size or len(X))
    return _tables(options, subject, rows, lambda out: (out[:, 0] >= article.THRESHOLD).astype(int))


def _of_files(options: argparse.Namespace) -> "list[Table]":
    import fastgd as gd
    from fastgd import labels

    if options.dtype is not None:
        raise ValueError("--dtype with a model, which has its own; expected it with --example")
    model = gd.Model.load(options.model)
    X, given_y, y_file = _arrays(options) if is_npy(options.X) else _table(options, model)
    first = _wanted(options)[0]
    if given_y is None:
        given = [name for name in ("learning_rate", "loss", "exact", "epochs") if getattr(options, name)]
        if given:
            expected = "MODEL X.npy Y.npy" if is_npy(options.X) else "a table with those of the model"
            raise ValueError(f"--{given[0].replace('_', '-')} without targets; expected {expected}")
        return _numbered(gd.trace(model, X), first).tables
    y, loss = given_y, options.loss or ("half_squared_error" if model.labels is None else model.labels.loss)
    if model.classes is not None:
        y = labels.encode(y, model.classes, loss, y_file)
    rate = Fraction(1, 1000) if options.learning_rate is None else options.learning_rate
    rows, trainer = _Rows(X, y, given_y, first), _trainer(options, model, rate, loss)
    result = None if model.labels is None or model.classes is None else model.labels.decode
    subject = _exactly(trainer, rows, rate) if options.exact else _ByKernels(trainer, rows)
    return _tables(options, subject, rows, result)


def _arrays(options: argparse.Namespace) -> "tuple[np.ndarray, np.ndarray | None, str | None]":
    """X and y of the rows that --row names, and the file of y."""
    from fastgd.data import map_array

    X_file, *of_folder = rows_files(options.X)
    y_file = options.y
    if of_folder:
        if y_file is not None:
            raise ValueError(f"{options.X} is a folder and brings its own y.npy; expected no {y_file}")
        y_file = of_folder[0]
    X = map_array(X_file)
    chosen = _chosen(options, len(X))
    if y_file is None:
        return X[chosen], None, None
    y = map_array(y_file)
    if len(y) != len(X):
        raise ValueError(f"{y_file} has {len(y)} rows and {X_file} has {len(X)}; expected as many")
    return X[chosen], y[chosen], y_file


def _table(options: argparse.Namespace, model: "Model") -> "tuple[np.ndarray, np.ndarray | None, str]":
    """X and y of the rows that --row names, by the names of a model's columns; no y where the table lacks a target."""
    import numpy as np

    from fastgd.data import Stream

    if options.y is not None:
        raise ValueError(f"targets are in {options.y}, and {options.X} is no .npy file; expected a table alone")
    everything = {"features": None, "drop": (), "categories": None, "fill_nulls": None, "takes_any": True}
    whole = open_rows(options, options.X, **everything)
    if not isinstance(whole, Stream):
        raise ValueError(f"{options.X} is neither a .npy file nor a table; expected one of them")
    targets = list(model.target_names or ())
    if not set(targets) <= set(whole.columns.features):
        targets = []
    categories = dict(options.categories or ())
    if targets and model.classes is not None and model.classes.dtype.kind == "U":
        categories[targets[0]] = model.classes.tolist()
    rows = open_rows(options, options.X, columns=model.columns, target=targets or None, categories=categories)
    n_wanted, n_read, blocks = _wanted(options)[1], 0, []
    with closing(rows.open()) as opened:
        for block in opened:
            blocks.append((np.asarray(block.X), np.asarray(block.y)))
            n_read += len(block.X)
            if n_read >= n_wanted:
                break
    chosen = _chosen(options, n_read)
    X, y = (np.concatenate(parts)[chosen] for parts in zip(*blocks, strict=True))
    return X, labels_in(rows, y) if targets else None, options.X


def _exactly(trainer: "Trainer", rows: _Rows, rate: Fraction) -> _Exactly:
    """The trainer's model in fractions."""
    from fastgd.data.arrays import ArrayDataset
    from fastgd.model_data import check_fits, check_rows
    from fastgd.reference.comparison import as_reference

    _require_exact(trainer)
    model = trainer.model
    layers, dataset = as_reference(model, Fraction), ArrayDataset(rows.X, rows.y)
    check_fits(model, dataset, trainer.loss)
    check_rows(model, dataset, trainer.loss)
    X, Y = ([_fractions(model, row) for row in part] for part in (dataset.X, dataset.y))
    return _Exactly(layers, X, Y, rate, trainer.batch_size or len(X))


def _require_exact(trainer: "Trainer") -> None:
    from fastgd.losses import name_of

    loss = name_of(trainer.loss)
    if loss != "half_squared_error":
        raise ValueError(f"--exact with the loss {loss}; expected half_squared_error, which is the reference's")


def _trainer(
    options: argparse.Namespace, model: "Model", rate: Fraction, loss: str = "half_squared_error"
) -> "Trainer":
    import fastgd as gd

    batch_size = None if options.batch_size == "full" else options.batch_size
    return gd.Trainer(model, options.loss or loss, gd.SGD(float(rate)), batch_size=batch_size)


def _wanted(options: argparse.Namespace) -> tuple[int, int]:
    """The rows that --row names, from the first up to this one; by default the first."""
    return options.row or (0, 1)


def _chosen(options: argparse.Namespace, n_rows: int) -> slice:
    """As `_wanted`, of a file of so many rows."""
    first, end = _wanted(options)
    if not first < end <= n_rows:
        raise ValueError(
            f"--row is {first if end == first + 1 else f'{first}:{end}'} and {options.X} has {n_rows} rows; expected "
            f"a row from 0 to {n_rows - 1}, or FIRST:END"
        )
    return slice(first, end)


def _numbered(trace: "Trace", first: int) -> "Trace":
    """The same steps, with the numbers that the rows have in a file of which they are those from `first` on."""
    steps = [dataclasses.replace(step, rows=(step.rows[0] + first, step.rows[1] + first)) for step in trace]
    return type(trace)(steps)


def _fractions(model: "Model", numbers: "np.ndarray") -> list[Fraction]:
    """Numbers exactly as the model's dtype has them."""
    return list(map(Fraction, numbers.astype(model.dtype).tolist()))


def _tables(
    options: argparse.Namespace,
    subject: _Subject,
    rows: _Rows,
    result: "_Result | None",
) -> "list[Table]":
    """The steps of all epochs, and what the model makes of the rows before and after.

    result : from outputs to what is compared with the targets as they are given; None for no comparison
    """
    epochs = 1 if options.epochs is None else options.epochs
    if epochs < 1:
        raise ValueError(f"--epochs is {epochs}; expected at least 1")
    tables = [_judged(subject, rows, result, "before")]
    for _ in range(epochs):
        tables += _numbered(subject.trace(), rows.first).tables
    after = "after 1 epoch" if epochs == 1 else f"after {epochs} epochs"
    return [*tables, _judged(subject, rows, result, after)]


def _judged(subject: _Subject, rows: _Rows, result: "_Result | None", title: str) -> "Table":
    """What the model makes of the rows."""
    from fastgd.tables import Table, number, numbers

    outputs, losses = subject.judged()
    columns = ["row", "x", "model(x)", "y", "loss"]
    lines = [
        [str(row), numbers(x), numbers(out), str(y.item()) if y.size == 1 else numbers(y), number(loss)]
        for row, (x, out, y, loss) in enumerate(zip(rows.X, outputs, rows.given, losses, strict=True), rows.first)
    ]
    if result is not None:
        columns += ["result", "correct?"]
        for line, found, y in zip(lines, result(outputs), rows.given.ravel(), strict=True):
            line += [str(found), "right" if found == y else "wrong"]
    total = number(sum(losses) / len(losses))
    return Table(f"{title}: mean loss {total}", tuple(columns), list(map(tuple, lines)), frozenset({1, 2, 4}))
