"""A pool of threads that share one piece of work after another.

The thread that trains, worker 0, puts a job into the pool's memory and says of how many blocks it consists. Every
worker first does blocks of its own share, so that what they write stays in the caches of its processor from job to job;
then what is left of the others'. The blocks of a job must be such that it makes no difference who does them.

A job costs about a microsecond, as the others wait for it busily; they do so only while a kernel is running that may
have work for them. One that the system has put to sleep holds up no more than the block that it is at.
"""

import functools

import numpy as np
from numba import types

from ..codegen.alignment import aligned_zeros
from ..codegen.atomic import add_and_fetch, load_acquire, pause, store_release, yield_processor
from ..codegen.function_pointer import call_through, vector_of
from ..codegen.jit import compile_for, inlined_kernel, kernel
from ..codegen.tuples import tuple_load, tuple_store
from ..tuning import LINE_BYTES, WAITS

# Places in the pool's memory. What is written by several threads has lines of the cache to itself: two, as processors
# fetch them in pairs, or have lines twice as long.
_LINE = 2 * LINE_BYTES // 8
_FINISHED, _GENERATION = 0, _LINE
_WORK, _N_BLOCKS, N_WORKERS = 2 * _LINE, 2 * _LINE + 1, 2 * _LINE + 2
# What products need: the addresses of kernels, and from how many multiplications and additions on they are shared.
GEMM, GEMM_BLOCK, TRANSPOSE, TRANSPOSE_COLUMNS, WORTH_SHARING = range(2 * _LINE + 3, 2 * _LINE + 8)
_JOB, _JOB_SIZE = 3 * _LINE, 6 * _LINE
_REMAINING = _JOB + _JOB_SIZE


def pool_memory(n_workers: int) -> np.ndarray:
    """The memory of a thread pool of so many threads, the one that trains among them; (0,) for that one alone."""
    if n_workers < 2:
        return np.zeros(0, np.int64)
    memory = aligned_zeros(_REMAINING + n_workers * _LINE, np.int64)
    memory[N_WORKERS] = n_workers
    return memory


ALONE = pool_memory(1)


@functools.cache
def compile_work(dtype: np.dtype) -> None:
    """Compile `work`, so that no thread has to while others wait for it."""
    compile_for(work, ALONE, 0, np.empty(0, dtype), 0)


def begin_generation(pool: np.ndarray) -> int:
    """Have `work` return in every thread that runs it; return the generation that others may work in from now on."""
    pool[_GENERATION] += 1
    return int(pool[_GENERATION])


def block_types(number):
    """The arguments of a kernel that does a block of a job: the pool, which block, and memory of the worker's own."""
    return vector_of(types.int64), types.int64, vector_of(number)


_call_work = call_through(block_types)


put_job = tuple_store(_JOB, _JOB_SIZE)


def job_of(job_types):
    """The intrinsic job(pool, scratch) for what `put_job` has put there.

    job_types : from Numba's type of the scratch memory's numbers to the types of the tuple
    """
    return tuple_load(_JOB, job_types)


@inlined_kernel
def rounded_up(n, multiple):
    """The least multiple of a number that is at least n."""
    return (n + multiple - 1) // multiple * multiple


@inlined_kernel
def wait(n_waits):
    """Wait a moment, the n-th time; returns n + 1."""
    # Who waits for long may keep from its processor the very thread that it waits for.
    if n_waits % WAITS == WAITS - 1:
        yield_processor()
    else:
        pause()
    return n_waits + 1


@inlined_kernel
def _work(pool, worker, scratch):
    """Do blocks of the job until there are none left: a worker's own, then the next worker's, and so on."""
    n_workers = pool[N_WORKERS]
    for i in range(n_workers):
        owner = (worker + i) % n_workers
        counter = _REMAINING + owner * _LINE
        while load_acquire(pool, counter) > 0:
            left = add_and_fetch(pool, counter, -1)
            if left >= 0:
                _call_work(pool[_WORK], (pool, owner * pool[_N_BLOCKS] // n_workers + left, scratch))
                add_and_fetch(pool, _FINISHED, 1)


@inlined_kernel
def parallel_for(pool, work, n_blocks, scratch):
    """Do all blocks of the job that was put into the pool's memory; returns when the last one is done.

    work : int, the address of a kernel with `block_types`          scratch : of this thread
    """
    n_workers = pool[N_WORKERS]
    pool[_WORK] = work
    store_release(pool, _FINISHED, 0)
    store_release(pool, _N_BLOCKS, n_blocks)
    for i in range(n_workers - 1, -1, -1):
        n_own = (i + 1) * n_blocks // n_workers - i * n_blocks // n_workers
        store_release(pool, _REMAINING + i * _LINE, n_own)
    _work(pool, 0, scratch)
    n_waits = 0
    while load_acquire(pool, _FINISHED) < n_blocks:
        n_waits = wait(n_waits)


@kernel
def work(pool, worker, scratch, generation):
    """Take part in every job of a thread pool until the next generation begins.

    pool : as `pool_memory` makes it          worker : int, from 1 to below N_WORKERS
    scratch : memory of this thread's own          generation : int, as `begin_generation` returned it
    """
    n_waits = 0
    while load_acquire(pool, _GENERATION) == generation:
        if load_acquire(pool, _FINISHED) < load_acquire(pool, _N_BLOCKS):
            _work(pool, worker, scratch)
        n_waits = wait(n_waits)
