"""The one place where compiler options and the compilation cache are chosen."""

import contextlib
import errno
import functools
import hashlib
import os
import uuid
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba.core.caching import FunctionCache, IndexDataCacheFile, NullCache
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.typed_passes import NopythonRewrites
from numba.extending import overload
from platformdirs import user_cache_dir

from .interrupts import interrupts_deferred

if numba.config.DISABLE_JIT:
    raise ImportError(
        "NUMBA_DISABLE_JIT is set, and fastgd's kernels run only when they are compiled; expected it unset or 0 "
        "(fastgd/reference/algorithm.py is the algorithm in plain Python)"
    )

# A set, never True: "nnan" and "ninf" would let LLVM delete the tests that find NaN and infinity.
FASTMATH = {"reassoc", "contract", "nsz", "arcp"}

_OPTIONS = {
    "no_cfunc_wrapper": True,  # kernels are called from Python and from one another, never from C: less to compile
    "_nrt": False,  # kernels allocate nothing, so no references are counted: less code, in a fifth less time
    "nogil": True,  # threads may run kernels side by side
    "error_model": "numpy",  # 1 / 0 is infinity, as in NumPy, and costs no branch
}


class _Compiler(CompilerBase):
    """Numba's own, without its search for expressions of whole arrays: kernels, which allocate nothing, have none."""

    def define_pipelines(self) -> list:
        passes = DefaultPassBuilder.define_nopython_pipeline(self.state)
        passes.passes = [each for each in passes.passes if each[0] is not NopythonRewrites]
        passes.finalize()
        return [passes]


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
    """Files that a full disk, a power failure or whatever else may have damaged: what cannot be read is not there."""

    def _data_name(self, number: int) -> str:
        # Numba numbers the data files of one function, so two processes that compile it at once for different dtypes
        # may choose the same number, and one would later load the other's machine code.
        return self._data_name_pattern.format(number=uuid.uuid4().int)

    def _dump(self, obj: Any) -> bytes:
        pickled = super()._dump(obj)
        # Pickle ignores what follows.
        return pickled + hashlib.sha256(pickled).digest()

    def _load_index(self) -> dict:
        try:
            return super()._load_index()
        except Exception:  # pickle may raise anything
            return {}

    def _load_data(self, name: str) -> Any:
        content = Path(self._data_path(name)).read_bytes()
        # Damaged machine code would end the process.
        if hashlib.sha256(content[:-_DIGEST_BYTES]).digest() != content[-_DIGEST_BYTES:]:
            raise OSError(errno.EIO, "damaged", name)
        return super()._load_data(name)


class _Cache(FunctionCache):
    """Machine code on disk, in a folder of the user's: whatever is wrong with it, training goes on."""

    _impl_class = _CacheImplementation

    def __init__(self, function: Callable) -> None:
        super().__init__(function)
        stamp = self._impl.locator.get_source_stamp()
        self._cache_file = _CacheFile(self._cache_path, self._impl.filename_base, stamp)

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            super().save_overload(sig, data)
        except OSError as error:
            _warn_of_cache(f" in {self._cache_path} ({error.strerror})")


def _cache_of(function: Callable) -> _Cache:
    """The cache of a function; a RuntimeError where there is no folder for it.

    Where NUMBA_CACHE_DIR names none, it is among the user's caches. Numba's first choice is beside the kernels, where
    an uninstalled package would leave a folder behind: Python takes that for a package of its own, in front of an
    editable install.
    """
    qualified_name, directory = function.__qualname__, numba.config.CACHE_DIR
    function.__qualname__ = f"{qualified_name}-{_DIGEST}"
    numba.config.CACHE_DIR = directory or user_cache_dir("fastgd", appauthor=False)
    try:
        return _Cache(function)
    finally:
        function.__qualname__, numba.config.CACHE_DIR = qualified_name, directory


def cache_directory() -> Path | None:
    """Where compiled kernels are kept, or None where no directory can be read."""
    try:
        return Path(_cache_of(_digest).cache_path).parent
    except RuntimeError:
        return None


def _compile(function: Callable, fastmath: set[str] | bool, **options: Any) -> Any:
    dispatcher = numba.njit(**_OPTIONS | options, fastmath=fastmath, pipeline_class=_Compiler)(function)
    compile_for = dispatcher.compile

    def compile_whole(signature: Any) -> Any:
        # Most kernels of a process are never compiled by themselves.
        if isinstance(dispatcher._cache, NullCache):
            try:
                dispatcher._cache = _cache_of(function)
            except RuntimeError:
                _warn_of_cache("")
        # Ctrl-C in the midst of it, Numba would swallow, or the process would crash.
        with interrupts_deferred():
            return compile_for(signature)

    dispatcher.compile = compile_whole
    return dispatcher


def _warn_of_cache(where: str) -> None:
    """Warn, once a process, that kernels are not kept."""
    if _warn_of_cache.warned:
        return
    _warn_of_cache.warned = True
    warnings.warn(
        f"fastgd cannot write its compilation cache{where}: every process compiles its kernels anew, which takes "
        "seconds. Set NUMBA_CACHE_DIR to a writable directory of your own.",
        RuntimeWarning,
        stacklevel=2,
    )


_warn_of_cache.warned = False


def kernel(function: Callable) -> Any:
    """Compile `function` on first use: sums may be reordered, products fused; NaN and infinity keep their meaning."""
    return _compile(function, FASTMATH)


def exact_kernel(function: Callable) -> Any:
    """Compile `function` on first use with every rounding as written: the same bits on any machine."""
    return _compile(function, False)


def inlined_kernel(function: Callable) -> Any:
    """As `kernel`, but compiled again inside each kernel that calls it.

    For the large pieces of a training loop: LLVM optimises a function on its own and once more inside every caller, so
    nesting them as separate functions made the first call of `train_network` a third slower.
    """
    return _compile(function, FASTMATH, inline="always")


def exact_inlined_kernel(function: Callable) -> Any:
    """As `exact_kernel`, for what other kernels call by its name alone: LLVM puts it into each of them, unchanged.

    Whatever the caller's options, its operations keep theirs, as they would not if Numba put them there.
    """
    return _compile(function, False, forceinline=True, no_cpython_wrapper=True)


def part_kernel(function: Callable, exact: bool = False) -> Any:
    """As `kernel`, for what other kernels call by its address and Python never does: half the time to compile.

    exact : whether every rounding stays as written
    """
    return _compile(function, False if exact else FASTMATH, no_cpython_wrapper=True)


def compile_for(compiled: Any, *arguments: Any) -> None:
    """Compile a kernel for the types of these arguments, as its first call with them would, without the call."""
    compiled.compile(tuple(map(compiled.typeof_pyval, arguments)))


def by_type(table: dict[type, Any]) -> Callable:
    """Choose among kernels by the type of their first argument, settings, when the caller is compiled.

    Decorates a function that gets one kernel of the table and returns a lambda that calls it. Only the kernel that
    belongs to the settings is compiled, and the choice costs nothing when it runs. Types are what the cache can tell
    apart; functions passed as arguments are not. Called from Python, the result calls the compiled kernel too.
    """

    def decorate(call: Callable) -> Callable:
        @functools.wraps(call)
        def chosen(settings: Any, *rest: Any) -> Any:
            return call(table[type(settings)])(settings, *rest)

        # Not inlined by Numba: as a function of its own the lambda costs a third less to compile. LLVM has to inline
        # it, or would leave large ones alone: a call with dozens of arguments, and what the function then does first,
        # takes a hundred cycles.
        overload(chosen, jit_options=_OPTIONS | {"fastmath": FASTMATH, "forceinline": True}, strict=False)(
            lambda settings, *rest: call(table[settings.instance_class])
        )
        return chosen

    return decorate
