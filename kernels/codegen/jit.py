"""The one place where compiler options are chosen."""

import functools
from collections.abc import Callable
from typing import Any

import numba
from numba.core.caching import NullCache
from numba.extending import overload

from .cache import cache_of, warn_of_cache
from .interrupts import interrupts_deferred
from .pipeline import KernelCompiler

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


def _compile(function: Callable, fastmath: set[str] | bool, **options: Any) -> Any:
    dispatcher = numba.njit(**_OPTIONS | options, fastmath=fastmath, pipeline_class=KernelCompiler)(function)
    compile_for = dispatcher.compile

    def compile_whole(signature: Any) -> Any:
        # Most kernels of a process are never compiled by themselves.
        if isinstance(dispatcher._cache, NullCache):
            try:
                dispatcher._cache = cache_of(function)
            except RuntimeError:
                warn_of_cache("")
        # Ctrl-C in the midst of it, Numba would swallow, or the process would crash.
        with interrupts_deferred():
            return compile_for(signature)

    dispatcher.compile = compile_whole
    return dispatcher


def kernel(function: Callable) -> Any:
    """Compile `function` on first use: sums may be reordered, products fused; NaN and infinity keep their meaning."""
    return _compile(function, FASTMATH)


def exact_kernel(function: Callable) -> Any:
    """Compile `function` on first use with every rounding as written: the same bits on any machine."""
    return _compile(function, False)


def inlined_kernel(function: Callable) -> Any:
    """As `kernel`, but compiled again inside each kernel that calls it.

    For pieces that a kernel calls once, large ones also: LLVM optimises a function on its own and once more inside
    every caller, so nesting them as separate functions made the first call of `train_network` a third slower.
    """
    return _compile(function, FASTMATH, inline="always")


def linked_kernel(function: Callable) -> Any:
    """As `inlined_kernel`, but typed by itself, once for each of its types: LLVM puts it into the kernels that call it.

    For large pieces that a kernel calls more than once, or that several kernels share: Numba takes longer to
    type and to translate a piece than LLVM takes to optimise it.
    """
    return _compile(function, FASTMATH, forceinline=True, no_cpython_wrapper=True)


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


def by_type(table: dict[type, Any], otherwise: Any = None) -> Callable:
    """Choose among kernels by the type of their first argument, settings, when the caller is compiled.

    otherwise : the kernel for types that the table does not have

    Decorates a function that gets one kernel of the table and returns a lambda that calls it. Only the kernel that
    belongs to the settings is compiled, and the choice costs nothing when it runs. Types are what the cache can tell
    apart; functions passed as arguments are not. Called from Python, the result calls the compiled kernel too.
    """

    def kernel_for(kind: type) -> Any:
        return table[kind] if otherwise is None else table.get(kind, otherwise)

    def decorate(call: Callable) -> Callable:
        @functools.wraps(call)
        def chosen(settings: Any, *rest: Any) -> Any:
            return call(kernel_for(type(settings)))(settings, *rest)

        # Not inlined by Numba: as a function of its own the lambda costs a third less to compile. LLVM has to inline
        # it, or would leave large ones alone: a call with dozens of arguments, and what the function then does first,
        # takes a hundred cycles.
        overload(
            chosen,
            jit_options=_OPTIONS | {"fastmath": FASTMATH, "forceinline": True, "pipeline_class": KernelCompiler},
            strict=False,
        )(lambda settings, *rest: call(kernel_for(settings.instance_class)))
        return chosen

    return decorate
