"""Files, written whole or not at all. Saved models and runs are safetensors, with all but the arrays as JSON in the
metadata; nothing is pickled.
"""

import contextlib
import errno
import hashlib
import io
import json
import os
import re
import stat
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np

from fastgd._version import __version__

# A process that was killed leaves its part of a file behind. One that nobody has written to for so long is such a part.
_ABANDONED_AFTER = 3600
# Windows replaces no file that some process has open.
_REPLACES_OPEN_FILES = os.name != "nt"


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike) -> Iterator[BinaryIO]:
    """A binary file that takes the place of another at the end of the block, whole, or not at all.

    Any number of threads, processes and machines may write the same file: each works on a part of its own, in the same
    folder, and the last one to end is the one that is found. What was there keeps its mode. Where the path is a
    symbolic link, the file that it leads to is replaced. What is no file (a pipe, a device, /dev/stdout) is written to.

    Raises
    ------
    OSError
        With the path as its filename, where it cannot be written; what was there is as it was.
    ValueError
        For an empty path.
    """
    path = os.fsdecode(path)
    place = _Place.of(path)
    if place.is_stream:
        with _errors_about(path):
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
        with io.BufferedWriter(_Raw(descriptor, path)) as file:
            yield file
            sync(file)
        return
    with _errors_about(path):
        part, descriptor = _create_part(place.file)
    file = io.BufferedWriter(_Raw(descriptor, path))
    try:
        with _errors_about(path):
            if place.mode is not None and place.mode != stat.S_IMODE(os.fstat(descriptor).st_mode):
                os.chmod(part, place.mode)
        yield file
        sync(file)
        with _errors_about(path):
            file.close()
            _replace(part, place.file)
    except BaseException:
        with contextlib.suppress(OSError):
            # The buffer goes with the part: flushing it could only fail again.
            file.raw.close()
        with contextlib.suppress(OSError):
            os.unlink(part)
        raise


def sync(file: BinaryIO) -> None:
    """Have what was written to a file of `atomic_write` outlive a power failure, where it is a file."""
    file.flush()
    with _errors_about(file.raw.path):
        if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            os.fsync(file.fileno())


def require_writable(path: str | os.PathLike) -> None:
    """Raise what `atomic_write` would raise, before there is anything to write."""
    path = os.fsdecode(path)
    place = _Place.of(path)
    with _errors_about(path):
        if place.is_stream:
            # Opening a pipe would wait for its reader.
            if not os.access(path, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
            return
        part, descriptor = _create_part(place.file)
        os.close(descriptor)
        os.unlink(part)


def write_array(file: BinaryIO, array: np.ndarray) -> None:
    """Write an array as .npy; unlike `numpy.save`, to a pipe too, and with the system's errors."""
    write_array_header(file, array.dtype, array.shape)
    file.write(np.ascontiguousarray(array).data)


def write_array_header(file: BinaryIO, dtype: np.dtype, shape: tuple[int, ...]) -> None:
    """Write the header of a .npy file, to be followed by the elements, row by row."""
    np.lib.format.write_array_header_1_0(file, {"descr": dtype.str, "fortran_order": False, "shape": shape})


@contextlib.contextmanager
def _errors_about(path: str) -> Iterator[None]:
    """Errors of the operating system name this path, and not a part of the file or nothing."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, path) from None


class _Raw(io.FileIO):
    """What a buffer writes to; its errors name the file."""

    def __init__(self, descriptor: int, path: str) -> None:
        super().__init__(descriptor, "wb")
        self.path = path

    def write(self, data: Any) -> int | None:
        with _errors_about(self.path):
            return super().write(data)


@dataclass
class _Place:
    """Where a path leads.

    file : the file to replace, symbolic links followed          mode : its mode, if it exists
    is_stream : whether it is to be written to as it is
    """

    file: str
    mode: int | None = None
    is_stream: bool = False

    @classmethod
    def of(cls, path: str) -> "_Place":
        """Raise an error where no file can be."""
        if not path:
            raise ValueError("the path is empty; expected the name of a file to write")
        try:
            status = os.stat(path)
        except FileNotFoundError:
            status = None
        if not os.path.basename(path) or (status is not None and stat.S_ISDIR(status.st_mode)):
            raise IsADirectoryError(errno.EISDIR, "is a folder; expected the name of a file to write", path)
        file = _followed(path)
        if status is not None and (file is None or not stat.S_ISREG(status.st_mode)):
            return cls(path, is_stream=True)
        folder = os.path.dirname(file)
        if not os.path.isdir(folder):
            raise FileNotFoundError(errno.ENOENT, f"cannot write: there is no folder {folder}", path)
        return cls(file, None if status is None else stat.S_IMODE(status.st_mode))


def _followed(path: str) -> str | None:
    """The file that symbolic links lead to; None where one stands for an open descriptor, as /dev/stdout does."""
    while True:
        folder = os.path.realpath(os.path.dirname(path))
        if not os.path.islink(path):
            return os.path.join(folder, os.path.basename(path))
        if re.fullmatch(r"/proc/.+/fd", folder):
            return None
        path = os.path.join(folder, os.readlink(path))


def _create_part(file: str) -> tuple[str, int]:
    """A new file beside another one, as (path, descriptor); parts of the same that were abandoned are removed."""
    folder, name = os.path.split(file)
    # Where the name is as long as names may be, a longer one with it inside could not be made.
    prefix = f".fastgd-{hashlib.sha256(os.fsencode(name)).hexdigest()[:16]}-"
    part = os.path.join(folder, f"{prefix}{uuid.uuid4().hex}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    # The clock of the file system need not be this machine's.
    now = os.fstat(descriptor).st_mtime
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(prefix) and entry.name.endswith(".part"):
                with contextlib.suppress(OSError):
                    if now - entry.stat(follow_symlinks=False).st_mtime > _ABANDONED_AFTER:
                        os.unlink(entry)
    return part, descriptor


def _replace(part: str, file: str) -> None:
    """Put a part in the place of its file, to outlive a power failure there."""
    try:
        os.replace(part, file)
    except PermissionError as error:
        if _REPLACES_OPEN_FILES:
            raise
        reason = "the file is open or mapped elsewhere, or may not be replaced; close what reads it, and save again"
        raise PermissionError(error.errno, reason, file) from None
    # The file is whole and in its place, whether or not a system can sync folders.
    with contextlib.suppress(OSError):
        descriptor = os.open(os.path.dirname(file), os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write(path: str | os.PathLike, tensors: dict[str, np.ndarray], **descriptions: dict[str, Any]) -> None:
    """Write tensors whole or not at all, with a checksum.

    tensors : arrays by name          descriptions : what `opened` gives back beside them, as JSON
    """
    from safetensors.numpy import save

    tensors = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    metadata = {"format": "pt", "fastgd": __version__} | {key: json.dumps(d) for key, d in descriptions.items()}
    # Another thread may be training these arrays: the checksum is taken of the copy that is written, and put into it.
    placeholder = uuid.uuid4().hex * 2
    content = memoryview(save(tensors, metadata | {_CHECKSUM: placeholder}))
    begin = 8 + int.from_bytes(content[:8], "little")
    header, data = bytes(content[:begin]), content[begin:]
    places = {name: spec["data_offsets"] for name, spec in json.loads(header[8:]).items() if name in tensors}
    digests = {name: hashlib.sha256(data[slice(*place)]).hexdigest() for name, place in places.items()}
    specs = {name: (tensor.dtype.name, tensor.shape) for name, tensor in tensors.items()}
    checksum = _checksum(metadata, specs, digests)
    with atomic_write(path) as file:
        file.write(header.replace(placeholder.encode(), checksum.encode()))
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
    path: str | os.PathLike, *keys: str, ignored: Iterable[str] = ()
) -> Iterator[tuple[dict[str, SavedTensor], *tuple[dict[str, Any], ...]]]:
    """The tensors of a file that `write` wrote, by name, and the descriptions under the given keys.

    What the block makes of them may be used once it has ended: then the checksum was compared. It is to take nothing
    but what it expects. Of a file from before there was a checksum, that is all there is to know.

    ignored : descriptions that the file may have too; tensors "<description>.<name>" are then left out

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
            if "estimator" in metadata and "estimator" not in keys:
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
