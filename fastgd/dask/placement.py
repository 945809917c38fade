"""Where the rows of Dask arrays lie: those of each replica together, and as many on each worker as on any other."""

import time
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgd._engine.progress import logger
from fastgd.dask.waiting import wait_for, workers_of
from fastgd.errors import warn

if TYPE_CHECKING:
    import dask.array
    from distributed import Client, Future


def placed(
    client: "Client", arrays: "Sequence[dask.array.Array]"
) -> "tuple[list[tuple[Future, ...]], list[dask.array.Array]]":
    """Arrays of one block for each replica, computed on the workers and balanced over them, and the blocks' futures.

    How long it took is told to the logger "fastgd"; that one worker has more than twice as many of the blocks as
    another, both for each of their threads, is a UsageWarning.
    """
    began = time.monotonic()
    columns = [client.compute(each.to_delayed().ravel().tolist()) for each in client.persist(list(arrays))]
    _wait(client, columns)
    places = _balanced(_holders(client, columns[0]), _threads(client))
    for column in columns:
        holders = _holders(client, column)
        # Only those that lie elsewhere are moved.
        for k, (holder, place) in enumerate(zip(holders, places, strict=True)):
            if holder != place:
                options = {"workers": [place], "allow_other_workers": True, "pure": False}
                column[k] = client.submit(_same, column[k], **options)
    _wait(client, columns)
    _warn_of_imbalance(_holders(client, columns[0]), _threads(client))
    rows = len(arrays[0])
    logger.info("%d rows, in %d blocks, lie on the workers after %.3g s", rows, len(places), time.monotonic() - began)
    blocks = list(zip(*columns, strict=True))
    return blocks, [_array_of(column, each) for column, each in zip(columns, arrays, strict=True)]


def _wait(client: "Client", columns: "list[list[Future]]") -> None:
    """Until all are there; raises the error of the first that is not."""
    futures = [future for column in columns for future in column]
    wait_for(client, futures)
    for future in futures:
        if future.status == "error":
            future.result()


def _threads(client: "Client") -> dict[str, int]:
    """How many threads each worker that takes tasks has, by its address."""
    workers = workers_of(client)
    return {address: workers[address]["nthreads"] for address in sorted(workers) if _runs(workers[address])}


def _runs(worker: dict[str, Any]) -> bool:
    return worker["status"] == "running"


def _holders(client: "Client", futures: "list[Future]") -> list[str]:
    """The address of a worker that has each."""
    who_has = client.who_has(futures)
    return [min(who_has.get(future.key, ()), default="") for future in futures]


def _balanced(holders: list[str], threads: dict[str, int]) -> list[str]:
    """Which worker is to have each block: the one that has it, unless that has more than its part of them."""
    n_threads = sum(threads.values())
    counts = dict.fromkeys(threads, 0)
    places = list(holders)
    moved = []
    for k, holder in enumerate(holders):
        if holder in counts and counts[holder] * n_threads < len(holders) * threads[holder]:
            counts[holder] += 1
        else:
            moved.append(k)
    for k in moved if counts else ():
        places[k] = min(counts, key=lambda address: (counts[address] + 1) / threads[address])
        counts[places[k]] += 1
    return places


def _warn_of_imbalance(holders: list[str], threads: dict[str, int]) -> None:
    counts = Counter(holders)
    if not threads:
        return
    per_thread = {address: counts[address] / n for address, n in threads.items()}
    least, most = min(per_thread, key=per_thread.get), max(per_thread, key=per_thread.get)
    if per_thread[most] > 2 * per_thread[least]:
        warn(
            f"the rows of {len(holders)} replicas lie on {len(threads)} workers, {counts[most]} blocks of them on "
            f"{most} and {counts[least]} on {least}, which will wait in each round; expected as many for each of their "
            f"threads: {sum(threads.values())} replicas, or a multiple of that, or fewer workers"
        )


def _same(block: np.ndarray) -> np.ndarray:
    return block


def _array_of(blocks: "list[Future]", like: "dask.array.Array") -> "dask.array.Array":
    """An array of blocks of rows that are there."""
    import dask
    import dask.array as da

    parts = [
        da.from_delayed(dask.delayed(block), (n_rows, *like.shape[1:]), like.dtype)
        for block, n_rows in zip(blocks, like.chunks[0], strict=True)
    ]
    return da.concatenate(parts)
