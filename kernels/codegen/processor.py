"""What the processor has that the kernels are compiled for."""

import functools

from llvmlite.binding import get_process_triple
from numba.core import config
from numba.core.codegen import get_host_cpu_features


@functools.cache
def _features() -> list[str]:
    return (get_host_cpu_features() if config.CPU_FEATURES is None else config.CPU_FEATURES).split(",")


@functools.cache
def _lacks(feature: str) -> bool:
    """Whether the processor is of the x86 family, without one of its features."""
    return get_process_triple().startswith(("x86_64", "i686", "i386")) and feature not in _features()


def register_bytes() -> int:
    """How many bytes a vector register has."""
    features = _features()
    return 64 if "+avx512f" in features else 32 if "+avx" in features else 16


def register_count() -> int:
    """How many vector registers the processor has."""
    # Those of the x86 family have had 32 since they are 64 bytes long; others have had them all along.
    return 16 if _lacks("+avx512f") else 32


def converts_halves() -> bool:
    """Whether the processor converts float16 in registers; else Numba's code would call a function that is missing."""
    return not _lacks("+f16c")


def fuses() -> bool:
    """Whether the processor multiplies and adds at once; else `llvm.fma` calls a function for each number."""
    return not _lacks("+fma")
