"""Threads: estimators inside joblib's workers, whose processes know how many each may have, and those of BLAS."""

import functools
import threading
from contextlib import AbstractContextManager, nullcontext

from joblib.parallel import get_active_backend
from threadpoolctl import ThreadpoolController

from fastgd.threads import alone


def without_oversubscription() -> AbstractContextManager[None]:
    """Inside, one of joblib's threads, as of GridSearchCV in its threading back-end, trains and predicts alone.

    Its processes find OMP_NUM_THREADS in their environment, which counts everywhere.
    """
    if threading.current_thread() is threading.main_thread():
        return nullcontext()
    backend, _ = get_active_backend()
    return alone() if (backend.nesting_level or 0) > 0 else nullcontext()


def one_thread_of_blas() -> AbstractContextManager[None]:
    """Inside, sums of BLAS do not depend on how many threads it may have."""
    return _blas().limit(limits=1)


@functools.cache
def _blas() -> ThreadpoolController:
    # To look for libraries takes a millisecond.
    return ThreadpoolController().select(user_api="blas")
