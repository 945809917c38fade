"""A cluster in threads of this process; no test of one may hang."""

import signal

import pytest
from dask_tables import N_ROWS

# Seconds that any of these tests may take, on a machine that does much else.
MOST_SECONDS = 300


@pytest.fixture(autouse=True)
def bounded_in_time():
    def stop(number, frame):
        raise TimeoutError(f"the test has taken {MOST_SECONDS} seconds")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(MOST_SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="module")
def client():
    distributed = pytest.importorskip("distributed")
    # Above a share of the limit workers pause, and theirs is this process's memory.
    options = {"processes": False, "memory_limit": None, "dashboard_address": ":0"}
    with distributed.Client(n_workers=2, threads_per_worker=1, **options) as client:
        yield client


@pytest.fixture
def table(rng):
    X = rng.standard_normal((N_ROWS, 4)) * [1, 100, 1, 0.01] + 5
    return X, X @ [1, 0.01, -1, 50] + 0.1 * rng.standard_normal(N_ROWS)
