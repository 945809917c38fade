"""The learning rate "auto": a safe one from the data's second moments, then trials around it on some of the rows."""

import copy
import math
from collections.abc import Callable

import numpy as np

from fastgd import kernels
from fastgd.dataset import Block, Dataset, Reader, require_finite
from fastgd.engine import Engine
from fastgd.errors import DivergenceError
from fastgd.kernels.network import Layer
from fastgd.layers import Linear
from fastgd.model import Model
from fastgd.schedules import Cooldown, LinearWarmup, Schedule
from fastgd.shuffle import ChosenRows
from fastgd.subset import Subset

# Rows that the second moments are taken of.
_ROWS = 1024
# Of a trial: one of so many parts of the data, within these numbers of rows, but enough updates.
_PARTS = 32
_ENOUGH_ROWS, _MOST_ROWS = 1 << 12, 1 << 16
_ENOUGH_UPDATES = 160
# An epoch of fewer updates tells nothing.
_FEWEST_UPDATES = 32
_MOST_STEPS = 40

# As shares of half the step at which a linear layer would begin to diverge. One Linear alone is soon as good as the
# noise of its last steps allows, so they are small; with hidden layers, getting there is what takes time.
_SHARE_OF_ONE_LINEAR = 0.05
_SHARE_OF_SEVERAL = 0.5


def automatic_schedule(
    model: Model,
    dataset: Dataset,
    batch_rows: int,
    rng: np.random.Generator,
    engine_of: Callable[[Model, Schedule], Engine],
) -> Schedule:
    """`one_epoch` for the updates of an epoch, with the best rate of some trials.

    A trial is an epoch in small: it trains a copy of the model on some rows, the same for each, with `one_epoch` for
    its own updates. Its result is the mean loss of the batches of its cool-down, each before its update, and infinite
    where it diverges: rows that the copy has not seen, and parameters without the noise of the last steps. The rates
    are r_k = r_0 2^(k/2) with r_0 = `safe_learning_rate`, and k is chosen by `_best`.

    A trial takes n / 32 rows, or 4096, or those of 160 updates, whichever is most, and never more than an epoch; 6 to 9
    trials are the rule. Where an epoch has fewer than 32 updates, the rate is r_0.

    model : as initialised          rng : draws the order of the trials' rows
    engine_of : makes the engine that trains a model by a schedule
    """
    n_samples = dataset.n_samples
    n_rows = min(_ROWS, model.chunk_rows, n_samples)
    reader = Reader(dataset, model.dtype, n_rows, model.mean_and_scale)
    reader.order = ChosenRows(np.linspace(0, n_samples - 1, n_rows).astype(np.int64))
    block = reader.read(0, n_rows)
    require_finite(block, reader.row)
    rate = safe_learning_rate(model, block, batch_rows)
    if n_samples // batch_rows >= _FEWEST_UPDATES:
        n_rows = min(max(n_samples // _PARTS, _ENOUGH_ROWS), _MOST_ROWS, n_samples)
        n_updates = min(max(n_rows // batch_rows, _ENOUGH_UPDATES), n_samples // batch_rows)
        rows = rng.permutation(np.linspace(0, n_samples - 1, n_updates * batch_rows).astype(np.int64))
        n_first = (n_updates - n_updates // 4) * batch_rows
        parts = [Subset(dataset, part) for part in (rows[:n_first], rows[n_first:])]

        def result(k: int) -> float:
            copied = copy.deepcopy(model)
            engine = engine_of(copied, one_epoch(rate * 2 ** (k / 2), n_updates))
            engine.prepare(batch_rows)
            try:
                for part in parts:
                    reader = Reader(part, model.dtype, engine.chunk_rows, model.mean_and_scale)
                    loss = engine.train_epoch(reader, 1)
            except DivergenceError:
                return math.inf
            return loss

        rate *= 2 ** (_best(result) / 2)
    return one_epoch(rate, -(-n_samples // batch_rows))


def one_epoch(rate: float, n_updates: int) -> Schedule:
    """The rate after a warm-up over a quarter of the epoch, once, and with a cool-down over each epoch's last quarter.

    Hidden layers that have just been initialised bear only a fraction of the steps that serve them soon after: Goyal et
    al., "Accurate, large minibatch SGD" (2017), section 2.2.
    """
    return LinearWarmup(Cooldown(rate, n_updates, share=0.25), max(n_updates // 4, 1))


def _best(result: Callable[[int], float]) -> int:
    """The k for which the worse of result(k) and result(k + 1) is least; above the best rate, losses soon explode.

    A walk from 0 finds the least result, by steps of 4, then 2, then 1.
    """
    results = {0: result(0)}
    least = 0

    def improves(k: int) -> bool:
        if k not in results:
            results[k] = result(k)
        # Where all is infinite, smaller rates may not be.
        return results[k] < results[least] or (k < least and math.isinf(results[least]))

    for size in (4, 2, 1):
        for step in (size, -size):
            while abs(least + step) <= _MOST_STEPS and improves(least + step):
                least += step
    below, above = results.get(least - 1, math.inf), results.get(least + 1, math.inf)
    return least if above < below else least - 1


def safe_learning_rate(model: Model, block: Block, batch_rows: int) -> float:
    """share / max over the Linear layers of (λ + r / batch_rows); share is 1/20 for one Linear, 1/2 for several.

    For a layer's inputs x over the block's rows, biases included as inputs of 1, λ is the largest eigenvalue of the
    mean of x xᵀ, the curvature that a full batch meets, and r the mean of |x|², what single rows add to it. Steps
    beyond about 2 / (λ + r / B) diverge; compare Ma, Bassily and Belkin, "The power of interpolation" (ICML 2018). Zero
    where the model overflows as it is: training will say so.

    model : as initialised          block : rows as the first layer takes them
    """
    network = model.network(len(block.X))
    rows = block.rows(0, network.chunk_rows)
    stack = [layer for layer in model.layers if layer is not model.standardize]
    if any(isinstance(layer, Linear) for layer in stack[1:]):
        # Leaves every layer's output in the network's buffers.
        out = np.empty((len(rows.X), model.out_features), model.dtype)
        kernels.predict_network(network, model.parameters, rows.X, out)
    curvatures = []
    inputs = rows.X
    for layer, row in zip(stack, network.layers, strict=True):
        if isinstance(layer, Linear):
            if not np.isfinite(inputs).all():
                return 0.0
            x = inputs.astype(np.float64)
            if layer.bias is not None:
                x = np.hstack([x, np.ones((len(x), 1))])
            largest = np.linalg.norm(x, ord=2) ** 2 / len(x)
            curvatures.append(largest + (x**2).sum() / len(x) / batch_rows)
        numbers = Layer(*row)
        end = numbers.output + len(rows.X) * numbers.n_out
        inputs = network.outputs[numbers.output : end].reshape(len(rows.X), numbers.n_out)
    share = _SHARE_OF_ONE_LINEAR if len(curvatures) == 1 else _SHARE_OF_SEVERAL
    return share / max(max(curvatures), np.finfo(np.float64).tiny)
