"""The losses, by name. Each is summed over a row's outputs and averaged over the rows of a batch."""

from fastgd import _check

#: Loss of a row: its formula. The kernels are in `fastgd.kernels.loss`.
LOSSES = {"half_squared_error": "½ Σ_j (out_j - y_j)²"}


def check_loss(loss: str) -> str:
    """The name of a known loss."""
    return _check.choice(loss, "loss", LOSSES)
