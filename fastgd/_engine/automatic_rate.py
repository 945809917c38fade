"""The learning rate of a run that was given "auto"."""

import time
from typing import TYPE_CHECKING

import numpy as np

from fastgd._engine.learning_rate_search import automatic_schedule, largest_rate, most_rows_of_trials
from fastgd._engine.safeguard import LongestRows
from fastgd.data.base import Dataset
from fastgd.recommended import falling_schedule
from fastgd.schedules import Schedule

if TYPE_CHECKING:
    from fastgd._engine.run import Run

# What tells the draws of the trials of "auto" from those of the epochs' orders and of held-out rows.
_TRIALS = 2
# Trials are short, and judged by what is learnt. On small tables they find rates of Adam and RMSprop by which hidden
# layers soon fit the noise in the targets, or wander: longer steps than this gained nothing on 21 tables of
# `quality_sets.py` but in the first few epochs.
_LONGEST_STEP = 0.03


def automatic_rate(
    run: "Run", dataset: Dataset, batch_rows: int, longest: LongestRows, is_full_batch: bool, epochs: int
) -> Schedule | None:
    """The optimiser's own rate where it has one that needs no search, or what trials find; None where nothing counts.

    batch_rows : of an update          longest : rows of the data set
    is_full_batch : whether an update has all rows          epochs : that the rate is for
    """
    if run.optimizer.needs_no_search:
        # Each replica makes its part of an epoch's updates.
        rows = batch_rows * run.shares.n_copies
        return falling_schedule(run.optimizer, run.model, run.loss, dataset, rows, is_full_batch)
    rng = np.random.default_rng([run.seed, 0, _TRIALS])
    most = largest_rate(run.optimizer, run.loss, longest.largest, batch_rows, dataset.n_samples)
    step_per_rate = run.optimizer.step_per_rate
    if step_per_rate is not None and not run.model.is_linear:
        most = min(most, _LONGEST_STEP / step_per_rate)
    most_rows = most_rows_of_trials(dataset.n_samples, epochs)
    return automatic_schedule(
        run.model, dataset, run.loss, batch_rows, rng, run.engine_of, most, most_rows, run.n_threads
    )


def longest_rows(run: "Run", dataset: Dataset) -> LongestRows | None:
    """The rows that a rate of "auto" must have in view; None for any other."""
    model = run.model
    if run.optimizer.learning_rate != "auto" or model.unfitted_layers:
        # Nothing is learnt where every weight is zero.
        return None
    began = time.perf_counter()
    longest = LongestRows(dataset, model.dtype, model.mean_and_scale, model.mean_and_scale_of_y)
    run.history.search_seconds += time.perf_counter() - began
    return longest
