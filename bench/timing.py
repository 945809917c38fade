"""How ratios are taken: the contenders by turns in one process, the best processor time of each."""

import time
from collections.abc import Mapping

from runs import Run


def best_seconds(runs: Mapping[str, Run], seconds: float) -> dict[str, float]:
    """Each run's seconds per row, the best of its epochs.

    A round gives every run one epoch, so that a slower spell of the machine meets all of them. After three rounds, the
    runs whose epochs take less than a tenth of `seconds` go on for `seconds`.
    """
    best = dict.fromkeys(runs, float("inf"))
    for _ in range(3):
        _round(runs, best)
    quick = {name: run for name, run in runs.items() if best[name] * run.n_samples < seconds / 10}
    end = time.perf_counter() + seconds
    while quick and time.perf_counter() < end:
        _round(quick, best)
    return best


def _round(runs: Mapping[str, Run], best: dict[str, float]) -> None:
    for name, run in runs.items():
        run.reset()
        # No run waits for anything, so this is its time on a processor of its own: a run with few epochs would
        # otherwise be charged for other processes' turns more often than one with many.
        began = time.thread_time()
        run.epoch()
        best[name] = min(best[name], (time.thread_time() - began) / run.n_samples)
