"""The time to the first update in a fresh process, against that of `import numba`, without which there is none."""

import os
import statistics
import subprocess
import sys
import tempfile
from typing import NamedTuple

IMPORT_NUMBA = "import numba"
FIRST_UPDATE = """
import numpy as np
import fastgd as gd
X, y = np.ones(({rows}, 100), np.float32), np.ones({rows}, np.float32)
gd.Trainer(gd.Model({layers}), batch_size={rows}).fit(X, y)
"""
FIRST_UPDATES = {
    "ReLU neuron, 100 inputs, batch 1": FIRST_UPDATE.format(rows=1, layers="[gd.Linear(100, 1), gd.ReLU()]"),
    "100-64-1, batch 32": FIRST_UPDATE.format(rows=32, layers="[gd.Linear(100, 64), gd.ReLU(), gd.Linear(64, 1)]"),
}


class Ratios(NamedTuple):
    """Medians of the first update's seconds divided by those of `import numba`, with its machine code cached or not."""

    warm: float
    empty: float


def seconds_of(code: str, cache: str) -> float:
    """Seconds that the code takes in a fresh process, the interpreter's own start not counted.

    cache : directory for compiled kernels
    """
    timed = f"import time\nbegan = time.perf_counter()\n{code}\nprint(time.perf_counter() - began)"
    run = subprocess.run(
        [sys.executable, "-c", timed],
        env={**os.environ, "NUMBA_CACHE_DIR": cache},
        capture_output=True,
        text=True,
        check=True,
    )
    return float(run.stdout)


def ratios(first_update: str, rounds: int = 7) -> Ratios:
    """By turns: `import numba`, the first update with a warm cache, and with an empty one."""
    warm_ratios, empty_ratios = [], []
    with tempfile.TemporaryDirectory() as warm:
        seconds_of(first_update, warm)
        for _ in range(rounds):
            import_numba = seconds_of(IMPORT_NUMBA, warm)
            warm_ratios.append(seconds_of(first_update, warm) / import_numba)
            with tempfile.TemporaryDirectory() as empty:
                empty_ratios.append(seconds_of(first_update, empty) / import_numba)
    return Ratios(statistics.median(warm_ratios), statistics.median(empty_ratios))
