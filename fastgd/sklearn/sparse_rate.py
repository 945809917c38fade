"""The rate of SGD on sparse rows that an estimator needs no search for."""

from fastgd._engine.safeguard import LongestRows
from fastgd._engine.sparse_checks import can_be_searched
from fastgd.data.base import Dataset
from fastgd.losses import kind_of
from fastgd.optimizers import SGD
from fastgd.schedules import Cooldown
from fastgd.sklearn.settings import Training, start_at_zero
from fastgd.trainer import Trainer

# The largest v (|x|² + 1), in units of their mean, for which a rate goes by both.
_UNEVEN = 100.0


def set_rate_of_sparse_rows(training: Training, trainer: Trainer, learnt: Dataset, is_new: bool) -> None:
    """Have SGD that nobody chose train a linear model on sparse rows, whose scales are known, at the rate
    1 / (h (m + l / B)), with the mean m and the largest l of v (|x|² + 1) and the loss's largest second derivative h,
    or 1. It falls to 0 over each epoch.

    Twice as long a step would overshoot for a batch of B rows alike with the longest among them. A search by trials on
    some of the rows finds rates that are far too small where few columns come twice in these. It is left to find one
    where the longest row counts a hundred times as much as the mean one, as epochs that go wrong are taken back then.

    is_new : whether the model has learnt nothing yet
    """
    is_chosen = training.optimizer != "auto" or training.batch_size is None
    if is_chosen or not (learnt.is_sparse and trainer.model.is_linear and isinstance(trainer.optimizer, SGD)):
        return
    model = trainer.model
    rows = LongestRows(learnt, model.dtype, model.mean_and_scale, model.mean_and_scale_of_y)
    if rows.largest > _UNEVEN * rows.mean and can_be_searched(model.in_features):
        return
    size = (kind_of(trainer.loss).curvature or 1.0) * (rows.mean + rows.largest / trainer.batch_size)
    optimizer = SGD(Cooldown(1 / size, -(-learnt.n_samples // trainer.batch_size), share=1.0))
    if trainer.optimizer != optimizer:
        trainer.optimizer = optimizer
        if is_new:
            # A weight that no row ever reaches would stay as it was drawn.
            start_at_zero(trainer, is_stream=False)
