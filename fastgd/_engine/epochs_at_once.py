"""Epochs that nothing comes between, in one call of the compiled loop.

Where rows are few, all that Python does for an epoch takes several times as long as the epoch.
"""

import time

import numpy as np

from fastgd import kernels
from fastgd._engine.run import Prepared, Run
from fastgd._engine.slices import Engine
from fastgd.data.reader import Reader


def train_epochs(run: Run, prepared: Prepared, most: int) -> int:
    """Train for several epochs in one call, up to `most`, add them to the history and return how many they are.

    They are none where each has to be trained by itself. Nothing may wait for the end of each: validation data,
    metrics, callbacks or a display.
    """
    engine, reader, safeguard = prepared
    may_repeat = isinstance(engine, Engine) and isinstance(reader, Reader) and engine is run.engine
    if not may_repeat or run.shuffle or run.cut is not None or safeguard is not None:
        return 0
    reader.order, engine.rates.factor = None, run.learning_rate_factor
    n_epochs = engine.epochs_at_once(reader, most)
    while n_epochs > 1:
        # Model and history are of the same epoch, whenever Ctrl-C comes.
        with kernels.interrupts_deferred():
            began, n_before = time.perf_counter(), engine.n_updates
            losses = engine.train_epochs(reader, n_epochs)
            if losses is not None:
                seconds = (time.perf_counter() - began) / n_epochs
                n_updates = (engine.n_updates - n_before) // n_epochs
                middles = n_before + n_updates * np.arange(n_epochs) + max((n_updates + 1) // 2, 1)
                history = run.history
                history.loss += losses.tolist()
                history.validation_loss += [None] * n_epochs
                history.seconds += [seconds] * n_epochs
                history.learning_rate += engine.rates.at_each(middles).tolist()
                return n_epochs
        # What is not finite is found in the epoch that it begins with, trained by itself.
        n_epochs //= 2
    return 0
