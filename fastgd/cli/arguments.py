"""What the commands may be told, as `--help` shows it."""

import argparse
import re
from fractions import Fraction
from typing import Any

from fastgd._version import __version__
from fastgd.cli import export, info, option_values, predict, settings, trace, train
from fastgd.cli.argument_parser import ArgumentParser, HelpFormatter
from fastgd.cli.checkpoint import every

_FILES = (
    "rows: a .npy file, a folder with X.npy and y.npy or with shards of them, or any other file that fastgd.data.open "
    "takes"
)

# Of --features, for a model that was trained on others.
_IN_PLACE = (
    "the columns of a table to take in the place of those that the model was trained on, one for each in its order "
    "(default: these, by name, wherever they stand)"
)


def parser() -> argparse.ArgumentParser:
    """The parser of the command line; what it returns has the command itself as `run`."""
    parser = ArgumentParser(
        prog="fastgd",
        description="Gradient descent for linear and ReLU networks, with compiled kernels.",
        epilog="Exit status: 0; 1 if training diverged, after the last finite model is saved where --out asked; 2 for "
        "bad input, for files that cannot be read or written, for what is not installed and for too little memory, "
        "with one line that says what; 3 for a fault of fastgd's own, with a traceback; 130 for Ctrl-C and 143 for "
        "SIGTERM, after the model so far is saved.",
    )
    parser.add_argument("--version", action="version", version=f"fastgd {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_train(commands)
    _add_predict(commands)
    _add_trace(commands)
    _add_export(commands)
    command = commands.add_parser("warmup", help="compile now what the default loss and optimizer need")
    command.set_defaults(run=info.warmup)
    command = commands.add_parser("info", help="show versions, threads and the compilation cache, or what files hold")
    command.set_defaults(run=info.info)
    command.add_argument(
        "data", nargs="?", metavar="DATA", help=f"{_FILES}; or a model that was saved; none: what there is of fastgd"
    )
    command.add_argument("--target", metavar="Y.npy | NAME,...", help="targets, as for fastgd train")
    _add_columns(command)
    parser.commands = commands.choices
    return parser


def _add_columns(group: Any, features: str = "the columns of a table to use (default: all others)") -> None:
    group.add_argument("--features", metavar="NAME,...", help=features)
    group.add_argument(
        "--column-names", metavar="NAME,...", help="names of all columns of a CSV file whose first line holds none"
    )
    group.add_argument(
        "--zero-based",
        action=argparse.BooleanOptionalAction,
        help="whether the columns of SVMlight files are from 0 on (default: where one is 0)",
    )
    group.add_argument("--drop", metavar="NAME,...", help="columns of a table to leave out")
    group.add_argument(
        "--categories",
        action="extend",
        type=option_values.categories,
        metavar="auto | NAME,... | NAME=VALUE,... | NAME=NUMBER",
        help="columns of words, by name or, auto, all of them, become columns of zeros and ones, one for each of their "
        "values, or of these values, or so many, by hashes",
    )
    group.add_argument(
        "--fill-nulls",
        type=option_values.fills,
        metavar="mean | NAME=NUMBER,NAME=mean,...",
        help="what takes the place of nulls in columns of numbers: the mean, in all of them or in some, or a number",
    )
    group.add_argument(
        "--handle-unknown",
        choices=("error", "ignore"),
        default="error",
        help="what becomes of words that are none of a column's categories: an error, or zeros in all of their columns",
    )


def _add_train(commands: Any) -> None:
    command = commands.add_parser(
        "train",
        help="train a model on rows of files, or on synthetic ones",
        formatter_class=HelpFormatter,
    )
    command.set_defaults(run=train.train)
    data = command.add_argument_group("data")
    data.add_argument("X", nargs="?", help=f"{_FILES}; none: --synthetic")
    data.add_argument(
        "--target",
        metavar="Y.npy | NAME,...",
        help="targets for X: a .npy file of numbers, or of class labels of any kind; or columns of a table",
    )
    _add_columns(data)
    data.add_argument(
        "--task",
        choices=("auto", "regression", "classification"),
        default="auto",
        help="whether targets are numbers or classes; auto: what the loss takes, or else classes where they are "
        "strings or booleans",
    )
    data.add_argument("--sample-weight", metavar="W.npy | NAME", help="weights for X's rows: a file, or a column")
    data.add_argument(
        "--class-weight",
        type=option_values.class_weight,
        metavar="balanced | LABEL=WEIGHT,...",
        help="what multiplies the weights of each class's rows, of those to judge by, too: numbers, or what makes all "
        "classes of X weigh the same (default: 1)",
    )
    data.add_argument(
        "--validation",
        nargs="+",
        metavar="SHARE | X.npy Y.npy | FILE",
        help="rows to judge the model by after each epoch: a share of X's, held out, or others, in files like X "
        "(default: 0.2 of X; 0: none)",
    )
    data.add_argument(
        "--synthetic",
        type=option_values.shape,
        metavar="ROWSxFEATURES[xOUTPUTS]",
        help="rows of a teacher network plus noise, where no X is given (default: 1000000x100)",
    )
    data.add_argument("--noise", type=float, help="standard deviation of the synthetic targets' noise (default: 0.1)")
    model = command.add_argument_group("model")
    model.add_argument(
        "--hidden", type=option_values.widths, default=(), metavar="N,N,...", help="widths of hidden ReLU layers"
    )
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
        "--standardize-targets",
        action=argparse.BooleanOptionalAction,
        help="bring targets to mean 0 and variance 1 to learn them (default: with X, for losses of any number)",
    )
    model.add_argument(
        "--dtype", choices=("float32", "float64"), default="float32", help="of parameters and arithmetic"
    )
    run = command.add_argument_group("training")
    run.add_argument(
        "--epochs", type=int, help="default: 5, or, of few rows, what makes 5000 updates, 1000 of networks"
    )
    run.add_argument(
        "--batch-size",
        type=option_values.batch_size,
        metavar="ROWS",
        help="rows per update, or 'full' (default: 32 with X, 1 without)",
    )
    run.add_argument(
        "--loss",
        metavar="NAME",
        help=f"one of {', '.join(settings.loss_names())}, see fastgd.losses (default: cross_entropy for "
        "classification, else half_squared_error)",
    )
    settings.add_options(run, "loss", settings.losses())
    run.add_argument(
        "--learning-rate",
        type=option_values.learning_rate,
        metavar="RATE",
        help="step size, or 'auto' (default: auto for SGD without --schedule, else the optimiser's own)",
    )
    run.add_argument(
        "--schedule",
        metavar="NAME[:SETTING=VALUE,...]",
        help="how the learning rate changes, as in Step:step_size=2epochs,gamma=0.5, with counts of updates or of "
        f"epochs; one of {', '.join(settings.classes_in('schedules'))}, see fastgd.schedules",
    )
    run.add_argument(
        "--alpha",
        type=float,
        help="strength of the elastic net on the weights (default: 0.001 for hidden layers with X, else 0; "
        "more where the rows of X are few for its features)",
    )
    run.add_argument("--l1-ratio", type=float, default=0.0, help="share of L1 in the elastic net")
    run.add_argument("--clip-value", type=float, metavar="BOUND", help="most that an element of the gradient may be")
    run.add_argument("--clip-norm", type=float, metavar="BOUND", help="most that the gradient's norm may be")
    run.add_argument("--max-norm", type=float, metavar="BOUND", help="most that a unit's weights' norm may be")
    run.add_argument(
        "--average-from",
        type=int,
        metavar="UPDATE",
        help="make the model the mean of its parameters from this update on",
    )
    run.add_argument("--patience", type=int, metavar="EPOCHS", help="stop after so many without gain on --validation")
    run.add_argument(
        "--shuffle",
        action=argparse.BooleanOptionalAction,
        help="take the rows in a new order in each epoch (default: with X)",
    )
    run.add_argument(
        "--seed", type=option_values.seed, default=0, help="of the initial weights, the orders and the synthetic rows"
    )
    run.add_argument("--out", metavar="MODEL.safetensors", help="where to save the model")
    run.add_argument(
        "--plot",
        metavar="CURVE.png",
        help="where to draw the losses, metrics and learning rates of the epochs; also .svg, .pdf and others",
    )
    run.add_argument(
        "--live",
        action="store_true",
        help="draw the losses in the terminal after each epoch; a line for each where stderr is none",
    )
    run.add_argument(
        "--checkpoint",
        metavar="RUN.safetensors",
        help="where to save the whole run while it goes on, and on Ctrl-C and SIGTERM, for --resume",
    )
    run.add_argument(
        "--every",
        type=every,
        metavar="TIME | UPDATES",
        help="how often to save to --checkpoint: a time as 60s, 10min or 1h, or a number of updates (default: 60s)",
    )
    run.add_argument(
        "--resume",
        action="store_true",
        help="go on from --checkpoint, where it exists, with the options and rows of that run, until it has --epochs",
    )
    run.add_argument("--quiet", action="store_true", help="no progress bar")
    # The last group, as its settings may need the names that others have left.
    kinds = settings.classes_in("optimizers")
    optimizer = command.add_argument_group("optimiser")
    optimizer.add_argument(
        "--optimizer",
        metavar="NAME",
        help=f"auto, or one of {', '.join(kinds)} (default: auto with X, or Adam with --schedule; SGD without X, or "
        "with a setting)",
    )
    settings.add_options(optimizer, "optimizer", kinds)


def _add_predict(commands: Any) -> None:
    command = commands.add_parser("predict", help="apply a saved model to the rows of files")
    command.set_defaults(run=predict.predict)
    command.add_argument("model", help="a .safetensors file that fastgd saved")
    command.add_argument("X", help=_FILES)
    _add_columns(command, _IN_PLACE)
    command.add_argument(
        "--out",
        required=True,
        metavar="P.npy | P.csv | P.parquet",
        help="where to write the predictions, as they are made",
    )
    command.add_argument(
        "--probabilities",
        action="store_true",
        help="a column with the probability of each class, in the order that is reported, in place of labels",
    )


def _add_trace(commands: Any) -> None:
    command = commands.add_parser(
        "trace",
        help="show every number of training steps: forward pass, loss, backward pass, update",
        description="Shows every number of training steps, without changing a file: the outputs and masks of each "
        "layer, the loss, the derivatives, the gradient, and the parameters before and after.",
        formatter_class=HelpFormatter,
    )
    command.set_defaults(run=trace.trace)
    command.add_argument("model", nargs="?", help="a .safetensors file that fastgd saved; none: --example")
    command.add_argument("X", nargs="?", help="features, a .npy file; or a table, with the model's targets or without")
    command.add_argument("y", nargs="?", help="targets of X.npy, labels where the model has classes; none: forward")
    _add_columns(command, _IN_PLACE)
    command.add_argument("--example", choices=("article",), help="the article's neuron and its three rows")
    command.add_argument("--row", type=_rows, metavar="N | FIRST:END", help="rows of X, from 0 (default: 0)")
    command.add_argument("--epochs", type=int, help="how often to go through the rows (default: 1)")
    command.add_argument(
        "--batch-size", type=option_values.batch_size, default=1, metavar="ROWS", help="rows per update, or 'full'"
    )
    command.add_argument(
        "--learning-rate",
        type=_exact_rate,
        metavar="RATE",
        help="of plain SGD (default: 0.001, of the example 1e-7)",
    )
    command.add_argument("--loss", metavar="NAME", help="default: the model's for classes, else half_squared_error")
    command.add_argument("--dtype", choices=("float32", "float64"), help="of the example (default: float64)")
    command.add_argument("--exact", action="store_true", help="in fractions, by plain Python, in place of the kernels")
    command.add_argument("--format", choices=("text", "markdown", "latex", "html"), default="text")


def _rows(text: str) -> tuple[int, int]:
    if not re.fullmatch(r"\d+(:\d+)?", text):
        raise argparse.ArgumentTypeError(f"{text!r}; expected a row, as in 7, or some, as in 3:6")
    first, _, end = text.partition(":")
    return int(first), int(end) if end else int(first) + 1


def _exact_rate(text: str) -> Fraction:
    try:
        return Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise argparse.ArgumentTypeError(f"{text!r}; expected a number, as in 0.01 or 1/100") from None


def _add_export(commands: Any) -> None:
    command = commands.add_parser("export", help="write a saved model as ONNX or as C")
    command.set_defaults(run=export.export)
    command.add_argument("model", help="a .safetensors file that fastgd saved")
    command.add_argument("out", metavar="FILE.onnx | FILE.c", help="the file to write; its suffix says what")
    command.add_argument("--name", help="what the functions of C begin with (default: the file's name)")
