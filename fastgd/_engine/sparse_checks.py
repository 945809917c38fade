"""What sparse rows cannot be trained with."""

from typing import TYPE_CHECKING

from fastgd._engine.learning_rate_search import rows_made_dense
from fastgd._engine.loops import hooks_of
from fastgd.data.base import Dataset, Stream

# Fewer say too little of how large the rows are.
_FEWEST_ROWS = 8

if TYPE_CHECKING:
    from fastgd._engine.run import Run


def can_be_searched(n_features: int) -> bool:
    """Whether a learning rate for sparse rows of so many features can be found by trials."""
    return rows_made_dense(n_features) >= _FEWEST_ROWS


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
