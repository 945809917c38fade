"""An optimiser's update by a thread pool, part by part of the flat vectors."""

from numba import types

from ..codegen.function_pointer import call_through, pointer_kernel, vector_of
from ..codegen.integers import minimum
from ..parallel.thread_pool import block_types, job_of, parallel_for, put_job
from ..tuning import PART
from .hooks import call_update, update_types


def _job_types(number):
    *arguments, _ = update_types(number)
    return *arguments, types.int64


_job = job_of(_job_types)


@pointer_kernel(block_types)
def update_block(pool, block_number, scratch):
    """Make the update in one part of the vectors.

    pool, block_number, scratch : as `block_types` says
    """
    vectors, numbers, rate, t, update = _job(pool, scratch)
    part = block_number * PART, minimum((block_number + 1) * PART, vectors.parameters.size)
    call_update(update, (vectors, numbers, rate, t, part))


def _share_types(number):
    return *_job_types(number), vector_of(types.int64), types.int64


call_parallel_update = call_through(_share_types)


@pointer_kernel(_share_types)
def parallel_update(vectors, numbers, rate, t, update, pool, work):
    """Make an update by all threads of a pool.

    vectors, numbers, rate, t : as for the kernels of `optimizers.py`          update : int, the address of one of them
    pool : as `pool_memory` makes it          work : int, the address of `update_block`
    """
    put_job(pool, (vectors, numbers, rate, t, update))
    parallel_for(pool, work, (vectors.parameters.size + PART - 1) // PART, vectors.micro_batch_gradient)
