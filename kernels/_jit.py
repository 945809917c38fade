"""The one place where compiler options and the compilation cache are chosen."""

import functools
import hashlib
import os
import uuid
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba.extending import overload
from numba.misc.appdirs import user_cache_dir

# A set, never True: "nnan" and "ninf" would let LLVM delete the tests that find NaN and infinity.
FASTMATH = {"reassoc", "contract", "nsz", "arcp"}

_OPTIONS = {
    "no_cfunc_wrapper": True,  # kernels are called from Python and from one another, never from C: less to compile
    "_nrt": False,  # kernels allocate nothing, so no references are counted: less code, in a fifth less time
    "nogil": True,  # threads may run kernels side by side
    "error_model": "numpy",  # 1 / 0 is infinity, as in NumPy, and costs no branch
}


def _digest() -> str:
    """Name the state of every kernel file.

    Numba stamps a cached function with the content of its own file only, so it would go on running the old machine
    code after an edit to a kernel that the function calls. NUMBA_BOUNDSCHECK changes the code too, and is not in
    Numba's key.
    """
    state = [path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py"))]
    state.append(os.environ.get("NUMBA_BOUNDSCHECK", "").encode())
    return hashlib.sha256(b"\0".join(state)).hexdigest()[:12]


_DIGEST = _digest()

_cache_directory: Path | None = None


def cache_directory() -> Path | None:
    """Where compiled kernels are kept, or None where no directory is writable."""
    return _cache_directory


def _enable_cache(dispatcher: Any, function: Callable) -> bool:
    """Keep the machine code of `dispatcher` on disk; False if nothing is writable.

    Where NUMBA_CACHE_DIR names no directory, it is kept among the user's caches. Numba's first choice is beside the
    kernels, where an uninstalled package would leave a folder behind: Python takes that for a package of its own, in
    front of an editable install.
    """
    global _cache_directory
    qualified_name, directory = function.__qualname__, numba.config.CACHE_DIR
    function.__qualname__ = f"{qualified_name}-{_DIGEST}"
    numba.config.CACHE_DIR = directory or user_cache_dir("fastgd", appauthor=False)
    try:
        dispatcher.enable_caching()
    except RuntimeError:
        return False
    finally:
        function.__qualname__, numba.config.CACHE_DIR = qualified_name, directory
    cache = dispatcher._cache
    _cache_directory = Path(cache.cache_path)
    # Numba numbers the data files of one function, so two processes that compile it at once for different dtypes may
    # choose the same number, and one would later load the other's machine code. A unique name cannot collide.
    base = cache._impl.filename_base
    cache._cache_file._data_name = lambda number: f"{base}.{uuid.uuid4().hex}.nbc"
    return True


def _compile(function: Callable, fastmath: set[str] | bool, **options: Any) -> Any:
    dispatcher = numba.njit(**_OPTIONS | options, fastmath=fastmath)(function)
    if _enable_cache(dispatcher, function) is False and not _compile.warned:
        _compile.warned = True
        warnings.warn(
            "fastgd cannot write its compilation cache: every process compiles its kernels anew, which takes seconds. "
            "Set NUMBA_CACHE_DIR to a writable directory of your own.",
            RuntimeWarning,
            stacklevel=2,
        )
    return dispatcher


_compile.warned = False


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


def part_kernel(function: Callable) -> Any:
    """As `kernel`, for what other kernels call by its address and Python never does: half the time to compile."""
    return _compile(function, FASTMATH, no_cpython_wrapper=True)


def by_type(table: dict[type, Any]) -> Callable:
    """Choose among kernels by the type of their first argument, a record, when the caller is compiled.

    Decorates a function that gets one kernel of the table and returns a lambda that calls it. Only the kernel that
    belongs to the record is compiled, and the choice costs nothing when it runs. Types are what the cache can tell
    apart; functions passed as arguments are not. Called from Python, the result calls the compiled kernel too.
    """

    def decorate(call: Callable) -> Callable:
        @functools.wraps(call)
        def chosen(record: Any, *rest: Any) -> Any:
            return call(table[type(record)])(record, *rest)

        # Not inlined by Numba: as a function of its own the lambda costs a third less to compile. LLVM has to inline
        # it, or would leave large ones alone: a call with dozens of arguments, and what the function then does first,
        # takes a hundred cycles.
        overload(chosen, jit_options=_OPTIONS | {"fastmath": FASTMATH, "forceinline": True}, strict=False)(
            lambda record, *rest: call(table[record.instance_class])
        )
        return chosen

    return decorate
