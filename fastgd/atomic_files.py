"""Files that are written whole or not at all."""

import contextlib
import errno
import hashlib
import io
import os
import re
import stat
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

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
        with errors_about(path):
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
        with io.BufferedWriter(_Raw(descriptor, path)) as file:
            yield file
            sync(file)
        return
    with errors_about(path):
        part, descriptor = _create_part(place.file)
    file = io.BufferedWriter(_Raw(descriptor, path))
    try:
        with errors_about(path):
            if place.mode is not None and place.mode != stat.S_IMODE(os.fstat(descriptor).st_mode):
                os.chmod(part, place.mode)
        yield file
        sync(file)
        with errors_about(path):
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
    with errors_about(file.raw.path):
        if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            os.fsync(file.fileno())


def require_writable(path: str | os.PathLike) -> None:
    """Raise what `atomic_write` would raise, before there is anything to write."""
    path = os.fsdecode(path)
    place = _Place.of(path)
    with errors_about(path):
        if place.is_stream:
            # Opening a pipe would wait for its reader.
            if not os.access(path, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
            return
        part, descriptor = _create_part(place.file)
        os.close(descriptor)
        os.unlink(part)


def write_array_header(file: BinaryIO, dtype: np.dtype, shape: tuple[int, ...]) -> None:
    """Write the header of a .npy file, to be followed by the elements, row by row."""
    np.lib.format.write_array_header_1_0(file, {"descr": dtype.str, "fortran_order": False, "shape": shape})


@contextlib.contextmanager
def errors_about(path: str) -> Iterator[None]:
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
        with errors_about(self.path):
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
