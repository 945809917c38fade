"""What the texts of options stand for; `argparse.ArgumentTypeError` says what was expected."""

import argparse
import math
import re


def categories(text: str) -> list[tuple[str | None, list[str] | int | str]]:
    """Columns of words: each with its values, how many hashes, or "auto"; without a name, of all."""
    names, is_said, values = text.partition("=")
    if not all(names.split(",")) or (is_said and (not values or "," in names)):
        raise argparse.ArgumentTypeError(
            f"{text!r}; expected auto, NAME,NAME,..., NAME=VALUE,VALUE,... or NAME=NUMBER, as in city=Rome,Oslo, each "
            "after a --categories of its own"
        )
    if text == "auto":
        return [(None, "auto")]
    if not is_said or values == "auto":
        return [(name, "auto") for name in names.split(",")]
    return [(names, int(values) if values.isdecimal() else values.split(","))]


def fills(text: str) -> dict[str, float | str] | str:
    """What takes the place of nulls, by column; or "mean" for all."""
    if text == "mean":
        return text
    parts = [part.partition("=") for part in text.split(",")]
    try:
        return {name: fill if fill == "mean" else float(fill) for name, _, fill in parts}
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r}; expected mean, or NAME=NUMBER,NAME=mean,..., as in age=40"
        ) from None


def class_weight(text: str) -> str | list[tuple[str, float]]:
    """How much the rows of classes weigh, or "balanced"."""
    if text == "balanced":
        return text
    parts = [part.rpartition("=") for part in text.split(",")]
    try:
        weights = [(label, float(weight)) for label, _, weight in parts]
    except ValueError:
        weights = []
    if not weights or not all(label and 0 <= weight < math.inf for label, weight in weights):
        raise argparse.ArgumentTypeError(
            f"{text!r}; expected balanced, or LABEL=WEIGHT,... with weights of at least 0, as in yes=10,no=1"
        )
    return weights


def shape(text: str) -> tuple[int, ...]:
    """Rows, features and perhaps outputs."""
    if not re.fullmatch(r"\d+x\d+(x\d+)?", text):
        raise argparse.ArgumentTypeError(
            f"{text!r}; expected ROWSxFEATURES or ROWSxFEATURESxOUTPUTS, as in 1000000x100"
        )
    return tuple(int(part) for part in text.split("x"))


def widths(text: str) -> tuple[int, ...]:
    """Of hidden layers."""
    if not re.fullmatch(r"0*[1-9]\d*(,0*[1-9]\d*)*", text):
        raise argparse.ArgumentTypeError(f"{text!r}; expected widths of at least 1, as in 64,64")
    return tuple(int(part) for part in text.split(","))


def seed(text: str) -> int:
    """An integer of at least 0."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r}; expected an integer of at least 0")
    return int(text)


def batch_size(text: str) -> int | str:
    """A number of rows, or "full"."""
    if text != "full" and not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r}; expected a number of rows, or 'full'")
    return text if text == "full" else int(text)


def learning_rate(text: str) -> float | str:
    """A number, or "auto"."""
    try:
        return text if text == "auto" else float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}; expected a number, or 'auto'") from None
