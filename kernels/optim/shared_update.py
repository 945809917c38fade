"""An optimiser's update by a team of threads, part by part of the flat vectors."""

from numba import types

from ..codegen.function_pointer import addressed_kernel, calls, vector_of
from ..parallel.thread_pool import job_of, put_job, work_together, work_types
from ..tuning import PART
from .vectors import call_update, update_types


def _job_types(number):
    *arguments, _ = update_types(number)
    return *arguments, types.int64


_job = job_of(_job_types)


@addressed_kernel(work_types)
def update_part(team, unit, scratch):
    """Make the update in one part of the vectors.

    team, unit, scratch : as `work_types` says
    """
    vectors, numbers, rate, t, update = _job(team, scratch)
    part = unit * PART, min((unit + 1) * PART, vectors.parameters.size)
    call_update(update, (vectors, numbers, rate, t, part))


def _share_types(number):
    return *_job_types(number), vector_of(types.int64), types.int64


call_share_update = calls(_share_types)


@addressed_kernel(_share_types)
def share_update(vectors, numbers, rate, t, update, team, work):
    """Make an update by all threads of a team.

    vectors, numbers, rate, t : as for the kernels of `update.py`          update : int, the address of one of them
    team : as `team_memory` makes it          work : int, the address of `update_part`
    """
    put_job(team, (vectors, numbers, rate, t, update))
    work_together(team, work, (vectors.parameters.size + PART - 1) // PART, vectors.chunk_gradient)
