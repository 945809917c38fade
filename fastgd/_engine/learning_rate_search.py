"""The learning rate "auto": a safe one from the data's second moments, then trials around it on some of the rows."""

import copy
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from fastgd._engine.slices import Engine
from fastgd.data.base import Dataset
from fastgd.data.block import Block, require_finite
from fastgd.data.shuffle import ChosenRows
from fastgd.data.subset import Subset, rows_that_count
from fastgd.errors import DivergenceError
from fastgd.layers import Layer, Linear, Standardize
from fastgd.losses import Loss, kind_of
from fastgd.model import Model
from fastgd.model_data import reader_of
from fastgd.network import inputs_of_linears
from fastgd.optimizers import Optimizer
from fastgd.schedules import Cooldown, LinearWarmup, Schedule

# Rows that the second moments are taken of.
_ROWS = 1024
# What sparse ones of them may take in memory once they are dense.
_DENSE_BYTES = 64 << 20
# Of a trial: one of so many parts of the data, within these numbers of rows, but enough updates.
_PARTS = 32
_ENOUGH_ROWS, _MOST_ROWS = 1 << 12, 1 << 16
_ENOUGH_UPDATES = 160
# A trial of an epoch of fewer updates goes through it again and again: with one Linear, and with several.
_FEWEST_UPDATES = 32
_SHORT_OF_ONE, _SHORT_OF_SEVERAL = 64, 128
# After them a Linear alone has found its minimum at most rates. The largest of those that come so near to the least
# loss serves fits of fewer updates, too.
_SLACK = 0.015
# Where any larger rate comes as near, as with optimisers that forget their first steps, or with classes that a line
# separates, that is no reason to take one that is a thousand times as large.
_MOST_SLACK_OCTAVES = 3
# Relative improvements of less than this count as none.
_TOLERANCE = 1e-4
_MOST_OCTAVES = 20

# On data of more rows than this, all trials together take no more rows than one epoch, or this share of a run's.
_MANY_ROWS, _SHARE_OF_RUN = 10_000, 0.1
# Where that leaves too few rows for so many trials, each is made smaller, but for its fewest updates.
_FEWEST_TRIALS = 6

# One Linear alone is soon as good as the noise of its last steps allows, so noise counts for more than curvature; with
# hidden layers, getting there is what takes time.
_NOISE_OF_ONE_LINEAR = 20.0
_SHARE_OF_SEVERAL = 0.5


class Trials(NamedTuple):
    """How rates are tried: each trains a copy of the model on the same rows, with `one_epoch` for its own updates.

    parts : the rows, one part after the other          batch_rows : of an update
    n_updates : what `one_epoch` takes an epoch for
    looks_back : whether the result is the loss on the last part after training on it; else the mean loss of its
        batches, each before its update
    per_octave, margin, slack : of the rates, as `_best` searches them
    """

    parts: list[Dataset]
    batch_rows: int
    n_updates: int
    looks_back: bool
    per_octave: int
    margin: int
    slack: float

    @property
    def n_rows(self) -> int:
        """How many rows a trial takes."""
        return sum(part.n_samples for part in self.parts) + (self.parts[-1].n_samples if self.looks_back else 0)


class _BudgetSpent(Exception):
    """No more trials."""


def most_rows_of_trials(n_samples: int, epochs: int) -> float:
    """How many rows all trials may take together, for a run of so many epochs."""
    return math.inf if n_samples <= _MANY_ROWS else n_samples * max(1.0, _SHARE_OF_RUN * epochs)


def trials_of_long_epochs(
    dataset: Dataset, batch_rows: int, rng: np.random.Generator, most_rows: float = math.inf
) -> Trials:
    """A trial is an epoch in small, judged by its cool-down: rows that the copy has not seen, and parameters without
    the noise of the last steps. It takes n / 32 rows, or 4096, or those of 160 updates, whichever is most, and never
    more than an epoch; 6 to 9 trials are the rule.

    most_rows : a trial takes no more, or 32 updates
    """
    n_samples = dataset.n_samples
    n_rows = min(max(n_samples // _PARTS, _ENOUGH_ROWS), _MOST_ROWS, n_samples)
    n_updates = min(max(n_rows // batch_rows, _ENOUGH_UPDATES), n_samples // batch_rows)
    if n_updates * batch_rows > most_rows:
        n_updates = max(int(most_rows // batch_rows), _FEWEST_UPDATES)
    rows = rng.permutation(_spread(n_samples, n_updates * batch_rows))
    n_first = (n_updates - n_updates // 4) * batch_rows
    parts: list[Dataset] = [Subset(dataset, part) for part in (rows[:n_first], rows[n_first:])]
    return Trials(parts, batch_rows, n_updates, looks_back=False, per_octave=2, margin=1, slack=0.0)


def trials_of_short_epochs(
    dataset: Dataset, layers: Sequence[Layer], batch_rows: int, rng: np.random.Generator, most_rows: float = math.inf
) -> Trials:
    """A trial is as many whole epochs as make up 64 updates, or 128 with hidden layers, with as many rows a batch as
    make up 65536 at most. Its rates are closer: where there is little time, the best is soon one of the last before
    divergence.

    most_rows : of a trial; for fewer it makes 32 updates, of smaller batches
    """
    n_linear = sum(isinstance(layer, Linear) for layer in layers)
    is_linear = n_linear == 1 and all(isinstance(layer, Linear | Standardize) for layer in layers)
    at_least = _SHORT_OF_ONE if n_linear == 1 else _SHORT_OF_SEVERAL
    n_samples, n_updates = dataset.n_samples, -(-dataset.n_samples // batch_rows)
    batch_rows = min(batch_rows, _MOST_ROWS // at_least)
    if max(at_least, n_updates) * batch_rows > most_rows:
        at_least = _FEWEST_UPDATES
        batch_rows = max(min(batch_rows, int(most_rows // at_least)), 1)
    rows = _spread(n_samples, min(n_updates * batch_rows, n_samples))
    parts: list[Dataset] = [Subset(dataset, rng.permutation(rows)) for _ in range(-(-at_least // n_updates))]
    return Trials(
        parts,
        batch_rows,
        n_updates,
        looks_back=True,
        per_octave=4,
        margin=2 if n_linear == 1 else 1,
        slack=_SLACK if is_linear else 0.0,
    )


def automatic_schedule(
    model: Model,
    dataset: Dataset,
    loss: Loss,
    batch_rows: int,
    rng: np.random.Generator,
    engine_of: Callable[[Model, Schedule], Engine],
    most: float = math.inf,
    most_rows: float = math.inf,
    n_threads: int | None = None,
) -> Schedule | None:
    """`one_epoch` for the updates of an epoch, with the best rate of some trials; None where all weights are zero.

    The rates are r_k = r_0 2^(k / per_octave) with r_0 = `safe_learning_rate`, and k is chosen by `_best`; one that
    diverges has an infinite loss. An epoch of fewer than 32 whole batches is a short one.

    model : as initialised          rng : draws the order of the trials' rows
    engine_of : makes the engine that trains a model by a schedule          most : no rate is larger
    most_rows : that all trials together may take; the best of those so far is chosen where another would take more
    """
    counting = rows_that_count(dataset)
    n_counting = dataset.n_samples if counting is None else len(counting)
    if n_counting == 0:
        return None
    if batch_rows == 1 and counting is not None:
        # Rows of weight zero make no updates.
        dataset, counting = Subset(dataset, counting), None
    n_samples = dataset.n_samples
    n_rows = min(_ROWS, model.micro_batch_rows, n_counting)
    if dataset.is_sparse:
        n_rows = min(n_rows, rows_made_dense(model.in_features))
    reader = reader_of(model, dataset, n_rows)
    chosen = _spread(n_counting, n_rows)
    reader.order = ChosenRows(chosen if counting is None else counting[chosen])
    block = reader.read(0, n_rows)
    require_finite(block, reader.row)
    block = block.dense() if dataset.is_sparse else block
    safe = safe_learning_rate(model, loss, block, n_counting / n_samples, batch_rows, n_samples, n_threads)
    most_of_one = most_rows / _FEWEST_TRIALS
    if n_samples // batch_rows < _FEWEST_UPDATES:
        trials = trials_of_short_epochs(dataset, model.stack, batch_rows, rng, most_of_one)
    else:
        trials = trials_of_long_epochs(dataset, batch_rows, rng, most_of_one)
    left = most_rows

    def rate(k: int) -> float:
        return safe * 2 ** (k / trials.per_octave)

    def result(k: int) -> float:
        nonlocal left
        left -= trials.n_rows
        if left < 0:
            raise _BudgetSpent
        copied = copy.deepcopy(model)
        engine = engine_of(copied, one_epoch(rate(k), trials.n_updates))
        engine.prepare(trials.batch_rows, entries_per_row=dataset.entries_per_row)
        try:
            for part in trials.parts:
                reader = reader_of(model, part, engine.micro_batch_rows)
                last = engine.train_epoch(reader, 1)
        except DivergenceError:
            return math.inf
        if trials.looks_back:
            last = copied.loss(trials.parts[-1], loss=loss, n_threads=n_threads)
        return last if math.isfinite(last) else math.inf

    safe = min(safe, most / 2)
    chosen = _best(lambda k: result(k) if rate(k) <= most else math.inf, trials.per_octave, trials.margin, trials.slack)
    return one_epoch(rate(chosen), -(-n_samples // batch_rows))


def rows_made_dense(n_features: int) -> int:
    """How many sparse rows are made dense at once, to be looked at, in float64 and at most 64 MB."""
    return _DENSE_BYTES // (8 * n_features)


def largest_rate(optimizer: Optimizer, loss: Loss, longest: float, batch_rows: int, n_samples: int) -> float:
    """2 B a / (h R): beyond it, a batch with the longest row overshoots what the row asks for.

    a is the optimiser's `stable_share`, 1 - momentum for SGD; R is the largest v (|x|² + 1), as the first layer takes
    rows. A mean over rows, which `safe_learning_rate` takes, knows nothing of the few that are a hundred times as long,
    as those of rare categories are after Standardize. Infinite where a step is not in proportion to the gradient, where
    the loss has no curvature to go by, and for a full batch, as that holds the longest row in every trial.

    longest : R          batch_rows, n_samples : B, and the rows of an epoch
    """
    curvature, share = kind_of(loss).curvature, optimizer.stable_share
    if share is None or curvature is None or batch_rows == n_samples or longest == 0:
        return math.inf
    return 2 * batch_rows * share / (curvature * longest)


def chosen_rate(schedule: Schedule) -> float:
    """The rate that a schedule of "auto" was made for."""
    rate = schedule
    while isinstance(rate, Schedule):
        rate = rate.learning_rate
    return rate


def _spread(n: int, n_chosen: int) -> np.ndarray:
    """Some numbers below n, as far from one another as can be."""
    return np.linspace(0, n - 1, n_chosen).astype(np.int64)


def one_epoch(rate: float, n_updates: int) -> Schedule:
    """The rate after a warm-up over a quarter of the epoch, once, and with a cool-down over each epoch's last quarter.

    Hidden layers that have just been initialised bear only a fraction of the steps that serve them soon after: Goyal et
    al., "Accurate, large minibatch SGD" (2017), section 2.2.
    """
    return LinearWarmup(Cooldown(rate, n_updates, share=0.25), max(n_updates // 4, 1))


def _best(result: Callable[[int], float], per_octave: int = 2, margin: int = 1, slack: float = 0.0) -> int:
    """The k for which the worst of result(k) to result(k + margin) is least; above the best rate, losses soon explode.

    A walk from 0 finds the least result, by steps of two octaves, then half as many, and so on to 1. Then k rises, by
    three octaves at most, while the worst stays within a share, the slack, of that.

    Where there is no budget for another result, it is the k whose neighbours are known for which that worst is least,
    or one that is below the least by the margin.
    """
    results: dict[int, float] = {}
    try:
        return _walk(result, results, per_octave, margin, slack)
    except _BudgetSpent:
        least = min(results, key=lambda k: (results[k], k), default=0)
        known = [k for k in results if all(j in results for j in range(k, k + margin + 1))]
        known = [k for k in known if not _is_better(results[least], max(results[j] for j in range(k, k + margin + 1)))]
        return max(known, default=least - margin)


def _walk(result: Callable[[int], float], results: dict[int, float], per_octave: int, margin: int, slack: float) -> int:
    """The k that `_best` is to find; results is filled."""
    results[0] = result(0)
    least, most = 0, _MOST_OCTAVES * per_octave

    def at(k: int) -> float:
        if k not in results:
            results[k] = result(k)
        return results[k]

    def improves(k: int) -> bool:
        # Where all is infinite, smaller rates may not be.
        return _is_better(at(k), results[least]) or (k < least and math.isinf(results[least]))

    size = 2 * per_octave
    while size:
        for step in (size, -size):
            while abs(least + step) <= most and improves(least + step):
                least += step
        size //= 2

    def worst(k: int) -> float:
        return max(at(j) for j in range(k, k + margin + 1))

    best = least - margin
    for k in range(best + 1, least + 1):
        if _is_better(worst(k), worst(best)):
            best = k
    if slack:
        bound = worst(best)
        bound += slack * abs(bound)
        highest = best + _MOST_SLACK_OCTAVES * per_octave
        while best < highest and at(best + margin + 1) <= bound:
            best += 1
    return best


def _is_better(one: float, other: float) -> bool:
    """Whether a loss is less than another by more than what rounding makes of trials that all find the minimum."""
    return one < other - _TOLERANCE * abs(other) if math.isfinite(other) else one < other


def safe_learning_rate(
    model: Model,
    loss: Loss,
    block: Block,
    share: float,
    batch_rows: int,
    n_samples: int,
    n_threads: int | None = None,
) -> float:
    """For one Linear, 1 / (h (λ + 20 s));  for several, 1/2 / (h max over them of (λ + s)).

    h is the most that the loss's second derivative comes to. For a layer's inputs x over the rows, biases included as
    inputs of 1, λ is the largest eigenvalue of the mean of v x xᵀ, with v the sample weights: the curvature that a full
    batch meets. s = r / B, with r the mean of v |x|², is what a batch of B rows adds to it, and 0 at full batch. Steps
    beyond about 2 / (h (λ + s)) diverge; compare Ma, Bassily and Belkin, "The power of interpolation" (ICML 2018). Zero
    where the model overflows as it is: training will say so.

    model : as initialised          block : rows as the first layer takes them, those of weight zero left out
    share : of the rows, those whose weight is not zero          batch_rows, n_samples : B and n
    """
    curvatures = []
    n_rows = min(len(block.X), model.micro_batch_rows)
    rows = block.rows(0, n_rows)
    v = rows.sample_weight.astype(np.float64)[:, None] if rows.sample_weight.size else 1.0
    noise = 0.0 if batch_rows == n_samples else 1 / batch_rows
    is_one = sum(isinstance(layer, Linear) for layer in model.stack) == 1
    for layer, inputs in inputs_of_linears(model, rows.X, n_threads):
        if not np.isfinite(inputs).all():
            return 0.0
        x = inputs.astype(np.float64)
        if layer.bias is not None:
            x = np.hstack([x, np.ones((n_rows, 1))])
        x *= np.sqrt(share * v / n_rows)
        spread = noise * (x**2).sum()
        curvatures.append(np.linalg.norm(x, ord=2) ** 2 + (_NOISE_OF_ONE_LINEAR if is_one else 1) * spread)
    largest = (kind_of(loss).curvature or 1.0) * max(curvatures)
    return (1.0 if is_one else _SHARE_OF_SEVERAL) / max(largest, np.finfo(np.float64).tiny)
