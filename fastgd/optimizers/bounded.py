"""Steps that are bounded by the curvature of the loss: for which models and losses, and their settings and state."""

from fastgd.activations import Identity, LeakyReLU, ReLU, Sigmoid, Tanh
from fastgd.kernels import bounded as kernels
from fastgd.layer_stack import LayerStack
from fastgd.layers import Linear
from fastgd.losses import Loss, kind_of, name_of
from fastgd.optimizers.base import State, with_fields


def can_be_bounded(model: LayerStack, loss: Loss) -> bool:
    """Whether steps can be bounded.

    They can for one Linear, first but for Standardize, with nothing behind it that is steeper than the identity, and a
    loss of bounded curvature.
    """
    first, *rest = model.stack
    is_flat = all(
        isinstance(layer, Identity | ReLU | Tanh | Sigmoid) or (isinstance(layer, LeakyReLU) and layer.slope <= 1)
        for layer in rest
    )
    return isinstance(first, Linear) and is_flat and kind_of(loss).curvature is not None


def require_boundable(kind: type, model: LayerStack, loss: Loss) -> None:
    """Raise a ValueError, which names the kind of optimiser, unless steps can be bounded."""
    if not can_be_bounded(model, loss):
        raise ValueError(
            f"{kind.__name__}(bounded=True) with loss={name_of(loss)!r} and {model!r}; expected one Linear, "
            "with Standardize before it or activations of slopes of at most 1 behind it, and a loss of bounded "
            "curvature, as half_squared_error or log_loss; or bounded=False"
        )


def with_bound(state: State) -> State:
    """The state of steps that are not bounded, with what the bound needs."""
    return with_fields(state, kernels.FIELDS)
