"""Estimators inside joblib's workers: processes know how many threads each may have, and threads have themselves."""

import threading
from contextlib import AbstractContextManager, nullcontext

from joblib.parallel import get_active_backend

from fastgd.threads import alone


def without_oversubscription() -> AbstractContextManager[None]:
    """Inside, one of joblib's threads, as of GridSearchCV in its threading back-end, trains and predicts alone.

    Its processes find OMP_NUM_THREADS in their environment, which counts everywhere.
    """
    if threading.current_thread() is threading.main_thread():
        return nullcontext()
    backend, _ = get_active_backend()
    return alone() if (backend.nesting_level or 0) > 0 else nullcontext()
