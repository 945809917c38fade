"""Machine code that is kept on disk, for the processes that come later.

Each function and signature has a file of its own, which is named by all that the machine code depends on: there is no
index, of which processes that save at once would lose each other's entries, and which none of them could read once it
had a class of a module that they cannot import.
"""

import contextlib
import errno
import functools
import hashlib
import os
import pickle
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba import types
from numba.core.caching import FunctionCache, IndexDataCacheFile, _cache_log
from platformdirs import user_cache_dir

_PACKAGE = __name__.partition(".")[0]


def _digest() -> str:
    """Name the state of every kernel file.

    Numba stamps a cached function with the content of its own file only, so it would go on running the old machine
    code after an edit to a kernel that the function calls. NUMBA_BOUNDSCHECK changes the code too, and is not in
    Numba's key.
    """
    state = [path.read_bytes() for path in sorted(Path(__file__).parents[1].rglob("*.py"))]
    state.append(os.environ.get("NUMBA_BOUNDSCHECK", "").encode())
    return hashlib.sha256(b"\0".join(state)).hexdigest()[:12]


_DIGEST = _digest()
_DIGEST_BYTES = hashlib.sha256().digest_size


class _CacheLocator(FunctionCache._impl_class._locator_classes[0]):
    """Finds the folder as Numba does for NUMBA_CACHE_DIR, and takes one that can only be read, too."""

    def ensure_cache_path(self) -> None:
        """Raise an OSError unless there is a folder to read from."""
        path = self.get_cache_path()
        with contextlib.suppress(OSError):
            os.makedirs(path, exist_ok=True)
        if not os.access(path, os.R_OK | os.X_OK):
            raise OSError(errno.EACCES, os.strerror(errno.EACCES), path)


class _CacheImplementation(FunctionCache._impl_class):
    _locator_classes = (_CacheLocator,)


class _CacheFile(IndexDataCacheFile):
    """A file for each key. A full disk, a power failure or whatever else may have damaged it: then it is not there."""

    def save(self, key: str | None, data: Any) -> None:
        """Keep what has a key."""
        if key is not None:
            self._save_data(self._data_name(key), data)

    def load(self, key: str | None) -> Any:
        """What was kept, or None."""
        if key is None:
            return None
        path = self._data_path(self._data_name(key))
        try:
            content = Path(path).read_bytes()
        except OSError:
            return None
        pickled = content[:-_DIGEST_BYTES]
        # Damaged machine code would end the process.
        if hashlib.sha256(pickled).digest() != content[-_DIGEST_BYTES:]:
            return None
        _cache_log("[cache] data loaded from %r", path)
        return pickle.loads(pickled)

    def _data_name(self, key: str) -> str:
        digest = hashlib.sha256(repr((self._version, self._source_stamp, key)).encode()).digest()
        return self._data_name_pattern.format(number=int.from_bytes(digest[:16]))

    def _dump(self, obj: Any) -> bytes:
        pickled = super()._dump(obj)
        return pickled + hashlib.sha256(pickled).digest()


class Cache(FunctionCache):
    """Machine code in a folder of the user's: whatever is wrong with it, training goes on."""

    _impl_class = _CacheImplementation

    def __init__(self, function: Callable) -> None:
        super().__init__(function)
        stamp = self._impl.locator.get_source_stamp()
        self._cache_file = _CacheFile(self._cache_path, self._impl.filename_base, stamp)

    def save_overload(self, sig: Any, data: Any) -> None:
        """As Numba's, with a warning where a file cannot be written."""
        try:
            super().save_overload(sig, data)
        except OSError as error:
            warn_of_cache(f" in {self._cache_path} ({error.strerror})")

    def _index_key(self, sig: tuple[types.Type, ...], codegen: Any) -> str | None:
        _, *rest = super()._index_key(sig, codegen)
        names = [_name_of(kind) for kind in sig]
        return None if None in names else repr((names, rest))


def _name_of(kind: types.Type) -> str | None:
    """What tells a type from all others, in every process, or None where nothing does."""
    if isinstance(kind, types.Callable) and not isinstance(kind, types.NamedTupleClass):
        return None
    parts = [_name_of(part) for part in kind.types] if isinstance(kind, types.BaseTuple) else []
    described = _description_of(kind.instance_class) if hasattr(kind, "instance_class") else ""
    return None if described is None or None in parts else f"{type(kind).__name__} {kind} {parts} {described}"


@functools.cache
def _description_of(cls: type) -> str | None:
    """A class of settings by its name, its fields and, where it is not of this package, the file that it comes from.

    The file is likely to have the kernel that the settings belong to, whose machine code is part of its callers'.
    """
    name = f"{cls.__module__}.{cls.__qualname__}{getattr(cls, '_fields', ())}"
    if cls.__module__.partition(".")[0] == _PACKAGE:
        return name
    try:
        source = Path(sys.modules[cls.__module__].__file__).read_bytes()
    except (KeyError, AttributeError, TypeError, OSError):
        return None
    return f"{name} {hashlib.sha256(source).hexdigest()}"


def cache_of(function: Callable) -> Cache:
    """The cache of a function; a RuntimeError where there is no folder for it.

    Where NUMBA_CACHE_DIR names none, it is among the user's caches. Numba's first choice is beside the kernels, where
    an uninstalled package would leave a folder behind: Python takes that for a package of its own, in front of an
    editable install.
    """
    qualified_name, directory = function.__qualname__, numba.config.CACHE_DIR
    function.__qualname__ = f"{qualified_name}-{_DIGEST}"
    numba.config.CACHE_DIR = directory or user_cache_dir("fastgd", appauthor=False)
    try:
        return Cache(function)
    finally:
        function.__qualname__, numba.config.CACHE_DIR = qualified_name, directory


def cache_directory() -> Path | None:
    """Where compiled kernels are kept, or None where no directory can be read."""
    try:
        return Path(cache_of(_digest).cache_path).parent
    except RuntimeError:
        return None


def cache_is_writable() -> bool:
    """Whether what is compiled now is kept for other processes."""
    directory = cache_directory()
    return directory is not None and os.access(directory, os.W_OK)


def warn_of_cache(where: str) -> None:
    """Warn, once a process, that kernels are not kept."""
    if warn_of_cache.warned:
        return
    warn_of_cache.warned = True
    warnings.warn(
        f"fastgd cannot write its compilation cache{where}: every process compiles its kernels anew, which takes "
        "seconds. Set NUMBA_CACHE_DIR to a writable directory of your own.",
        RuntimeWarning,
        stacklevel=2,
    )


warn_of_cache.warned = False
