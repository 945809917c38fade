"""How copies of a model that train at once, each on its share of the rows, become one again.

`Trainer(replicas=R)` has R copies of the parameters. In a round each trains on its next `round_rows` rows, by the
trainer's optimiser, whose state is its own; then they are combined, and all go on from what came of it:

    delta = Σ n_k (w − w_k) / Σ n_k,    velocity ← momentum · velocity + delta,
    w ← w − learning_rate · (delta + momentum · velocity)

with w the parameters that the round began with, w_k those of replica k after n_k rows. With a learning rate of 1 and a
momentum of 0 that is the weighted mean of the w_k: local SGD (Stich, "Local SGD Converges Fast and Communicates
Little", 2019). `Nesterov` has others, as DiLoCo has (Douillard et al., 2023).

Each replica makes only one of R updates, and their mean moves as far as one of them. What is missing, a factor of R,
comes by default in equal parts from the replicas' learning rates, √R times the trainer's, and from a momentum of
1 - 0.8 / √R, by which the steps of rounds add up to √R times as much, and a quarter more, as it takes some rounds to
build up: the block momentum of Chen and Huo, "Scalable training of deep learning machines by incremental block
training" (2016). Where √R times a rate diverges, `Nesterov(1.0, 1 - 1 / R)` does with the rate as it is, and wants
short rounds. Where the optimiser's rate is "auto", the mean is taken: more may be too much for it.

What comes of it depends on the data, the seed, the number of replicas and the length of a round, and never on how many
threads or processes did the work.
"""

import math
from dataclasses import dataclass

import numpy as np

from fastgd.data import checks

__all__ = ["Nesterov", "recommended"]

# The seconds that a round should take, so that threads wait for one another for a few percent of the time, and those
# that a row is taken to take: some, and some more for each parameter.
_ROUND_SECONDS, _PER_ROW, _PER_PARAMETER = 1e-2, 5e-9, 4e-11
# Momentum needs some rounds in an epoch. There are the fewest where the parameters' part of a round would take less
# than this part of its seconds.
_ROUNDS_OF_EPOCH, _LEAST_PART, _FEWEST_ROUNDS = 16, 1 / 16, 4
# Rounds grow by this power of what the rate has fallen by, and become so many times as long at most: then Ctrl-C still
# waits no longer than it does elsewhere. `bench/studies/replicas.py` has found that it costs nothing in loss.
_GROWTH_POWER, _MOST_GROWTH = 2.0, 16.0


@dataclass(frozen=True)
class Nesterov:
    """An outer optimiser: Nesterov's momentum on the change that a round makes.

    Parameters
    ----------
    learning_rate : float
        Of the outer update, more than 0. With many rounds, 1 or somewhat below.
    momentum : float
        At least 0, less than 1. It takes tens of rounds to pay.
    rate_scale : float
        What the replicas' own learning rates are multiplied by, more than 0.

    Raises
    ------
    ValueError, TypeError
        For numbers that are not as above.

    Examples
    --------
    >>> import fastgd as gd
    >>> model = gd.Model([gd.Linear(20, 1)])
    >>> trainer = gd.Trainer(model, replicas=4, outer=gd.replicas.Nesterov(0.7, 0.9))
    """

    learning_rate: float = 0.7
    momentum: float = 0.9
    rate_scale: float = 1.0

    def __post_init__(self) -> None:
        checks.positive(self.learning_rate, "learning_rate")
        checks.positive(self.rate_scale, "rate_scale")
        momentum = checks.non_negative(self.momentum, "momentum")
        if momentum >= 1:
            raise ValueError(f"momentum is {self.momentum}; expected less than 1")


def recommended(n_replicas: int) -> Nesterov:
    """What outer="auto" is, of some replicas: see above.

    Examples
    --------
    >>> import fastgd as gd
    >>> gd.replicas.recommended(4)
    Nesterov(learning_rate=1.0, momentum=0.6, rate_scale=2.0)
    """
    root = math.sqrt(n_replicas)
    return Nesterov(1.0, 1 - 0.8 / root, root)


def rows_of_a_round(n_parameters: int, rate: float = 1.0, largest_rate: float = 1.0, share: int | None = None) -> int:
    """How many rows of each replica a round has where nobody says.

    At the largest learning rate of the run they are as many as take some milliseconds, so that what a round costs
    besides is a few hundredths of it. As the rate falls, replicas part more slowly, and rounds grow with the square of
    its inverse, up to 16 times: see Gu et al., "A Quadratic Synchronization Rule for Distributed Deep Learning" (2024).
    The number of parameters, the rates and the rows alone decide, and no clock, so that the numbers are the same on
    every machine.

    rate, largest_rate : of the next update, and the largest that a round of the run began with
    share : with momentum, how many rows of an epoch each replica has: then an epoch has 16 rounds or more, and as few
        as 4 where shorter ones would train for less than some tenths of a millisecond
    """
    fall = min(max(1.0, largest_rate / rate), _MOST_GROWTH) if rate > 0 else _MOST_GROWTH
    growth = min(fall**_GROWTH_POWER, _MOST_GROWTH)
    rows = _ROUND_SECONDS / (_PER_ROW + _PER_PARAMETER * n_parameters)
    most = math.inf
    if share is not None:
        least = _LEAST_PART * _ROUND_SECONDS / (_PER_PARAMETER * n_parameters)
        most = max(share / _ROUNDS_OF_EPOCH, min(least, share / _FEWEST_ROUNDS))
    return max(round(min(growth * rows, most)), 1)


def even_round(rows_left: int, most: int, batch_rows: int) -> int:
    """How many rows the next round has where so many are left of an epoch, for it and those after it to be alike.

    All but the last end where a batch does, and none has more than `most` rows, or one batch. A last one of a few rows
    would end an epoch amid the first steps of replicas that have just become one, whose loss is larger for a while.
    """
    n_batches = max(most // batch_rows, 1)
    batches_left = -(-rows_left // batch_rows)
    n_rounds = -(-batches_left // n_batches)
    return -(-batches_left // n_rounds) * batch_rows


def combine(
    parameters: np.ndarray,
    replicas: list[np.ndarray],
    n_rows: list[int],
    velocity: np.ndarray,
    outer: Nesterov | None,
) -> None:
    """Have parameters, those that a round began with, become what the replicas make of them together.

    parameters : (n,), overwritten          replicas : of each, (n,) of the same dtype, its parameters after the round
    n_rows : how many rows each has trained on, not all 0
    velocity : (n,) float64, overwritten; (0,) without an outer optimiser
    """
    total = sum(n_rows)
    trained = [(after, n / total) for after, n in zip(replicas, n_rows, strict=True) if n]
    if outer is None:
        if len(trained) == 1:
            parameters[:] = trained[0][0]
            return
        mean = np.zeros(parameters.size)
        for after, share in trained:
            mean += share * after.astype(np.float64)
        parameters[:] = mean
        return
    before = parameters.astype(np.float64)
    delta = np.zeros(parameters.size)
    for after, share in trained:
        delta += share * (before - after)
    velocity *= outer.momentum
    velocity += delta
    parameters[:] = before - outer.learning_rate * (delta + outer.momentum * velocity)
