"""Waiting for what a cluster computes, for no longer than somebody does."""

import asyncio
import concurrent.futures
import contextlib
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from distributed import Client, Future

# How long tasks wait where no worker takes any, and how often it is looked for one.
_SECONDS_WITHOUT_WORKERS, _SECONDS_BETWEEN_LOOKS = 20.0, 1.0


def gathered(
    client: "Client",
    futures: "list[Future]",
    result_of: Callable[[int, Callable[[], Any]], Any] = lambda _, result: result(),
) -> list[Any]:
    """The results of futures, once all of them are done; whatever comes before that cancels them.

    result_of : result_of(k, result) gives what result(), that of futures[k], does, or raises its error with a note

    Raises RuntimeError as `wait_for`, and what the first of the futures raises that has failed.
    """
    # To wait first and to gather then would be two calls of the client's loop, where a round of small tasks has one.
    coming = asyncio.run_coroutine_threadsafe(client.gather(futures, asynchronous=True), client.loop.asyncio_loop)
    try:
        try:
            # Not by its result: tasks may raise a TimeoutError of their own.
            _while_workers_work(client, lambda seconds: bool(concurrent.futures.wait([coming], seconds).done))
            return coming.result()
        except Exception:
            if not any(future.status == "error" for future in futures):
                raise
            # Whichever failed first in time, the first by number is told of.
            wait_for(client, futures)
            return [result_of(k, future.result) for k, future in enumerate(futures)]
    except BaseException:
        # An error ends the others; so does Ctrl-C.
        coming.cancel()
        with contextlib.suppress(Exception):
            client.cancel(futures, force=True)
        raise


def wait_for(client: "Client", futures: "list[Future]") -> None:
    """Wait until all are done or have failed.

    Raises RuntimeError where the cluster has had no worker that takes tasks for 20 seconds.
    """
    from distributed import wait

    def is_over(seconds: float) -> bool:
        try:
            wait(futures, timeout=seconds)
        except TimeoutError:
            return False
        return True

    _while_workers_work(client, is_over)


def workers_of(client: "Client") -> dict[str, dict[str, Any]]:
    """What the scheduler knows of each worker, by its address."""
    while True:
        info = client.scheduler_info(n_workers=-1)
        # Before it returns, a look that the client takes for itself may put one in its place that leaves workers out.
        if len(info["workers"]) >= info.get("n_workers", 0):
            return info["workers"]


def _while_workers_work(client: "Client", is_over: Callable[[float], bool]) -> None:
    """Call is_over(seconds), which takes so long at most, until it is, or no worker takes tasks any more."""
    last_at_work = time.monotonic()
    while not is_over(_SECONDS_BETWEEN_LOOKS):
        workers = workers_of(client)
        if any(map(_is_at_work, workers.values())):
            last_at_work = time.monotonic()
        elif time.monotonic() - last_at_work > _SECONDS_WITHOUT_WORKERS:
            raise RuntimeError(_why_none_works(workers))


def _is_at_work(worker: dict[str, Any]) -> bool:
    """Whether it takes tasks, or ends those that it began before it was paused."""
    return worker["status"] == "running" or worker["metrics"].get("task_counts", {}).get("executing", 0) > 0


def _why_none_works(workers: dict[str, dict[str, Any]]) -> str:
    kept = "the model keeps what the rounds so far have come to"
    if not workers:
        return (
            f"the cluster has had no worker for {_SECONDS_WITHOUT_WORKERS:.0f} seconds; {kept}. Start workers, and "
            "call fit again"
        )
    statuses = sorted({worker["status"] for worker in workers.values()})
    limit = min(worker["memory_limit"] or 0 for worker in workers.values())
    return (
        f"the cluster's {len(workers)} workers have taken no task for {_SECONDS_WITHOUT_WORKERS:.0f} seconds, as they "
        f"are {' or '.join(statuses)}: Dask pauses a worker whose process has more than a share of its memory limit, "
        f"which is {limit / 2**20:,.0f} MiB here; {kept}. Expected a larger memory_limit of the workers, or "
        "memory_limit=None where they are threads of one process, each of which counts all of its memory"
    )
