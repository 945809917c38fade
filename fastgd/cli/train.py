"""`fastgd train`: a model from rows of files, or from synthetic ones."""

import argparse
import contextlib
import copy
import math
import warnings
from itertools import pairwise
from typing import TYPE_CHECKING

from fastgd.cli import settings
from fastgd.cli.checkpoint import checkpoints, note_checkpoint, resumed, terminable
from fastgd.cli.classes import may_be_classes
from fastgd.cli.live import LiveCurve, can_draw
from fastgd.cli.npy_files import Arrays
from fastgd.cli.output import require_output, rows_files, say
from fastgd.cli.picture import draw, require_picture
from fastgd.cli.report import report
from fastgd.cli.rows import Rows, arrays_of, rows_of_files, synthetic_rows, task_of

if TYPE_CHECKING:
    from fastgd import Dataset, Model, Standardize, Trainer
    from fastgd.data import Stream
    from fastgd.losses import Loss


# The epochs by default, or, of few rows, what makes so many updates, up to so many rows in all. Where features say
# nearly the same, a linear model goes on learning for long.
_EPOCHS, _LINEAR_UPDATES, _NETWORK_UPDATES, _MOST_ROWS = 5, 5000, 1000, 1 << 21


def train(options: argparse.Namespace) -> int:
    """Train, save and report."""
    files = () if options.X is None else rows_files(options.X)
    files = (*files, options.target, options.sample_weight, *(options.validation or ()))
    require_output(options.out, *files)
    require_picture(options.plot, options.out, *files)
    import fastgd as gd
    from fastgd import storage
    from fastgd.losses import name_of as loss_name

    if options.out is not None:
        storage.require_name(options.out)
    arrays = arrays_of(options)
    is_untold = options.task == "auto" and options.loss is None
    stream = arrays.rows if arrays is not None and isinstance(arrays.rows, gd.data.Stream) else None
    _choose_defaults(options, arrays, is_stream=stream is not None)
    loss = settings.loss(options)
    rows = synthetic_rows(options) if arrays is None else rows_of_files(options, arrays, loss)
    trainer = _trainer(options, rows, loss)
    shown, callbacks = _shown(options)
    stop = None if options.patience is None else gd.callbacks.EarlyStopping(options.patience)
    callbacks += [] if stop is None else [stop]
    if stop is not None and rows.validation is None:
        raise ValueError("--patience without --validation; expected data to see a gain on")
    if arrays is None:
        # Synthetic rows are what they were asked to be; `main` puts the filters back.
        warnings.simplefilter("ignore", gd.UsageWarning)
    untrained = copy.deepcopy(trainer.model)
    callbacks += checkpoints(options)
    fresh, trainer = trainer, resumed(options, trainer)
    _compile(fresh, rows.data)
    is_squared = loss_name(trainer.loss) == "half_squared_error" and not trainer.standardize_targets
    noise_loss = rows.noise_loss if is_squared else None
    try:
        with terminable():
            trainer.fit(
                rows.data,
                epochs=options.epochs,
                validation=rows.validation,
                callbacks=callbacks,
                progress=shown,
                resume=options.resume,
            )
    except (KeyboardInterrupt, gd.DivergenceError) as error:
        note_checkpoint(options, error)
        _save(_result(trainer), options.out)
        draw(trainer, options.plot, noise_loss)
        raise
    model = _result(trainer)
    _save(model, options.out)
    draw(trainer, options.plot, noise_loss)
    report(trainer, model, untrained, rows, 0 if stop is None else stop.best_epoch)
    if is_untold and options.task == "regression" and arrays is not None and may_be_classes(arrays.y):
        say("targets      few different integers, taken as numbers; --task classification takes them as classes")
    return 0


def _shown(options: argparse.Namespace) -> tuple[bool | str, list]:
    """What `fit` is to show while it trains, and the callbacks that show more."""
    if options.live and options.quiet:
        raise ValueError("--live with --quiet; expected one of them")
    if not options.live:
        return not options.quiet, []
    return (False, [LiveCurve(options.epochs)]) if can_draw() else ("epochs", [])


def _choose_defaults(options: argparse.Namespace, arrays: Arrays | None, is_stream: bool) -> None:
    """What was not said: what learns well from rows of one's own, and the article's for synthetic ones.

    is_stream : whether the rows come in one order, which leaves no choice of it, nor of a rate by trials
    """
    from fastgd.losses import as_loss, takes_every_number

    is_own = arrays is not None
    for name, own, synthetic in (
        ("batch_size", 32, 1),
        ("shuffle", not is_stream, False),
        ("standardize", True, False),
    ):
        if getattr(options, name) is None:
            setattr(options, name, own if is_own else synthetic)
    if is_own and options.validation is None and not is_stream:
        options.validation = ["0.2"]
    options.task = task_of(options, arrays)
    if options.loss is None:
        options.loss = "cross_entropy" if options.task == "classification" else "half_squared_error"
    if options.optimizer is None:
        is_told = options.learning_rate is not None or any(name.startswith("optimizer.") for name in vars(options))
        # Of plain SGD no rate is good for all rows.
        is_of_rate = options.schedule is not None and settings.takes_rate(options.schedule)
        if is_told or not is_own or (options.schedule is not None and not is_of_rate):
            options.optimizer = "SGD"
        else:
            options.optimizer = "Adam" if is_stream or is_of_rate else "auto"
    if options.optimizer == "SGD" and options.learning_rate is None and options.schedule is None:
        options.learning_rate = "auto"
    if options.standardize_targets is None:
        options.standardize_targets = is_own and options.output != "relu" and takes_every_number(as_loss(options.loss))


def _trainer(options: argparse.Namespace, rows: Rows, loss: "Loss") -> "Trainer":
    import fastgd as gd
    from fastgd._engine.sparse_checks import can_be_searched, optimizer_of_networks, penalty_is_costly

    n_samples = rows.data.n_samples
    batch_size = None if options.batch_size == "full" else options.batch_size
    if n_samples is None and (options.schedule is not None or options.average_from is not None):
        raise ValueError(
            f"--schedule or --average-from, and nobody knows how many rows {options.X} has before they were read; "
            "expected neither"
        )
    is_known = options.X is not None and n_samples is not None
    n_samples = n_samples or 1
    updates_per_epoch = math.ceil(n_samples / max(batch_size or n_samples, 1))
    if options.epochs is None:
        options.epochs = _epochs_of_rows(options, n_samples, updates_per_epoch) if is_known else _EPOCHS
    if options.average_from is not None:
        if options.patience is not None:
            raise ValueError(
                "--average-from with --patience, which brings the best epoch's parameters back; expected one of them"
            )
        n_updates = options.epochs * updates_per_epoch
        if options.average_from > n_updates:
            raise ValueError(f"--average-from is {options.average_from}; expected one of the {n_updates} updates")
    model, alpha = _model(options, rows, loss), _alpha(options, rows, loss)
    optimizer = settings.optimizer(options, updates_per_epoch)
    if rows.data.is_sparse and optimizer == "auto" and penalty_is_costly(model, n_samples, batch_size):
        is_searched = can_be_searched(model.in_features)
        optimizer = gd.SGD("auto") if alpha > 0 and is_searched else optimizer
        alpha = options.alpha or (alpha if is_searched else 0.0)
    trainer = gd.Trainer(
        model,
        loss=loss,
        optimizer=optimizer,
        batch_size=batch_size,
        shuffle=options.shuffle,
        seed=options.seed,
        alpha=alpha,
        l1_ratio=options.l1_ratio,
        clip_value=options.clip_value,
        clip_norm=options.clip_norm,
        max_norm=options.max_norm,
        average_from=options.average_from,
        standardize_targets=options.standardize_targets,
    )
    if rows.data.is_sparse and options.optimizer == "auto" and isinstance(trainer.optimizer, gd.NormalizedSGD):
        trainer.optimizer = optimizer_of_networks(rows.data.n_features)
    return trainer


def _epochs_of_rows(options: argparse.Namespace, n_samples: int, updates_per_epoch: int) -> int:
    """As many as a model needs to learn few rows, and no fewer than of many."""
    n_updates = _NETWORK_UPDATES if options.hidden else _LINEAR_UPDATES
    return max(_EPOCHS, min(math.ceil(n_updates / updates_per_epoch), _MOST_ROWS // n_samples))


def _alpha(options: argparse.Namespace, rows: Rows, loss: "Loss") -> float:
    """What was said, or what learns well from rows of one's own; the article's 0 for synthetic ones."""
    from fastgd.losses import takes_every_number
    from fastgd.recommended import ALPHA_OF_NETWORKS, recommended_alpha

    if options.alpha is not None or options.X is None:
        return options.alpha or 0.0
    data, is_network = rows.data, bool(options.hidden)
    is_plain = options.optimizer == "auto" and options.standardize and options.l1_ratio == 0
    is_scaled = options.standardize_targets or not takes_every_number(loss)
    if not (is_plain and is_scaled) or data.n_samples is None:
        return ALPHA_OF_NETWORKS if is_network else 0.0
    return recommended_alpha(data, loss, is_network)


def _model(options: argparse.Namespace, rows: Rows, loss: "Loss") -> "Model":
    import fastgd as gd

    n_features = rows.data.n_features
    n_outputs = rows.data.n_outputs if rows.classes is None else gd.labels.n_outputs(rows.classes.labels, loss)
    layers: list = [_standardize(rows.data)] if options.standardize else []
    for n_in, n_out in pairwise([n_features, *options.hidden, n_outputs]):
        layers += [gd.Linear(n_in, n_out), gd.ReLU()]
    if options.output == "linear" or (options.output is None and (options.hidden or options.X is not None)):
        layers.pop()
    model = gd.Model(layers, dtype=options.dtype, seed=options.seed)
    if rows.classes is not None or gd.losses.kind_of(loss).link in ("logit", "log"):
        model.set_classes(None if rows.classes is None else rows.classes.labels, loss)
    return model


def _standardize(data: "Dataset | Stream") -> "Standardize":
    """What brings features to scale; that of sparse rows, where words may be among them, has learnt how already."""
    import fastgd as gd
    from fastgd.learn_scales import learn_from_entries

    if not data.is_sparse:
        return gd.Standardize(data.n_features)
    layer = gd.Standardize(data.n_features, with_mean="nonzero")
    learn_from_entries(data, layer)
    return layer


def _result(trainer: "Trainer") -> "Model":
    """The model to keep: the average, where one was asked for and has begun."""
    if trainer.average_from is None or trainer.n_updates < trainer.average_from:
        return trainer.model
    return trainer.averaged_model()


def _save(model: "Model", path: str | None) -> None:
    if path is not None:
        model.save(path)
        say(f"saved        {path}")


def _compile(trainer: "Trainer", data: "Dataset | Stream") -> None:
    """Compile what the run needs before its clock starts, and say so where it takes long."""
    import time

    from fastgd import kernels
    from fastgd.data.arrays import ArrayDataset
    from fastgd.data.base import Stream, first_rows

    if isinstance(data, Stream):
        return
    began = time.perf_counter()
    n_rows = min(trainer.batch_size or 2, data.n_samples, 2)
    rows = first_rows(data, n_rows, data.dtype)
    batch_size = 1 if trainer.batch_size == 1 else n_rows
    rehearsal = copy.deepcopy(trainer)
    rehearsal.batch_size = batch_size
    with contextlib.suppress(ValueError, ArithmeticError):
        rehearsal.fit(ArrayDataset(rows.X, rows.y))
    seconds = time.perf_counter() - began
    # Loading kernels from the cache takes less.
    if seconds > 2:
        kept = "once: the next process finds it in the cache" if kernels.cache_is_writable() else "kept nowhere"
        say(f"compiled     {seconds:.1f} s, {kept} (see fastgd info)")
