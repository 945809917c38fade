"""How ratios are taken: the contenders by turns in one process, the best time of each."""

import time
from collections.abc import Mapping

from runs import Run


def best_seconds(runs: Mapping[str, Run], seconds: float) -> dict[str, float]:
    """Each run's seconds per row, the best of at least three epochs.

    A round gives every run one epoch, so that a slower spell of the machine meets all of them; rounds go on for about
    `seconds`. A run that takes more than a fifth of this has three epochs.
    """
    best = dict.fromkeys(runs, float("inf"))
    n_rounds, end = 0, time.perf_counter() + seconds
    while n_rounds < 3 or time.perf_counter() < end:
        for name, run in runs.items():
            if n_rounds >= 3 and best[name] * run.n_samples > seconds / 5:
                continue
            run.reset()
            began = time.perf_counter()
            run.epoch()
            spent = time.perf_counter() - began
            best[name] = min(best[name], spent / run.n_samples)
        n_rounds += 1
    return best
