"""`fastgd train`: a model from rows of .npy files, or from synthetic ones."""

import argparse
import contextlib
import copy
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from fastgd.cli.output import require_output, rows_files, say
from fastgd.cli.report import report

if TYPE_CHECKING:
    from fastgd import Dataset, Model, Trainer
    from fastgd.optimizers import Optimizer

# A synthetic data set of up to this size is made once and kept; a larger one is made anew in each epoch.
_KEPT_BYTES = 1 << 30


def train(options: argparse.Namespace) -> int:
    """Train, save and report."""
    rows = () if options.X is None else rows_files(options.X)
    require_output(options.out, *rows, options.target, options.sample_weight, *(options.validation or ()))
    import fastgd as gd

    _choose_defaults(options)
    data, noise_loss = _training_data(options)
    data, validation = _validation(options, data)
    model = _model(options, data, validation)
    trainer = gd.Trainer(
        model,
        loss=options.loss,
        optimizer=_optimizer(options),
        batch_size=None if options.batch_size == "full" else options.batch_size,
        shuffle=options.shuffle,
        seed=options.seed,
        alpha=options.alpha,
        l1_ratio=options.l1_ratio,
    )
    callbacks = [] if options.patience is None else [gd.callbacks.EarlyStopping(options.patience)]
    if callbacks and validation is None:
        raise ValueError("--patience without --validation; expected data to see a gain on")
    untrained = copy.deepcopy(model)
    _compile(trainer, data)
    try:
        trainer.fit(data, epochs=options.epochs, validation=validation, callbacks=callbacks, progress=not options.quiet)
    except (KeyboardInterrupt, gd.DivergenceError):
        _save(model, options.out)
        raise
    _save(model, options.out)
    report(trainer, untrained, data, validation, noise_loss)
    return 0


def _choose_defaults(options: argparse.Namespace) -> None:
    """What was not said: what learns well from rows of one's own, and the article's for synthetic ones."""
    is_own = options.X is not None
    for name, own, synthetic in (("batch_size", 32, 1), ("shuffle", True, False), ("standardize", True, False)):
        if getattr(options, name) is None:
            setattr(options, name, own if is_own else synthetic)
    if is_own and options.validation is None:
        options.validation = ["0.2"]


def _validation(options: argparse.Namespace, data: "Dataset") -> "tuple[Dataset, Dataset | None]":
    """The rows to train on and those to judge by, of which there are none where none were asked for."""
    import numpy as np

    import fastgd as gd
    from fastgd.subset import split

    given = options.validation
    if given is None:
        return data, None
    if len(given) == 2:
        return data, gd.data.open(*given)
    try:
        share = float(given[0])
    except ValueError:
        share = None
    if share is None or len(given) > 1:
        raise ValueError(f"--validation is {' '.join(given)}; expected a share of the rows, as in 0.2, or X.npy Y.npy")
    return split(data, share, np.random.default_rng([options.seed, 0, 1]))


def _save(model: "Model", path: str | None) -> None:
    if path is not None:
        model.save(path)
        say(f"saved        {path}")


def _training_data(options: argparse.Namespace) -> "tuple[Dataset, float | None]":
    """The rows, and the loss that their noise leaves to a perfect model, if known."""
    import fastgd as gd

    if options.X is not None:
        if options.target is None and not Path(options.X).is_dir():
            raise ValueError(f"no targets for {options.X}; expected --target Y.npy")
        return gd.data.open(options.X, options.target, options.sample_weight), None
    if options.target or options.sample_weight:
        raise ValueError("--target or --sample-weight without X; expected fastgd train X.npy --target Y.npy")
    data = gd.data.synthetic(
        *options.synthetic, hidden=options.hidden, noise=options.noise, seed=options.seed, dtype=options.dtype
    )
    size = data.n_samples * (data.n_features + data.n_outputs) * data.dtype.itemsize
    say(
        f"data         {data.n_samples} rows x {data.n_features} features, synthetic, {size / 1e6:.0f} MB, "
        + ("kept in memory" if size <= _KEPT_BYTES else "made anew in each epoch")
    )
    kept = gd.data.ArrayDataset(*data.arrays()) if size <= _KEPT_BYTES else data
    return kept, data.noise_loss


def _optimizer(options: argparse.Namespace) -> "Optimizer":
    from fastgd.optimizers import OPTIMIZERS

    if options.optimizer not in OPTIMIZERS:
        raise ValueError(f"--optimizer is {options.optimizer!r}; expected one of {', '.join(OPTIMIZERS)}")
    rate = options.learning_rate
    if rate is None and options.optimizer == "SGD":
        rate = "auto"
    kind = OPTIMIZERS[options.optimizer]
    return kind() if rate is None else kind(learning_rate=rate)


def _model(options: argparse.Namespace, data: "Dataset", validation: "Dataset | None") -> "Model":
    import fastgd as gd

    n_outputs = data.n_outputs
    if options.loss == "cross_entropy":
        n_outputs = max(map(_n_classes, [data] if validation is None else [data, validation]))
    widths = [data.n_features, *options.hidden, n_outputs]
    layers: list = [gd.Standardize(data.n_features)] if options.standardize else []
    for n_in, n_out in pairwise(widths):
        layers += [gd.Linear(n_in, n_out), gd.ReLU()]
    if options.output == "linear" or (options.output is None and (options.hidden or options.X is not None)):
        layers.pop()
    return gd.Model(layers, dtype=options.dtype, seed=options.seed)


def _n_classes(data: "Dataset") -> int:
    """How many classes there are, at least, by the labels of a data set; bad labels are for training to name."""
    import numpy as np

    y = data.targets(np.dtype(np.float64)).y
    return int(y.max(initial=1, where=np.isfinite(y))) + 1


def _compile(trainer: "Trainer", data: "Dataset") -> None:
    """Compile what the run needs before its clock starts, and say so where it takes long."""
    import time

    from fastgd.arrays import ArrayDataset
    from fastgd.dataset import first_rows

    began = time.perf_counter()
    n_rows = min(trainer.batch_size or 2, data.n_samples, 2)
    rows = first_rows(data, n_rows, data.dtype)
    batch_size = 1 if trainer.batch_size == 1 else n_rows
    rehearsal = copy.deepcopy(trainer)
    rehearsal.batch_size = batch_size
    with contextlib.suppress(ValueError, ArithmeticError):
        rehearsal.fit(ArrayDataset(rows.X, rows.y))
    seconds = time.perf_counter() - began
    if seconds > 0.5:
        say(f"compiled     {seconds:.1f} s, once: the next process finds it in the cache (see fastgd info)")
