"""How many threads there are for a BLAS."""

import os

# What OpenBLAS looks at, in this order.
_LIMITS = "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"


def usable_processors() -> int:
    """The processors that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def blas_threads() -> int:
    """How many threads BLAS uses at most: one for each processor, or as many as the environment allows."""
    for name in _LIMITS:
        if os.environ.get(name, "").isdigit() and int(os.environ[name]) > 0:
            return min(int(os.environ[name]), usable_processors())
    return usable_processors()
