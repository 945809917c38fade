"""Mean and scale of features and targets, built into the Linear layers beside them."""

from collections.abc import Sequence

import numpy as np

from fastgd.layers import Layer, Linear
from fastgd.standardize import RobustStandardize, Standardize, StandardizedTargets


def folded(layers: Sequence[Layer], dtype: np.dtype) -> tuple[list[Layer], np.ndarray]:
    """The layers between Standardize and StandardizedTargets, and their parameters with both built in.

    layers : of a model whose parameters are finite          dtype : of the folded model

    Raises
    ------
    ValueError
        As `Model.fold` says.
    """
    standardize = layers[0] if isinstance(layers[0], Standardize) else None
    targets = layers[-1] if isinstance(layers[-1], StandardizedTargets) else None
    stack = [layer for layer in layers if layer is not standardize and layer is not targets]
    is_first = standardize is None or isinstance(stack[0], Linear)
    if (standardize is None and targets is None) or not is_first:
        raise ValueError(
            f"layers is {list(layers)!r}; expected Standardize, then Linear, to fold, or StandardizedTargets"
        )
    # In float64 until both are in.
    values = {
        k: [part.astype(np.float64) for part in (layer.weight, layer.bias) if part is not None]
        for k, layer in enumerate(stack)
        if isinstance(layer, Linear)
    }
    if isinstance(standardize, RobustStandardize):
        raise ValueError(f"{standardize!r} clips, which no Linear does; expected Standardize, to fold")
    if standardize is not None:
        mean, scale = standardize.mean_and_scale
        weight = values[0][0] * scale
        if standardize.with_mean or len(values[0]) > 1:
            values[0] = [weight, -weight @ mean + (values[0][1] if len(values[0]) > 1 else 0)]
        else:
            values[0] = [weight]
    if targets is not None:
        targets.require_range(dtype)
        last = max(values)
        weight, *bias = values[last]
        values[last] = [targets.scale[:, None] * weight, targets.scale * (bias[0] if bias else 0) + targets.mean]
    for k in values:
        stack[k] = Linear(stack[k].in_features, stack[k].out_features, bias=len(values[k]) > 1)
    with np.errstate(over="ignore"):
        parameters = np.concatenate([part.ravel() for parts in values.values() for part in parts]).astype(dtype)
    if not np.isfinite(parameters).all():
        raise ValueError(
            f"the folded parameters are more than {dtype} holds, with mean and scale as they are; expected finite "
            'parameters to fold, and perhaps a model of dtype="float64"'
        )
    return stack, parameters
