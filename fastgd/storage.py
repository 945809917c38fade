"""Saved models and runs: safetensors, with all but the arrays as JSON in the metadata; nothing is pickled."""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fastgd._version import __version__
from fastgd.atomic_files import atomic_write

# What the names of an estimator's tensors begin with, beside those of its run; and of those of the model that predicts,
# where that is not the one that goes on training.
ESTIMATOR_PREFIX, ESTIMATOR_MODEL_PREFIX = "estimator.", "estimator.model."

# Of exports, which are another format.
_EXPORTS = (".onnx", ".c")


def require_name(path: str | os.PathLike) -> None:
    """Raise a ValueError for a path that is named as an export, and a TypeError for what is no path."""
    if not isinstance(path, str | bytes | os.PathLike):
        raise TypeError(f"path is {path!r}; expected the name of a file, such as model.safetensors")
    if os.fsdecode(path).lower().endswith(_EXPORTS):
        raise ValueError(
            f"{os.fsdecode(path)} is named as an export; expected a name such as model.safetensors, or "
            "model.to_onnx(path) for ONNX and model.to_c(path) for C"
        )


def write(path: str | os.PathLike, tensors: dict[str, np.ndarray], **descriptions: dict[str, Any]) -> None:
    """Write tensors whole or not at all, with a checksum.

    tensors : arrays by name          descriptions : what `opened` gives back beside them, as JSON

    Raises a ValueError for a path that is named as an export.
    """
    from safetensors.numpy import save

    require_name(path)
    tensors = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    metadata = {"format": "pt", "fastgd": __version__} | {key: json.dumps(d) for key, d in descriptions.items()}
    # Another thread may be training these arrays: the checksum is taken of the copy that is written.
    content = memoryview(save(tensors))
    begin = 8 + int.from_bytes(content[:8], "little")
    header, data = json.loads(bytes(content[8:begin])), content[begin:]
    digests = {name: hashlib.sha256(data[slice(*header[name]["data_offsets"])]).hexdigest() for name in tensors}
    specs = {name: (tensor.dtype.name, tensor.shape) for name, tensor in tensors.items()}
    # The order of safetensors' own metadata differs from call to call; equal models are to be equal files.
    header["__metadata__"] = metadata | {_CHECKSUM: _checksum(metadata, specs, digests)}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with atomic_write(path) as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.write(data)


@dataclass
class SavedTensor:
    """A tensor in a file: its dtype's name and its shape; as an array, it is read."""

    dtype: str
    shape: tuple[int, ...]
    _file: Any = field(repr=False)
    _name: str
    _digests: dict[str, str] = field(repr=False)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        array = self._file.get_tensor(self._name)
        self._digests[self._name] = hashlib.sha256(array.ravel().view(np.uint8)).hexdigest()
        return array if dtype is None else array.astype(dtype, copy=False)


@contextlib.contextmanager
def opened(
    path: str | os.PathLike, *keys: str, ignored: Iterable[str] = (), preferred: str = ""
) -> Iterator[tuple[dict[str, SavedTensor], *tuple[dict[str, Any], ...]]]:
    """The tensors of a file that `write` wrote, by name, and the descriptions under the given keys.

    What the block makes of them may be used once it has ended: then the checksum was compared. It is to take nothing
    but what it expects. Of a file without a checksum, that is all there is to know.

    ignored : descriptions that the file may have too; tensors "<description>.<name>" are then left out
    preferred : with what the names of tensors begin that take the place of those without

    Raises
    ------
    ValueError
        If the file is not one that `write` wrote, or was changed since, or the block failed with what it holds.
    """
    from safetensors import SafetensorError, safe_open

    path = os.fsdecode(path)
    if os.path.isdir(path):
        raise ValueError(f"{path} is a folder; expected a safetensors file")
    try:
        file = safe_open(path, framework="np")
    except SafetensorError as error:
        raise ValueError(f"{path} is not a safetensors file: {error}") from None
    with file:
        metadata = file.metadata() or {}
        missing = [key for key in keys if key not in metadata]
        if missing:
            raise ValueError(
                f"{path} holds no {missing[0]} of fastgd's in its metadata; expected a file that fastgd saved"
            )
        try:
            if "estimator" in metadata and "estimator" not in {*keys, *ignored}:
                kind = json.loads(metadata["estimator"])["type"]
                raise ValueError(
                    f"the file holds a {kind}; expected fastgd.sklearn.{kind}.load, which has it as model_"
                )
            require_names(metadata, "metadata", ("format", "fastgd", *keys), (_CHECKSUM, *ignored))
            tensors, digests = {}, {}
            for name in file.keys():  # noqa: SIM118 (safe_open is no dict)
                spec = file.get_slice(name)
                dtype = _DTYPES.get(spec.get_dtype(), spec.get_dtype())
                tensors[name] = SavedTensor(dtype, tuple(spec.get_shape()), file, name, digests)
            others = tuple(f"{key}." for key in ignored if key in metadata)
            expected = {name: tensor for name, tensor in tensors.items() if not name.startswith(others)}
            if preferred:
                replacing = {name: tensor for name, tensor in tensors.items() if name.startswith(preferred)}
                expected |= {name.removeprefix(preferred): tensor for name, tensor in replacing.items()}
            yield expected, *(json.loads(metadata[key]) for key in keys)
            _require_checksum(metadata, tensors, digests)
        except _DAMAGES as error:
            what = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
            raise ValueError(f"{path}: {what}") from error


def require_names(found: Iterable[str], what: str, expected: Iterable[str], optional: Iterable[str] = ()) -> None:
    """Raise a ValueError unless all expected names were found, and no others but optional ones.

    what : what the names are in
    """
    found, expected = set(found), set(expected)
    if expected <= found <= expected | set(optional):
        return
    differences = [f"{name!r} is missing" for name in sorted(expected - found)]
    differences += [f"{name!r} is not expected" for name in sorted(found - expected - set(optional))]
    raise ValueError(
        f"{what}: {', '.join(differences)}; expected what fastgd {__version__} saves, "
        f"{', '.join(map(repr, sorted(expected)))}"
    )


_CHECKSUM = "sha256"

# As safetensors calls them, and as NumPy does, or would where it has none.
_DTYPES = {"BOOL": "bool", "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "C64": "complex64"}
_DTYPES |= {"I64": "int64", "I32": "int32", "I16": "int16", "I8": "int8"}
_DTYPES |= {"U64": "uint64", "U32": "uint32", "U16": "uint16", "U8": "uint8"}

# Where a description is not what it should be, anything that works with it may trip over it.
_DAMAGES = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


def _checksum(
    metadata: Mapping[str, str], specs: Mapping[str, tuple[str, tuple[int, ...]]], digests: Mapping[str, str]
) -> str:
    """Of all metadata but the checksum, and each tensor's name, dtype, shape and content."""
    others = sorted((key, value) for key, value in metadata.items() if key != _CHECKSUM)
    tensors = [(name, *specs[name], digests[name]) for name in sorted(specs)]
    return hashlib.sha256(json.dumps([others, tensors]).encode()).hexdigest()


def _require_checksum(metadata: dict[str, str], tensors: dict[str, SavedTensor], digests: dict[str, str]) -> None:
    if _CHECKSUM not in metadata:
        return
    for name in tensors.keys() - digests.keys():
        np.asarray(tensors[name])
    specs = {name: (tensor.dtype, tensor.shape) for name, tensor in tensors.items()}
    if _checksum(metadata, specs, digests) != metadata[_CHECKSUM]:
        raise ValueError("the file is damaged: its content is not what its checksum was taken of")
