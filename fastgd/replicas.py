"""How copies of a model that train at once, each on its share of the rows, become one again.

`Trainer(replicas=R)` has R copies of the parameters. In a round each trains on its next `round_rows` rows, by the
trainer's optimiser, whose state is its own; then they are combined, and all go on from what came of it:

    delta = Σ n_k (w − w_k) / Σ n_k,    velocity ← momentum · velocity + delta,
    w ← w − learning_rate · (delta + momentum · velocity)

with w the parameters that the round began with, w_k those of replica k after n_k rows. By default the learning rate is
1 and the momentum 0, which is the weighted mean of the w_k: local SGD (Stich, "Local SGD Converges Fast and
Communicates Little", 2019). `Nesterov` has others, as DiLoCo has (Douillard et al., 2023).

What comes of it depends on the data, the seed, the number of replicas and the length of a round, and never on how many
threads or processes did the work.
"""

from dataclasses import dataclass

import numpy as np

from fastgd.data import checks

__all__ = ["Nesterov"]

# A round should take so many seconds, a row what it takes at least and what a parameter's part of it does: then threads
# wait for one another for a few hundredths of the time.
_ROUND_SECONDS, _PER_ROW, _PER_PARAMETER = 1e-2, 5e-9, 4e-11
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

    def __post_init__(self) -> None:
        checks.positive(self.learning_rate, "learning_rate")
        momentum = checks.non_negative(self.momentum, "momentum")
        if momentum >= 1:
            raise ValueError(f"momentum is {self.momentum}; expected less than 1")


def rows_of_a_round(n_parameters: int, rate: float = 1.0, largest_rate: float = 1.0) -> int:
    """How many rows of each replica a round has where nobody says.

    At the largest learning rate of the run they are as many as take some milliseconds, so that what a round costs
    besides is a few hundredths of it. As the rate falls, replicas part more slowly, and rounds grow with the square of
    its inverse, up to 16 times: see Gu et al., "A Quadratic Synchronization Rule for Distributed Deep Learning" (2024).
    The number of parameters and the rates alone decide, and no clock, so that the numbers are the same on every
    machine.

    rate, largest_rate : of the next update, and the largest that a round of the run began with
    """
    fall = min(max(1.0, largest_rate / rate), _MOST_GROWTH) if rate > 0 else _MOST_GROWTH
    growth = min(fall**_GROWTH_POWER, _MOST_GROWTH)
    return max(round(growth * _ROUND_SECONDS / (_PER_ROW + _PER_PARAMETER * n_parameters)), 1)


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
