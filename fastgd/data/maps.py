"""Memory-mapped files whose pages are given back once they have been used."""

import mmap
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.array_utils import byte_bounds

# Used pages of so small a part of a map are given back at once.
_PART_BYTES = 64 << 20
# Pages that are used here and there are given back when there are so many: a walk over a large map takes milliseconds.
_MOST_BYTES = 256 << 20
# Bytes that a container may use, or "max".
_MEMORY_LIMIT = Path("/sys/fs/cgroup/memory.max")


class Growth:
    """How much more of its files this process holds in memory than it did."""

    def __init__(self) -> None:
        self._before = _bytes_of_files()

    def exceeds(self, n_bytes: int) -> bool:
        """Whether it is so much; False where the system does not tell."""
        now = _bytes_of_files()
        return now is not None and self._before is not None and now - self._before >= n_bytes


class Maps:
    """The read-only memory maps that arrays lie in, of which what was used is given back to the operating system.

    arrays : the rows of X, y and the weights
    """

    def __init__(self, *arrays: np.ndarray) -> None:
        self._arrays = arrays
        self._maps = [map_of(array) for array in arrays]
        # How many bytes each file has to have.
        self._n_bytes = [
            0 if mapping is None else len(mapping) + _page_of(_memmap_of(array).offset)
            for array, mapping in zip(arrays, self._maps, strict=True)
        ]
        self._growth = Growth()

    def require_whole(self) -> None:
        """Raise a ValueError where a file has become shorter than its map: to look there would end the process."""
        for array, mapping, expected in zip(self._arrays, self._maps, self._n_bytes, strict=True):
            n_bytes = expected if mapping is None else mapping.size()
            if n_bytes < expected:
                name = _memmap_of(array).filename or "a memory-mapped file"
                raise ValueError(
                    f"{name} has {n_bytes} bytes, and had at least {expected} when it was mapped; expected files that "
                    "stay as they are as long as fastgd reads them"
                )

    def release(self, start: int, stop: int) -> None:
        """Give back the pages that rows start to stop lie in, or all once there are many; the file still holds them."""
        begin, end = byte_bounds(self._arrays[0][start:stop])
        is_part = end - begin <= _PART_BYTES and stop - start < len(self._arrays[0])
        if not (is_part or self._growth.exceeds(_MOST_BYTES)):
            return
        for array, mapping in zip(self._arrays, self._maps, strict=True):
            if mapping is None:
                continue
            first, last = 0, len(mapping)
            if is_part:
                address = np.frombuffer(mapping, np.uint8).ctypes.data
                begin, end = byte_bounds(array[start:stop])
                first, last = (begin - address) // mmap.PAGESIZE * mmap.PAGESIZE, end - address
            mapping.madvise(mmap.MADV_DONTNEED, first, last - first)
        if not is_part:
            self._growth = Growth()


def map_of(array: np.ndarray) -> mmap.mmap | None:
    """The map that an array lies in, where pages of it can be given back."""
    memmap = _memmap_of(array) if hasattr(mmap, "MADV_DONTNEED") else None
    # Only mode "r": releasing pages of a copy-on-write map would undo the caller's changes.
    return None if memmap is None or memmap.mode != "r" else memmap.base


def _page_of(offset: int) -> int:
    """Where a map begins that has a place of a file."""
    return offset // mmap.ALLOCATIONGRANULARITY * mmap.ALLOCATIONGRANULARITY


def _memmap_of(array: np.ndarray) -> np.memmap | None:
    """The array that stands for a whole map which another one is a view of."""
    base: Any = array
    while isinstance(base, np.ndarray):
        if isinstance(base, np.memmap) and isinstance(base.base, mmap.mmap):
            return base
        base = base.base
    return None


def memory_bytes() -> int:
    """How much memory the machine has, or a container may use."""
    n_bytes = os.sysconf("SC_PHYS_PAGES") * mmap.PAGESIZE
    try:
        return min(n_bytes, int(_MEMORY_LIMIT.read_text()))
    except (OSError, ValueError):
        return n_bytes


def _bytes_of_files() -> int | None:
    """How much of its files this process holds in memory, or None where the system does not tell."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[2]) * mmap.PAGESIZE
    except (OSError, IndexError, ValueError):
        return None
