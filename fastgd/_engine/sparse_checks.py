"""What sparse rows cannot be trained with."""

from typing import TYPE_CHECKING

from fastgd._engine.learning_rate_search import rows_made_dense
from fastgd._engine.loops import hooks_of
from fastgd.data.base import Dataset, Stream
from fastgd.optimizers import Adagrad

# Fewer say too little of how large the rows are.
_FEWEST_ROWS = 8
# Numbers that are a twentieth of a second of updates.
_MOST_PENALIZED = 1 << 23

if TYPE_CHECKING:
    from fastgd._engine.run import Run
    from fastgd.layer_stack import LayerStack


def can_be_searched(n_features: int) -> bool:
    """Whether a learning rate for sparse rows of so many features can be found by trials."""
    return rows_made_dense(n_features) >= _FEWEST_ROWS


def penalty_is_costly(model: "LayerStack", n_samples: int, batch_size: int | None) -> bool:
    """Whether an epoch on sparse rows would take much longer with a penalty: updates are of all weights then, but for
    those of SGD, which cost no more than the entries of their rows.
    """
    n_updates = 1 if batch_size is None else -(-n_samples // batch_size)
    return n_updates * model.in_features * model.stack[0].out_features > _MOST_PENALIZED


def optimizer_of_networks(n_features: int, may_search: bool = True) -> Adagrad:
    """What learns networks on sparse rows well, whose features NormalizedSGD cannot see.

    may_search : whether a learning rate may be looked for
    """
    return Adagrad("auto" if may_search and can_be_searched(n_features) else 0.01, bounded=False)


def require_sparse_support(rows: Dataset | Stream, run: "Run") -> None:
    """Raise a ValueError where a run would have to see sparse rows as dense ones."""
    if not rows.is_sparse:
        return
    optimizer, n_shares = run.optimizer, run.shares.n_gradients
    if n_shares > 1:
        raise ValueError(
            f"X is sparse, and sync is 'gradient' with {n_shares} replicas, whose gradients are of all weights; "
            "expected sync='average', one replica, or dense rows"
        )
    if hooks_of(optimizer.settings_for(run.model, run.loss, is_full_batch=False)).sees_rows:
        raise ValueError(
            f"X is sparse, and {type(optimizer).__name__} sees all features of each row; expected SGD or Adagrad, "
            "whose updates cost the entries of a batch, or one of the others, which cost all weights"
        )
    is_searched = optimizer.learning_rate == "auto" and not optimizer.needs_no_search
    if is_searched and not can_be_searched(rows.n_features):
        raise ValueError(
            f'X is sparse and has {rows.n_features} features, and the search for a learning rate of "auto" makes '
            f'{_FEWEST_ROWS} rows dense, in 64 MB; expected a number or a schedule, or Adagrad("auto") for a linear '
            "model"
        )
