"""How many threads there are, and the pool of them that shares the work of wide layers."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from fastgd import kernels
from fastgd.kernels.codegen.alignment import aligned_empty
from fastgd.kernels.parallel.thread_pool import N_WORKERS

# What limits other numerical libraries too.
LIMITS = "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"

# Microseconds of processor time that a container may use, and in how many: "200000 100000", or "max 100000".
_QUOTA = Path("/sys/fs/cgroup/cpu.max")

# The kernels that pools have been called for, with the networks' dtypes.
_compiled: set[tuple[Callable[..., None], np.dtype]] = set()


def usable_processors() -> int:
    """The processors that this process may run on, or as many as a container may use the time of."""
    n_processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = _QUOTA.read_text().split()
        return min(n_processors, max(round(int(quota) / int(period)), 1))
    except (OSError, ValueError):
        return n_processors


def most_threads() -> int:
    """How many threads may share a product: one for each processor, or as many as the environment allows."""
    # OpenMP's may be a list, of which the first counts here.
    allowed = [os.environ.get(name, "").partition(",")[0] for name in LIMITS]
    return min([usable_processors(), *(int(n) for n in allowed if n.isdecimal() and int(n) > 0)])


@contextmanager
def standing_by(products: kernels.Products) -> Iterator[None]:
    """Inside, the other threads of a pool wait for work to take part in, if there is a pool.

    One thread at a time may run kernels with these products.
    """
    pool, panel = products.pool, products.panel
    if not pool.size:
        yield
        return
    generation = kernels.begin_generation(pool)
    # Memory of its own for each: one that an interrupted call has left behind may still be at its last unit.
    threads = [
        threading.Thread(
            target=kernels.work, args=(pool, worker, aligned_empty(panel.size, panel.dtype), generation), daemon=True
        )
        for worker in range(1, pool[N_WORKERS])
    ]
    try:
        for thread in threads:
            # Where the system gives no more threads, those that there are do the work.
            with suppress(RuntimeError):
                thread.start()
        yield
    finally:
        kernels.begin_generation(pool)
        for thread in threads:
            if thread.ident is not None:
                thread.join()


def call_with_pool(kernel: Callable[..., Any], network: kernels.Network, *arguments: Any) -> Any:
    """Call a kernel with a network and more, while the other threads of its pool wait for work to take part in."""
    key = kernel, network.numbers.dtype
    if network.products.pool.size and key not in _compiled:
        # Or they would wait for the compiler too, a processor each.
        kernel.compile(tuple(map(kernel.typeof_pyval, (network, *arguments))))
        _compiled.add(key)
    with standing_by(network.products):
        return kernel(network, *arguments)
