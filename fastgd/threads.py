"""How many threads there are, and the team of them that shares the products of wide layers."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from fastgd import kernels

# What limits other numerical libraries too: OpenMP's, as PyTorch, scikit-learn and OpenBLAS heed it, and Numba's.
LIMITS = "OMP_NUM_THREADS", "NUMBA_NUM_THREADS"


def usable_processors() -> int:
    """The processors that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def most_threads() -> int:
    """How many threads may share a product: one for each processor, or as many as the environment allows."""
    allowed = [os.environ.get(name, "") for name in LIMITS]
    return min([usable_processors(), *(int(n) for n in allowed if n.isdigit() and int(n) > 0)])


@contextmanager
def standing_by(products: kernels.Products) -> Iterator[None]:
    """Inside, the other threads of a team wait for products to take part in, if there is a team.

    One thread at a time may run kernels with these products.
    """
    threads = [
        threading.Thread(target=kernels.assist, args=(products.team, worker, panel), daemon=True)
        for worker, panel in enumerate(products.panels, 1)
    ]
    if not threads:
        yield
        return
    kernels.gather_team(products.team)
    started = []
    try:
        for thread in threads:
            # Where the system gives no more threads, those that there are do the work.
            with suppress(RuntimeError):
                thread.start()
                started.append(thread)
        yield
    finally:
        kernels.dismiss_team(products.team)
        for thread in started:
            thread.join()
