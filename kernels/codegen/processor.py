"""What the processor has that the kernels are compiled for."""

import functools

from llvmlite.binding import get_process_triple
from numba.core import config
from numba.core.codegen import get_host_cpu_features


@functools.cache
def _features() -> list[str]:
    return (get_host_cpu_features() if config.CPU_FEATURES is None else config.CPU_FEATURES).split(",")


def is_x86() -> bool:
    """Whether the processor is of the x86 family."""
    return get_process_triple().startswith(("x86_64", "i686", "i386"))


def is_arm64() -> bool:
    """Whether the processor is a 64-bit Arm."""
    return get_process_triple().startswith(("aarch64", "arm64"))


def _lacks(feature: str) -> bool:
    """Whether the processor is of the x86 family, without one of its features."""
    return is_x86() and feature not in _features()


def has_simd_registers() -> bool:
    """Whether the processor is sure to have vector registers of 16 bytes, as every x86-64 and 64-bit Arm has.

    On others (POWER, RISC-V, s390x) kernels compile too, but LLVM may take each vector apart into numbers.
    """
    return is_x86() or is_arm64()


def register_bytes() -> int:
    """How many bytes a vector register has."""
    features = _features()
    return 64 if "+avx512f" in features else 32 if "+avx" in features else 16


def register_count() -> int:
    """How many vector registers the processor has."""
    # Those of the x86 family have had 32 since they are 64 bytes long; others have had them all along.
    return 16 if _lacks("+avx512f") else 32


def masks_are_free(n_bytes: int) -> bool:
    """Whether to load or store a vector under a mask takes no longer than to do so with all of it.

    With AVX but not AVX-512, AMD's processors take up to 42 operations for a store (A. Fog, "Instruction tables").
    Without either, LLVM makes a branch of each lane.

    n_bytes : of the vector in memory; SVE's masks are for whole registers, not for narrow elements or several registers
    """
    return not _lacks("+avx512f") if is_x86() else "+sve" in _features() and n_bytes == register_bytes()


@functools.cache
def converts_halves() -> bool:
    """Whether the processor converts float16 in registers; else Numba's code would call a function that is missing."""
    return not _lacks("+f16c")


def fuses() -> bool:
    """Whether the processor multiplies and adds at once; else `llvm.fma` calls a function for each number."""
    return not _lacks("+fma")
