"""How ratios are taken: the runs by turns in one process, the best time of each."""

import time
from collections.abc import Callable, Mapping

from bench.cases.runs import Run


def best_seconds(
    runs: Mapping[str, Run], seconds: float, clock: Callable[[], float] = time.thread_time, pause: float = 0
) -> dict[str, float]:
    """Each run's seconds per row, the best of its epochs.

    A round gives every run one epoch, so that a slower spell of the machine meets all of them. After three rounds, the
    runs whose epochs take less than a tenth of `seconds` go on for `seconds`.

    clock : by default the calling thread's time on a processor. No run waits for anything, and wall time would charge
        a run with few epochs for other processes' turns more often than one with many
    pause : seconds before each epoch
    """
    best = dict.fromkeys(runs, float("inf"))

    def play_round(names):
        for name in names:
            runs[name].reset()
            time.sleep(pause)
            began = clock()
            runs[name].epoch()
            best[name] = min(best[name], (clock() - began) / runs[name].n_samples)

    for _ in range(3):
        play_round(runs)
    quick = [name for name, run in runs.items() if best[name] * run.n_samples < seconds / 10]
    end = time.perf_counter() + seconds
    while quick and time.perf_counter() < end:
        play_round(quick)
    return best
