"""The command line: `fastgd train | predict | warmup | info`."""

import argparse
import contextlib
import copy
import os
import re
import sys
import traceback
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from fastgd.errors import DivergenceError
from fastgd.progress import show_line

# What trains is imported inside the commands: `fastgd --help` should not wait for a compiler.
if TYPE_CHECKING:
    from fastgd import Dataset, Model, Trainer
    from fastgd.optimizers import Optimizer

# A synthetic data set of up to this size is made once and kept; a larger one is made anew in each epoch.
_KEPT_BYTES = 1 << 30


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status, as `fastgd --help` lists them."""
    try:
        options = _parser().parse_args(arguments)
        with _stdout_left_to(getattr(options, "out", None)):
            return _run(options)
    finally:
        # What is left to the interpreter's end fails there without a word that could be caught.
        with _lost_stdout():
            if sys.stdout is not None:
                sys.stdout.flush()


def _run(options: argparse.Namespace) -> int:
    try:
        return options.run(options)
    except KeyboardInterrupt:
        show_line("fastgd: interrupted")
        return 130
    except DivergenceError as error:
        show_line(f"fastgd: {_one_line(error)}")
        return 1
    except MemoryError as error:
        show_line(f"fastgd: error: not enough memory ({_one_line(error) or 'no more is free'})")
        return 2
    except (ValueError, TypeError, OSError) as error:
        show_line(f"fastgd: error: {_one_line(error)}")
        return 2
    except Exception:
        show_line(f"{traceback.format_exc()}fastgd: this is a fault of fastgd's own; please report the lines above")
        return 3


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _say(line: str) -> None:
    """Print a line of the report on stdout; a run goes on where nobody reads it."""
    with _lost_stdout():
        if sys.stdout is not None:
            # A path may have bytes that are no text.
            encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
            line = line.encode(encoding, "backslashreplace").decode(encoding)
            print(line, flush=True)


@contextlib.contextmanager
def _lost_stdout() -> Iterator[None]:
    """Where stdout takes nothing more, it is put out of the way: the model is worth more than the report of it."""
    try:
        yield
    except (OSError, ValueError) as error:
        if not isinstance(error, BrokenPipeError):
            show_line(f"fastgd: nothing more can be written to stdout: {_one_line(error)}")
        # What waits in its buffer would fail again.
        with contextlib.suppress(OSError, ValueError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, sys.stdout.fileno())
            os.close(null)


@contextlib.contextmanager
def _stdout_left_to(out: str | None) -> Iterator[None]:
    """Where the file to write is stdout itself, the report goes to stderr."""
    try:
        is_stdout = out is not None and os.path.samestat(os.stat(out), os.fstat(sys.stdout.fileno()))
    except (OSError, ValueError, AttributeError):
        is_stdout = False
    with contextlib.redirect_stdout(sys.stderr) if is_stdout else contextlib.nullcontext():
        yield


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message}\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="fastgd",
        description="Gradient descent for linear and ReLU networks, with compiled kernels.",
        epilog="Exit status: 0; 1 if training diverged, after the last finite model is saved where --out asked; 2 for "
        "bad input, for files that cannot be read or written and for too little memory, with one line that says what; "
        "3 for a fault of fastgd's own, with a traceback; 130 for Ctrl-C, after the model so far is saved.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    defaults = argparse.ArgumentDefaultsHelpFormatter

    train = commands.add_parser("train", help="train a model on .npy files or synthetic rows", formatter_class=defaults)
    train.set_defaults(run=_train)
    data = train.add_argument_group("data")
    data.add_argument("X", nargs="?", help="features, a .npy file, or a folder with X.npy and y.npy; none: --synthetic")
    data.add_argument("--target", metavar="Y.npy", help="targets for X")
    data.add_argument("--sample-weight", metavar="W.npy", help="weights for X's rows")
    data.add_argument(
        "--validation",
        nargs="+",
        metavar="SHARE | X.npy Y.npy",
        help="rows to judge the model by after each epoch: a share of X's, held out, or others (default: 0.2 of X)",
    )
    data.add_argument(
        "--synthetic",
        type=_shape,
        default="1000000x100",
        metavar="ROWSxFEATURES[xOUTPUTS]",
        help="rows of a planted network plus noise, where no X is given",
    )
    data.add_argument("--noise", type=float, default=0.1, help="standard deviation of the synthetic targets' noise")
    model = train.add_argument_group("model")
    model.add_argument("--hidden", type=_widths, default=(), metavar="N,N,...", help="widths of hidden ReLU layers")
    model.add_argument(
        "--output",
        choices=("linear", "relu"),
        help="what follows the last Linear (default: relu for a synthetic neuron, else linear)",
    )
    model.add_argument(
        "--standardize",
        action=argparse.BooleanOptionalAction,
        help="bring features to mean 0 and variance 1 first (default: with X)",
    )
    model.add_argument(
        "--dtype", choices=("float32", "float64"), default="float32", help="of parameters and arithmetic"
    )
    run = train.add_argument_group("training")
    run.add_argument("--epochs", type=int, default=5)
    run.add_argument(
        "--batch-size",
        type=_batch_size,
        metavar="ROWS",
        help="rows per update, or 'full' (default: 32 with X, 1 without)",
    )
    run.add_argument("--loss", default="half_squared_error", metavar="NAME", help="see fastgd.losses")
    run.add_argument("--optimizer", default="SGD", metavar="NAME", help="see fastgd.optimizers")
    run.add_argument(
        "--learning-rate",
        type=_learning_rate,
        help="step size, or 'auto' to measure one (default: auto for SGD, else the optimiser's own)",
    )
    run.add_argument("--alpha", type=float, default=0.0, help="strength of the elastic net on the weights")
    run.add_argument("--l1-ratio", type=float, default=0.0, help="share of L1 in the elastic net")
    run.add_argument("--patience", type=int, metavar="EPOCHS", help="stop after so many without gain on --validation")
    run.add_argument(
        "--shuffle",
        action=argparse.BooleanOptionalAction,
        help="take the rows in a new order in each epoch (default: with X)",
    )
    run.add_argument("--seed", type=int, default=0, help="of the initial weights, the orders and the synthetic rows")
    run.add_argument("--out", metavar="MODEL.safetensors", help="where to save the model")
    run.add_argument("--quiet", action="store_true", help="no progress bar")

    predict = commands.add_parser("predict", help="apply a saved model to the rows of a .npy file")
    predict.set_defaults(run=_predict)
    predict.add_argument("model", help="a .safetensors file that fastgd saved")
    predict.add_argument("X", help="features, a .npy file")
    predict.add_argument("--out", required=True, metavar="P.npy", help="where to write the predictions")

    warmup = commands.add_parser("warmup", help="compile every kernel once, so that nothing waits for it later")
    warmup.set_defaults(run=_warmup)

    info = commands.add_parser("info", help="show versions, threads and the compilation cache")
    info.set_defaults(run=_info)
    return parser


def _shape(text: str) -> tuple[int, ...]:
    if not re.fullmatch(r"\d+x\d+(x\d+)?", text):
        raise argparse.ArgumentTypeError(
            f"{text!r}; expected ROWSxFEATURES or ROWSxFEATURESxOUTPUTS, as in 1000000x100"
        )
    return tuple(int(part) for part in text.split("x"))


def _widths(text: str) -> tuple[int, ...]:
    if not re.fullmatch(r"\d+(,\d+)*", text):
        raise argparse.ArgumentTypeError(f"{text!r}; expected widths, as in 64,64")
    return tuple(int(part) for part in text.split(","))


def _batch_size(text: str) -> int | str:
    if text != "full" and not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r}; expected a number of rows, or 'full'")
    return text if text == "full" else int(text)


def _learning_rate(text: str) -> float | str:
    try:
        return text if text == "auto" else float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}; expected a number, or 'auto'") from None


def _train(options: argparse.Namespace) -> int:
    rows = () if options.X is None else _rows_files(options.X)
    _require_output(options.out, *rows, options.target, options.sample_weight, *(options.validation or ()))
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
    _report(trainer, untrained, data, validation, noise_loss)
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
        _say(f"saved        {path}")


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
    _say(
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


def _rows_files(path: str) -> list[str]:
    """The files that hold rows: this one, or those in this folder."""
    if not os.path.isdir(path):
        return [path]
    return [os.path.join(path, f"{name}.npy") for name in ("X", "y", "sample_weight")]


def _require_output(path: str | None, *inputs: str | None) -> None:
    """Raise an error where a file cannot be written, or would take the place of one that is read."""
    if path is None:
        return
    if not path:
        raise ValueError("--out is empty; expected the name of a file to write")
    for given in inputs:
        if given and os.path.exists(path) and os.path.exists(given) and os.path.samefile(path, given):
            raise ValueError(f"--out is {path}, which is read; expected another file")
    from fastgd import storage

    storage.require_writable(path)


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
        _say(f"compiled     {seconds:.1f} s, once: the next process finds it in the cache (see fastgd info)")


def _report(
    trainer: "Trainer",
    untrained: "Model",
    data: "Dataset",
    validation: "Dataset | None",
    noise_loss: float | None,
) -> None:
    from fastgd import machine
    from fastgd.metrics import score

    model, history = trainer.model, trainer.history
    rows_per_second = len(history) * data.n_samples / sum(history.seconds)
    bandwidth = machine.read_bandwidth()
    share = rows_per_second * data.row_bytes / bandwidth
    rate = trainer.learning_rate
    rate = "no learning rate, as all weights are zero" if rate is None else f"learning rate {rate:.3g}"
    floor = "" if noise_loss is None else f" (noise floor {noise_loss:.6g})"
    held_out = "" if history.validation_loss[-1] is None else f", validation {history.validation_loss[-1]:.6g}"
    layers = ", ".join(map(str, model.layers))
    _say(f"model        {layers}: {model.parameters.size} parameters, {model.dtype}")
    _say(f"training     {trainer.batch_size or 'all'} rows per update, {rate}")
    _say(f"loss         {history.loss[-1]:.6g}{floor}{held_out} after {len(history)} epochs")
    if validation is not None:
        name, value = score(model, validation, trainer.loss)
        _say(f"{name:13}{value:.4f} on {validation.n_samples} rows that were not learnt from")
    _say(
        f"speed        {rows_per_second:,.0f} rows per second, {share:.1%} of the {bandwidth / 1e9:.0f} GB/s "
        "at which one thread reads memory"
    )
    if noise_loss is not None and _is_the_references(trainer):
        _compare(trainer, untrained, data, rows_per_second)


def _compare(trainer: "Trainer", untrained: "Model", data: "Dataset", rows_per_second: float) -> None:
    """Say how fast pure Python is on rows of this shape, and whether it comes to the same parameters."""
    from fastgd import baseline

    batch_size = min(trainer.batch_size or data.n_samples, 1024)
    try:
        reference = baseline.measure(untrained, data, baseline.safe_rate(untrained, data), batch_size)
    except Exception as error:
        # The run is over and well, whatever becomes of this.
        _say(f"pure Python  not compared: {_one_line(error)}")
        return
    _say(
        f"pure Python  {reference.rows_per_second:,.0f} rows per second on {reference.n_rows} of the rows: "
        f"fastgd is {rows_per_second / reference.rows_per_second:,.0f} times as fast"
    )
    _say(f"             (parameters after these rows differ by at most {reference.difference:.1e} of the largest)")


def _is_the_references(trainer: "Trainer") -> bool:
    """Whether the pure-Python reference knows this training."""
    from fastgd import SGD, Linear, ReLU
    from fastgd.losses import as_loss

    is_plain = isinstance(trainer.optimizer, SGD) and trainer.alpha == 0
    is_plain = is_plain and type(trainer.loss) is type(as_loss("half_squared_error"))
    return is_plain and all(isinstance(layer, Linear | ReLU) for layer in trainer.model.layers)


def _predict(options: argparse.Namespace) -> int:
    _require_output(options.out, options.model, *_rows_files(options.X))
    import fastgd as gd
    from fastgd import storage

    predictions = gd.Model.load(options.model).predict(gd.data.open(options.X))
    with storage.atomic_write(options.out) as file:
        storage.write_array(file, predictions)
    _say(f"{options.out}: {predictions.shape[0]} rows x {predictions.shape[1]} outputs, {predictions.dtype}")
    return 0


def _warmup(_: argparse.Namespace) -> int:
    from fastgd import kernels
    from fastgd.warmup import warmup

    _say(f"compiled in {warmup():.1f} s; kept in {kernels.cache_directory()}")
    return 0


def _info(_: argparse.Namespace) -> int:
    from fastgd import machine

    for name, value in machine.describe().items():
        _say(f"{name:15}{value}")
    return 0
