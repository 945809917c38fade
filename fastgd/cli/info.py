"""`fastgd info` and `fastgd warmup`: what there is, what it has compiled, and what files hold."""

import argparse
import os
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fastgd.cli.npy_files import npy_arrays
from fastgd.cli.output import say
from fastgd.cli.rows import categories_of, is_npy, open_rows

if TYPE_CHECKING:
    import numpy as np

    from fastgd.data import Dataset, Stream
    from fastgd.data.columnar.table import Table

# So many names of columns are shown.
_NAMES = 12
_PLAIN = re.compile(r"[\w.:+-]+( [\w.:+-]+)*")


def warmup(_: argparse.Namespace) -> int:
    """Compile the kernels."""
    from fastgd import kernels
    from fastgd.cli.warmup import warmup

    seconds = warmup()
    kept = f"kept in {kernels.cache_directory()}" if kernels.cache_is_writable() else "kept nowhere (see fastgd info)"
    say(f"compiled in {seconds:.1f} s; {kept}")
    return 0


def info(options: argparse.Namespace) -> int:
    """Show what there is, or what files hold."""
    if options.data is not None and _is_safetensors(options.data):
        if options.target or options.features or options.drop or options.categories or options.fill_nulls:
            raise ValueError(f"{options.data} is a model, and has its own columns; expected the model's file alone")
        lines = _of_model(options.data)
    elif options.data is not None:
        lines = _of_rows(*_opened(options))
    else:
        from fastgd.cli import machine

        lines = machine.describe()
    for name, value in lines.items():
        say(f"{name:14} {value}")
    return 0


def _is_safetensors(path: str) -> bool:
    """Whether a file is called so, or begins as safetensors do, with the length of a header in JSON."""
    if not os.path.isfile(path):
        return False
    if path.endswith(".safetensors"):
        return True
    with open(path, "rb") as file:
        begin = file.read(9)
    return begin[8:] == b"{" and int.from_bytes(begin[:8], "little") < os.path.getsize(path)


def _of_model(path: str) -> dict[str, str]:
    """What a model is, and the columns that it was trained on."""
    from fastgd import Model, labels

    model = Model.load(path)
    lines = {
        "model": ", ".join(map(str, model.layers)),
        "parameters": f"{model.parameters.size:,}, {model.dtype}",
        "columns": f"{_counted(model.in_features, 'feature')}, {_counted(model.out_features, 'output')}",
    }
    columns = model.columns
    if columns is None:
        lines["features"] = "without names: rows are taken by the places of their columns"
    else:
        lines["features"] = _some(columns.features)
        for name, categories in columns.categories.items():
            is_hashed = isinstance(categories, int)
            lines[f"  {name}"] = f"{categories:,} hashes" if is_hashed else _some(list(map(str, categories)))
        if columns.fills:
            lines["nulls"] = _some([f"{fill:.6g} for those in {name}" for name, fill in columns.fills.items()])
        if columns.targets:
            lines["target"] = _some(columns.targets)
    if model.classes is not None:
        lines["classes"] = f"{len(model.classes)}: {labels.shown(model.classes)}"
    elif model.labels is not None:
        are = ("rates", "logarithms") if model.labels.are_rates else ("probabilities", "logits")
        lines["targets"] = f"{are[0]}: the outputs are their {are[1]}"
    return lines


def _opened(options: argparse.Namespace) -> "tuple[Dataset | Stream, np.ndarray | None]":
    """The rows, and the targets of .npy files."""
    if os.path.exists(options.data) and is_npy(options.data):
        arrays = npy_arrays(options, options.data)
        return arrays.rows, arrays.y
    options.X = options.data
    options.categories = categories_of(options)
    return open_rows(options, options.data, takes_any=True), None


def _of_rows(rows: "Dataset | Stream", y: "np.ndarray | None") -> dict[str, str]:
    """What rows are; tables are read once where they have words or, as CSV, say nothing of rows and nulls.

    y : the targets of .npy files, which rows have not where they are words
    """
    from fastgd.data.base import Dataset

    n_rows, nulls, values, may_be_categories = rows.n_samples, None, {}, set()
    if hasattr(rows, "null_counts"):
        nulls = rows.null_counts()
        if rows.others or nulls is None:
            from fastgd.data.columnar.contents import contents_of
            from fastgd.data.columnar.found_values import are_too_many, words_in

            n_rows, nulls, values = contents_of(rows)
            words = set(words_in(rows)) - set(rows.nearly_numbers)
            may_be_categories = {name for name in words if not are_too_many(values[name], n_rows)}
    lines = {"rows": "as many as there are: known once they were read" if n_rows is None else f"{n_rows:,}"}
    weights = ", weights" if rows.has_sample_weight else ""
    n_targets = rows.n_outputs if y is None else y[:1].size
    lines["columns"] = f"{_counted(rows.n_features, 'feature')}, {_counted(n_targets, 'target')}{weights}"
    names = rows.chosen.features if values else rows.feature_names
    if names:
        lines["features"] = _some(names)
    lines["types"] = _types(rows, y)
    target = _target(rows, y)
    if target:
        lines["target"] = target
    if values:
        about = {name: _about_words(rows, name, name in may_be_categories) for name in values}
        lines["not numbers"] = _advised(about)
        lines |= {f"  {name}": _values(rows.types[name], known, nulls[name]) for name, known in values.items()}
    if nulls is not None:
        about = {name: _about_nulls(rows, name, name in may_be_categories) for name, count in nulls.items() if count}
        found = {f"{nulls[name]:,} in {name}": said for name, said in about.items()}
        lines["nulls"] = _advised(found) or "none"
    lines["order"] = "any: rows can be shuffled" if isinstance(rows, Dataset) else "that of the files"
    if isinstance(rows, Dataset):
        if rows.is_sparse:
            lines["entries"] = f"{rows.entries_per_row:.1f} in a row"
        size = n_rows * rows.row_bytes
        lines["size"] = f"{size / 1e6:,.1f} MB of features"
    if rows.starts is not None:
        n_chunks = len(rows.starts)
        average = "" if n_rows is None else f", {n_rows / n_chunks:,.0f} rows on average"
        lines["blocks"] = f"{n_chunks:,}{average}"
    return lines


def _some(names: Sequence[str]) -> str:
    """Names, up to so many."""
    return ", ".join(names[:_NAMES]) + (f", ... and {len(names) - _NAMES} more" if len(names) > _NAMES else "")


def _target(rows: "Dataset | Stream", y: "np.ndarray | None") -> str:
    """What the targets are called, and what a single one is; nothing where types say it all."""
    import numpy as np

    from fastgd import labels

    if y is not None:
        kind = "booleans" if y.dtype.kind == "b" else "words"
        return _values(kind, np.unique(y).tolist(), 0) if labels.are_words(y) else ""
    chosen = getattr(rows, "chosen", None)
    if chosen is None or len(chosen.targets) != 1:
        return "" if chosen is None else _some(chosen.targets)
    (name,) = chosen.targets
    categories = chosen.categories.get(name)
    known = _values(rows.types[name], categories, 0) if isinstance(categories, list) else rows.types[name]
    return f"{name}: {known}"


def _about_words(rows: "Table", name: str, may_be_categories: bool) -> str:
    """What to do for training about a column that holds no numbers."""
    from fastgd.data.columnar.found_values import words_in
    from fastgd.data.frames import TIMES

    if name in rows.nearly_numbers:
        return "--drop NAME, or correct what is no number"
    if may_be_categories:
        return "--drop NAME, or --categories NAME or auto"
    if name in words_in(rows):
        return "--drop NAME, or --categories NAME=64"
    return "--drop NAME, or make numbers of it before" if rows.types[name].startswith(TIMES) else "--drop NAME"


def _about_nulls(rows: "Table", name: str, may_be_categories: bool) -> str:
    """What to do for training about the nulls of a column, or what was done."""
    chosen = rows.chosen
    if name in rows.others:
        as_word = "--categories NAME or auto, where a null is a category"
        return as_word if may_be_categories else _about_words(rows, name, may_be_categories)
    if name not in chosen.features or rows.types[name].startswith("fixed_size_list"):
        return "leave such rows out"
    categories = chosen.categories.get(name)
    if categories is None:
        return "filled" if name in chosen.fills else "--fill-nulls mean"
    if isinstance(categories, int):
        return "hashed"
    return (
        "a category"
        if None in categories or "" in categories
        else "--categories NAME or auto, where a null is a category"
    )


def _advised(advice: dict[str, str]) -> str:
    """What is said of each of some, together where it is the same."""
    groups: dict[str, list[str]] = {}
    for each, said in advice.items():
        groups.setdefault(said, []).append(each)
    is_done = groups.keys() <= {"a category", "filled", "hashed"}
    return "; ".join(f"{_some(names)}: {said}" for said, names in groups.items()) + (
        "" if is_done else ", for training"
    )


def _values(type_: str, known: list[Any] | None, n_nulls: int) -> str:
    """What a column holds that is not of numbers."""
    if known is None:
        said = "many values"
    else:
        shown = ", ".join(map(_shown, known[:_NAMES])) + (", ..." if len(known) > _NAMES else "")
        said = f"{_counted(len(known), 'value')}: {shown}" if known else "no values"
    return f"{type_}, {said}" + (f", {_counted(n_nulls, 'null')}" if n_nulls else "")


def _shown(value: Any) -> str:
    """A value, in quotes where it would not be seen where it begins and ends."""
    text = str(value)
    return text if _PLAIN.fullmatch(text) else repr(text)


def _counted(number: int, name: str) -> str:
    return f"{number:,} {name}{'' if number == 1 else 's'}"


def _types(rows: "Dataset | Stream", y: "np.ndarray | None") -> str:
    """The dtypes of the parts where they are known, else what they are read as."""
    types = getattr(rows, "types", None)
    if types is not None:
        return _some([f"{name} {type_}" for name, type_ in types.items()])
    dtypes = getattr(rows, "dtypes", None)
    if dtypes is None:
        parts = {"X": getattr(rows, "X", None), "y": getattr(rows, "y", None) if y is None else y}
        parts["sample_weight"] = getattr(rows, "sample_weight", None)
        dtypes = {name: part.dtype for name, part in parts.items() if part is not None and 0 not in part.shape}
    return ", ".join(f"{name} {dtype}" for name, dtype in dtypes.items()) or f"read as {rows.dtype}"
