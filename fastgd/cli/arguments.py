"""What the commands may be told, as `--help` shows it."""

import argparse
import re
from typing import Any, NoReturn

from fastgd._version import __version__
from fastgd.cli import info, predict, settings, train
from fastgd.cli.checkpoint import every


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        if message.startswith("unrecognized arguments"):
            is_file = message.endswith(".npy")
            message += "; expected targets by --target" if is_file else "; see fastgd COMMAND --help"
        self.exit(2, f"{self.prog}: error: {message}\n")


class _HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Shows defaults, but none where there is none, or the help has said it."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        has_none = action.default is None or action.default is False or action.default == ()
        return action.help if has_none else super()._get_help_string(action)


def parser() -> argparse.ArgumentParser:
    """The parser of the command line; what it returns has the command itself as `run`."""
    parser = _Parser(
        prog="fastgd",
        description="Gradient descent for linear and ReLU networks, with compiled kernels.",
        epilog="Exit status: 0; 1 if training diverged, after the last finite model is saved where --out asked; 2 for "
        "bad input, for files that cannot be read or written and for too little memory, with one line that says what; "
        "3 for a fault of fastgd's own, with a traceback; 130 for Ctrl-C and 143 for SIGTERM, after the model so far "
        "is saved.",
    )
    parser.add_argument("--version", action="version", version=f"fastgd {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_train(commands)
    _add_predict(commands)
    command = commands.add_parser("warmup", help="compile every kernel once, so that nothing waits for it later")
    command.set_defaults(run=info.warmup)
    command = commands.add_parser("info", help="show versions, threads and the compilation cache")
    command.set_defaults(run=info.info)
    return parser


def _add_train(commands: Any) -> None:
    command = commands.add_parser(
        "train",
        help="train a model on .npy files or synthetic rows",
        formatter_class=_HelpFormatter,
    )
    command.set_defaults(run=train.train)
    data = command.add_argument_group("data")
    data.add_argument("X", nargs="?", help="features, a .npy file, or a folder with X.npy and y.npy; none: --synthetic")
    data.add_argument("--target", metavar="Y.npy", help="targets for X: numbers, or class labels of any kind")
    data.add_argument(
        "--task",
        choices=("auto", "regression", "classification"),
        default="auto",
        help="whether targets are numbers or classes; auto: what the loss takes, or else classes where they are "
        "strings or booleans",
    )
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
        help="rows of a teacher network plus noise, where no X is given",
    )
    data.add_argument("--noise", type=float, default=0.1, help="standard deviation of the synthetic targets' noise")
    model = command.add_argument_group("model")
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
        "--standardize-targets",
        action=argparse.BooleanOptionalAction,
        help="bring targets to mean 0 and variance 1 to learn them (default: with X, for losses of any number)",
    )
    model.add_argument(
        "--dtype", choices=("float32", "float64"), default="float32", help="of parameters and arithmetic"
    )
    run = command.add_argument_group("training")
    run.add_argument("--epochs", type=int, default=5)
    run.add_argument(
        "--batch-size",
        type=_batch_size,
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
        type=_learning_rate,
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
        help="strength of the elastic net on the weights (default: 0.001 for hidden layers with X, else 0)",
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
    run.add_argument("--seed", type=int, default=0, help="of the initial weights, the orders and the synthetic rows")
    run.add_argument("--out", metavar="MODEL.safetensors", help="where to save the model")
    run.add_argument(
        "--checkpoint",
        metavar="RUN.safetensors",
        help="where to save the whole run while it goes on, and on Ctrl-C and SIGTERM, for --resume",
    )
    run.add_argument(
        "--every",
        type=every,
        default="60s",
        metavar="TIME | UPDATES",
        help="how often to save to --checkpoint: a time as 60s, 10min or 1h, or a number of updates",
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
        help=f"auto, or one of {', '.join(kinds)} (default: auto with X; SGD without, or with a setting)",
    )
    settings.add_options(optimizer, "optimizer", kinds)


def _add_predict(commands: Any) -> None:
    command = commands.add_parser("predict", help="apply a saved model to the rows of a .npy file")
    command.set_defaults(run=predict.predict)
    command.add_argument("model", help="a .safetensors file that fastgd saved")
    command.add_argument("X", help="features, a .npy file")
    command.add_argument("--out", required=True, metavar="P.npy", help="where to write the predictions")
    command.add_argument(
        "--probabilities",
        action="store_true",
        help="a column with the probability of each class, in the order that is reported, in place of labels",
    )


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
