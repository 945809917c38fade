"""`fastgd info` and `fastgd warmup`: what there is, what it has compiled, and what files hold."""

import argparse
import os
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fastgd.cli.output import say
from fastgd.cli.rows import categories_of, is_npy, open_rows

if TYPE_CHECKING:
    from fastgd.data import Dataset, Stream

# So many names of columns are shown.
_NAMES = 12
_PLAIN = re.compile(r"[\w.:+-]+( [\w.:+-]+)*")


def warmup(_: argparse.Namespace) -> int:
    """Compile the kernels."""
    from fastgd import kernels
    from fastgd.cli.warmup import warmup

    say(f"compiled in {warmup():.1f} s; kept in {kernels.cache_directory()}")
    return 0


def info(options: argparse.Namespace) -> int:
    """Show what there is, or what files hold."""
    if options.data is not None and _is_safetensors(options.data):
        if options.target or options.features or options.drop or options.categories or options.fill_nulls:
            raise ValueError(f"{options.data} is a model, and has its own columns; expected the model's file alone")
        lines = _of_model(options.data)
    elif options.data is not None:
        lines = _of_rows(_opened(options))
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


def _opened(options: argparse.Namespace) -> "Dataset | Stream":
    from fastgd import data

    if is_npy(options.data) and options.data.endswith(".npy"):
        return data.open(options.data, target=options.target)
    options.X = options.data
    options.categories = categories_of(options)
    return open_rows(options, options.data, takes_any=True)


def _of_rows(rows: "Dataset | Stream") -> dict[str, str]:
    """What rows are; tables are read once where they have words or, as CSV, say nothing of rows and nulls."""
    from fastgd.data.base import Dataset

    n_rows, nulls, values = rows.n_samples, None, {}
    if hasattr(rows, "null_counts"):
        nulls = rows.null_counts()
        if rows.others or nulls is None:
            from fastgd.data.columnar.contents import contents_of

            n_rows, nulls, values = contents_of(rows)
    lines = {"rows": "as many as there are: known once they were read" if n_rows is None else f"{n_rows:,}"}
    weights = ", weights" if rows.has_sample_weight else ""
    lines["columns"] = f"{_counted(rows.n_features, 'feature')}, {_counted(rows.n_outputs, 'target')}{weights}"
    names = rows.chosen.features if values else rows.feature_names
    if names:
        lines["features"] = _some(names)
    lines["types"] = _types(rows)
    if values:
        lines["not numbers"] = f"{', '.join(values)}: --drop NAME, or --categories NAME or auto, for training"
        lines |= {f"  {name}": _values(rows.types[name], known, nulls[name]) for name, known in values.items()}
    if nulls is not None:
        lines["nulls"] = _nulls(nulls)
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


def _nulls(counts: dict[str, int]) -> str:
    """In which columns there are nulls, which training refuses."""
    found = [f"{count:,} in {name}" for name, count in counts.items() if count]
    more = f", ... and in {len(found) - _NAMES} more" if len(found) > _NAMES else ""
    return ", ".join(found[:_NAMES]) + more + ": --fill-nulls mean, for training" if found else "none"


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


def _types(rows: "Dataset | Stream") -> str:
    """The dtypes of the parts where they are known, else what they are read as."""
    types = getattr(rows, "types", None)
    if types is not None:
        return _some([f"{name} {type_}" for name, type_ in types.items()])
    dtypes = getattr(rows, "dtypes", None)
    if dtypes is None:
        parts = {name: getattr(rows, name, None) for name in ("X", "y", "sample_weight")}
        dtypes = {name: part.dtype for name, part in parts.items() if part is not None and 0 not in part.shape}
    return ", ".join(f"{name} {dtype}" for name, dtype in dtypes.items()) or f"read as {rows.dtype}"
