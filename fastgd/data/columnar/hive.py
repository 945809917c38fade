"""Columns that the names of folders stand for, as year=2024/month=1/rows.parquet."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa

# What Hive calls a folder of nulls.
_NULL = "__HIVE_DEFAULT_PARTITION__"


def keys_of(path: Path, folder: Path | None) -> dict[str, str | None]:
    """Names and values of the columns that the folders between `folder` and a file stand for, as text."""
    if folder is None:
        return {}
    pairs = [part.split("=", 1) for part in path.relative_to(folder).parts[:-1] if "=" in part]
    return {name: None if value == _NULL else unquote(value) for name, value in pairs}


def types_of(paths: Sequence[Path], folder: Path | None) -> dict[str, Any]:
    """The type of each of these columns: integers, numbers or text, whatever all values are.

    Raises a ValueError where files do not stand in folders of the same columns.
    """
    keys = [keys_of(path, folder) for path in paths]
    for path, its in zip(paths, keys, strict=True):
        if its.keys() != keys[0].keys():
            raise ValueError(
                f"{path} is in folders of {sorted(its) or 'no columns'} and {paths[0]} of "
                f"{sorted(keys[0]) or 'none'}; expected the same, as year=2024"
            )
    values = {name: [its[name] for its in keys if its[name] is not None] for name in keys[0]}
    return {name: _type_of(texts) for name, texts in values.items()}


def _type_of(texts: list[str]) -> Any:
    for type_ in (pa.int64(), pa.float64()):
        try:
            pa.array(texts, pa.string()).cast(type_)
        except pa.ArrowInvalid:
            continue
        return type_
    return pa.string()


def with_keys(schema: Any, types: Mapping[str, Any]) -> Any:
    """A file's schema with these columns."""
    for name, type_ in types.items():
        if schema.get_field_index(name) < 0:
            schema = schema.append(pa.field(name, type_))
    return schema


def add_keys(batch: Any, keys: Mapping[str, str | None], types: Mapping[str, Any]) -> Any:
    """A batch with these columns, each of one value."""
    for name, text in keys.items():
        value = None if text is None else pa.scalar(text).cast(types[name])
        column = pa.nulls(batch.num_rows, types[name]) if value is None else pa.repeat(value, batch.num_rows)
        batch = batch.append_column(name, column)
    return batch
