"""The trace of a model that stays as it was."""

import copy

from numpy.typing import ArrayLike

from fastgd._engine.replicas import Shares
from fastgd._engine.run import Run
from fastgd.data import checks
from fastgd.losses import Loss, LossName, as_loss
from fastgd.model import Model
from fastgd.optimizers import SGD, Optimizer
from fastgd.recommended import resolved
from fastgd.regularization import NO_REGULARIZATION
from fastgd.schedules import Schedule
from fastgd.tracing.recorder import rows_to_trace, trace_predictions, trace_updates
from fastgd.tracing.sequence import Trace


def trace(
    model: Model,
    X: ArrayLike,
    y: ArrayLike | None = None,
    learning_rate: float | Schedule | None = None,
    loss: LossName | Loss = "half_squared_error",
    optimizer: Optimizer | None = None,
    batch_size: int | None = 1,
    sample_weight: ArrayLike | None = None,
    seed: int = 0,
) -> Trace:
    """Every number of the updates that training would make from these rows; the model stays as it was.

    They are the kernels' own. Without Dropout, loss and gradient have the bits of `model.loss_and_gradient` for each
    batch. The parameters after it have those of `Trainer.step`, which in plain SGD adds -α δw to w as it computes it:
    so ŵ is w - α δw but for rounding. The loops of a single neuron add up z in an order of their own: theirs may differ
    from the trace's in its last digit.

    Parameters
    ----------
    model : Model
    X : array of shape (n_samples, in_features)
        Any real dtype and layout; a Standardize layer must have learnt before.
    y : array of shape (n_samples, out_features), or (n_samples,) for one output, optional
        Without it, there are the forward passes alone, as `model.predict` makes them.
    learning_rate : float or Schedule, optional
        Of `SGD`, at least 0; by default 0.001.
    loss : str, or what a function of `fastgd.losses` returns
    optimizer : optimiser, optional
        In place of the learning rate; see `fastgd.optimizers`. Penalties and bounds: `Trainer(...).trace(X, y)`.
    batch_size : int or None
        Rows per update, in the data's order; None is all of them.
    sample_weight : array of shape (n_samples,), optional
        Multiplies each row's loss and gradient, at least 0.
    seed : int
        Of Dropout, at least 0.

    Returns
    -------
    Trace
        A sequence of `fastgd.tracing.Step`, whose text is a table for each.

    Raises
    ------
    ValueError, TypeError
        As `Trainer.trace`, and where both a learning rate and an optimiser are given, or either without y.

    Examples
    --------
    >>> import fastgd as gd
    >>> model = gd.Model([gd.Linear(2, 1, bias=False, init=[[1, 2]]), gd.ReLU()], dtype="float64")
    >>> trace = gd.trace(model, [[1, 1]], [2], learning_rate=0.5)
    >>> print(trace)
    update 1: row 0, loss 0.5, α = 0.5
    pass      layer                       formula                          value
    --------  --------------------------  -------------------------------  ----------
    forward   input                       o1 = x                           (1, 1)
              0 Linear(2, 1, bias=False)  o2 = w2 · o1                     (3)
              1 ReLU()                    o3 = o2 if o2 >= 0 else 0        (3)
                                          mask: o2 >= 0, but for rounding  (1)
              half_squared_error          y                                (2)
                                          loss = ½ (o3 - y)²               0.5
    backward  half_squared_error          δ4 = o3 - y                      (1)
              1 ReLU()                    δ3 = δ4 if mask else 0           (1)
              0 Linear(2, 1, bias=False)  δ2 = δ3 · w2                     (1, 2)
                                          δw2 = δ3 · o1                    (1, 1)
    update    0 Linear(2, 1, bias=False)  w2                               (1, 2)
                                          ŵ2 = w2 - α δw2                  (0.5, 1.5)
    """
    if not isinstance(model, Model):
        raise TypeError(f"model is {model!r}; expected a Model")
    if optimizer is not None and learning_rate is not None:
        raise ValueError(
            f"learning_rate is {learning_rate!r} and optimizer is {optimizer!r}; expected either, as the optimizer "
            "brings its own rate"
        )
    dataset = rows_to_trace(X, y, sample_weight)
    n_rows = dataset.n_samples
    if batch_size is not None:
        n_rows = min(checks.integer(batch_size, "batch_size", 1), n_rows)
    if y is None:
        if not (learning_rate is optimizer is sample_weight is None):
            raise ValueError("y is None, so that there is no update; expected targets, or X alone")
        return trace_predictions(model, dataset, n_rows)
    seed = checks.integer(seed, "seed", 0)
    run = Run(copy.deepcopy(model), as_loss(loss), NO_REGULARIZATION, [], seed, None, Shares())
    run.batch_size = n_rows
    given = SGD() if learning_rate is None else SGD(learning_rate)
    run.optimizer = resolved(given if optimizer is None else optimizer, run.model, run.loss, n_rows)
    return trace_updates(run, dataset)
