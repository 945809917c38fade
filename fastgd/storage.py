"""Files: arrays as safetensors, everything else as JSON in the file's metadata. Nothing is pickled."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from fastgd._version import __version__


def write(path: str | os.PathLike, tensors: dict[str, np.ndarray], **descriptions: dict[str, Any]) -> None:
    """Write a file whole or not at all.

    tensors : arrays by name          descriptions : what `read` gives back beside them, as JSON
    """
    from safetensors.numpy import save

    metadata = {"format": "pt", "fastgd": __version__} | {key: json.dumps(d) for key, d in descriptions.items()}
    content = save({name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}, metadata)
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"cannot write {path}: there is no folder {path.parent}")
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(content)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def read(path: str | os.PathLike, *keys: str) -> tuple[dict[str, np.ndarray], *tuple[dict[str, Any], ...]]:
    """The tensors of a file and the descriptions under the given keys."""
    from safetensors import SafetensorError, safe_open

    if os.path.isdir(path):
        raise ValueError(f"{path} is a folder; expected a safetensors file")
    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (safe_open is no dict)
    except SafetensorError as error:
        raise ValueError(f"{path} is not a safetensors file: {error}") from None
    missing = [key for key in keys if key not in metadata]
    if missing:
        raise ValueError(f"{path} holds no {missing[0]} of fastgd's in its metadata; expected a file that fastgd saved")
    return tensors, *(json.loads(metadata[key]) for key in keys)
