"""How many threads there are, and the pool of them that shares the work of wide layers."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Self

import numpy as np

from fastgd import kernels
from fastgd.kernels import N_WORKERS, aligned_empty

# What limits other numerical libraries too.
LIMITS = "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"

# Microseconds of processor time that a container may use, and in how many: "200000 100000", or "max 100000".
_QUOTA = Path("/sys/fs/cgroup/cpu.max")

# What is known of the calling thread.
_calling = threading.local()

# The kernels that thread pools have been used for, with the networks' dtypes.
_compiled: set[tuple[Callable[..., Any], np.dtype]] = set()


def usable_processors() -> int:
    """The processors that this process may run on, or as many as a container may use the time of."""
    n_processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = _QUOTA.read_text().split()
        return min(n_processors, max(round(int(quota) / int(period)), 1))
    except (OSError, ValueError):
        return n_processors


def most_threads() -> int:
    """How many threads may share a product: one for each processor, or as many as the environment or `alone` allows."""
    if getattr(_calling, "is_alone", False):
        return 1
    # OpenMP's may be a list, of which the first counts here.
    allowed = [os.environ.get(name, "").partition(",")[0].strip() for name in LIMITS]
    return min([usable_processors(), *(int(n) for n in allowed if n.isdecimal() and int(n) > 0)])


@contextmanager
def alone() -> Iterator[None]:
    """Inside, what the calling thread runs has no other threads: those beside it have the other processors."""
    before, _calling.is_alone = getattr(_calling, "is_alone", False), True
    try:
        yield
    finally:
        _calling.is_alone = before


def spare_threads(n_threads: int | None, n_busy: int) -> int:
    """The threads that are left while n_busy are in use, of n_threads, or of `most_threads`."""
    return max((most_threads() if n_threads is None else n_threads) - n_busy, 0)


class ThreadPool:
    """The other threads of a kernel's thread pool; inside `with`, they sleep between the calls that they share.

    products : of the network that kernels are called with. One thread at a time may run kernels with them.
    """

    def __init__(self, products: kernels.Products) -> None:
        self._memory, self._panel = products.pool, products.panel
        self._depth = 0
        self._threads: list[threading.Thread] = []
        # Of each thread: the generations to work in, and None at the end.
        self._inboxes: list[SimpleQueue[int | None]] = []

    @property
    def n_threads(self) -> int:
        """How many threads share products, with the one that calls kernels."""
        return int(self._memory[N_WORKERS]) if self._memory.size else 1

    def __enter__(self) -> Self:
        self._depth += 1
        try:
            if self._depth == 1 and self._memory.size:
                self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self._depth -= 1
        if self._depth == 0 and self._memory.size:
            self._end()

    def call(self, kernel: Callable[..., Any], network: kernels.Network, *arguments: Any) -> Any:
        """Call a kernel with a network and more, with the other threads at its side."""
        if not self._memory.size:
            return kernel(network, *arguments)
        key = kernel, network.numbers.dtype
        if key not in _compiled:
            # Or they would wait for the compiler too, a processor each.
            kernels.compile_for(kernel, network, *arguments)
            _compiled.add(key)
        with self.working():
            return kernel(network, *arguments)

    @contextmanager
    def working(self) -> Iterator[None]:
        """Inside, the other threads wait busily for work to take part in."""
        with self:
            try:
                generation = kernels.begin_generation(self._memory)
                for inbox in self._inboxes:
                    inbox.put(generation)
                yield
            finally:
                kernels.begin_generation(self._memory)

    def _start(self) -> None:
        for worker in range(1, self._memory[N_WORKERS]):
            inbox: SimpleQueue[int | None] = SimpleQueue()
            # Memory of its own for each: one that an interrupted call has left behind may still be at its last block.
            scratch = aligned_empty(self._panel.size, self._panel.dtype)
            thread = threading.Thread(target=_work, args=(self._memory, worker, scratch, inbox), daemon=True)
            # Where the system gives no more threads, those that there are do the work.
            with suppress(RuntimeError):
                thread.start()
                self._inboxes.append(inbox)
                self._threads.append(thread)

    def _end(self) -> None:
        kernels.begin_generation(self._memory)
        for inbox in self._inboxes:
            inbox.put(None)
        for thread in self._threads:
            thread.join()
        self._inboxes, self._threads = [], []


def _work(memory: np.ndarray, worker: int, scratch: np.ndarray, inbox: "SimpleQueue[int | None]") -> None:
    """What a thread of a pool does: work in each generation that it is told of, until there are no more."""
    while (generation := inbox.get()) is not None:
        kernels.work(memory, worker, scratch, generation)
