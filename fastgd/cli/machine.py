"""What this machine is and can do: versions, caches, and the read bandwidth that bounds online training."""

import importlib.metadata
import os
import platform
import time

import numpy as np

from fastgd import kernels
from fastgd._version import __version__
from fastgd.threads import LIMITS, most_threads, usable_processors


def read_bandwidth(n_bytes: int = 256 << 20, repeats: int = 5) -> float:
    """Bytes per second at which one thread can read memory: the best of several plain sums over a large array."""
    x = np.ones(n_bytes // 4, np.float32)
    kernels.sum_elements(x[:64])
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        kernels.sum_elements(x)
        seconds.append(time.perf_counter() - began)
    return x.nbytes / min(seconds)


def describe() -> dict[str, str]:
    """Versions, threads and the compilation cache, for a bug report or a benchmark's header."""
    limits = [f"{name}={os.environ[name]}" for name in LIMITS if name in os.environ]
    cache = kernels.cache_directory()
    versions = {name: importlib.metadata.version(name) for name in ("numba", "numpy")}
    return {
        "fastgd": __version__,
        "python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        **versions,
        "processors": str(usable_processors()),
        "threads": f"up to {most_threads()} ({', '.join(limits) or f'set {LIMITS[0]} to limit'})",
        "cache": "nowhere: no directory is writable, set NUMBA_CACHE_DIR" if cache is None else str(cache),
        "cache writable": "yes" if kernels.cache_is_writable() else "no",
    }
