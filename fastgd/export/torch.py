"""Models from and for PyTorch. It is imported where a module of its own is to be made, and nowhere else."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from fastgd.activations import Activation, Dropout, Identity, LeakyReLU, ReLU, Sigmoid, Tanh
from fastgd.data import checks
from fastgd.layer_stack import LayerStack
from fastgd.layers import Layer, Linear
from fastgd.standardize import Standardize, StandardizedTargets

# By the name of PyTorch's class: what makes the same layer of it.
_ACTIVATIONS = {
    "ReLU": lambda _: ReLU(),
    "LeakyReLU": lambda module: LeakyReLU(module.negative_slope),
    "Tanh": lambda _: Tanh(),
    "Sigmoid": lambda _: Sigmoid(),
    "Identity": lambda _: Identity(),
    "Dropout": lambda module: Dropout(module.p),
}


def layers_of(source: Any, activation: Activation | None) -> tuple[list[Layer], np.dtype]:
    """The layers that a module or a state dict describes, with its weights as their initial ones, and their dtype.

    Arguments and errors as of `Model.from_torch`.
    """
    if isinstance(source, Mapping):
        return _of_state_dict(source, ReLU() if activation is None else activation)
    if not hasattr(source, "state_dict"):
        raise TypeError(f"source is {source!r}; expected a torch.nn.Sequential or a state_dict")
    if activation is not None:
        raise ValueError(f"activation is {activation!r} beside a module, which has its own; expected None")
    layers, dtypes = [], {}
    for place, module in _modules(source, ""):
        kind = type(module).__name__
        if kind == "Linear":
            weight = _array(module.weight, f"{place}.weight")
            bias = None if module.bias is None else _array(module.bias, f"{place}.bias")
            layers.append(_linear(weight, bias, f"{place}.weight"))
            dtypes[f"{place}.weight"] = weight.dtype
        elif kind in _ACTIVATIONS:
            layers.append(_ACTIVATIONS[kind](module))
        else:
            hint = "; a loss of classes makes probabilities of what comes before" if "Softmax" in kind else ""
            raise ValueError(
                f"module {place!r} is a {kind}; expected Linear, {', '.join(_ACTIVATIONS)} or Sequential{hint}"
            )
    return layers, _common_dtype(dtypes)


def _modules(module: Any, place: str) -> Iterator[tuple[str, Any]]:
    """The modules of a Sequential by their places, those of inner ones too."""
    kind = type(module).__name__
    if kind == "Sequential":
        for name, child in module.named_children():
            yield from _modules(child, f"{place}.{name}" if place else name)
    elif not place and kind != "Linear":
        raise TypeError(
            f"source is a {kind}, and its forward may do anything; expected a torch.nn.Sequential, or "
            "module.state_dict() if it applies its Linears in their order, with one activation between them"
        )
    else:
        yield place or "0", module


def _of_state_dict(tensors: Mapping[str, Any], activation: Activation) -> tuple[list[Layer], np.dtype]:
    if not isinstance(activation, Activation):
        raise TypeError(f"activation is {activation!r}; expected an activation, as in gd.ReLU()")
    arrays = {name: _array(tensor, name) for name, tensor in tensors.items()}
    weights = [name for name in arrays if name == "weight" or name.endswith(".weight")]
    biases = {name: name.removesuffix("weight") + "bias" for name in weights}
    others = [name for name in arrays if name not in weights and name not in biases.values()]
    if others or not weights:
        found = f"tensor {others[0]!r} is" if others else "there is no tensor that is"
        raise ValueError(f"{found} the weight or bias of a Linear; expected NAME.weight and NAME.bias alone") from None
    layers: list[Layer] = []
    for name in weights:
        if layers:
            layers.append(activation)
        layers.append(_linear(arrays[name], arrays.get(biases[name]), name))
    return layers, _common_dtype({name: arrays[name].dtype for name in weights})


def _linear(weight: np.ndarray, bias: np.ndarray | None, name: str) -> Linear:
    if weight.ndim != 2:
        raise ValueError(f"tensor {name!r} has shape {weight.shape}; expected the (out, in) of a Linear")
    if bias is not None and bias.dtype != weight.dtype:
        raise ValueError(f"tensor {name!r} has dtype {weight.dtype} and its bias {bias.dtype}; expected one dtype")
    return Linear(weight.shape[1], weight.shape[0], bias=False if bias is None else bias, init=weight)


def _array(tensor: Any, name: str) -> np.ndarray:
    """A tensor, or what is an array already, in float32 or float64."""
    dtype = str(tensor.dtype).removeprefix("torch.")
    if dtype not in ("float32", "float64"):
        raise ValueError(f"tensor {name!r} has dtype {dtype}; expected float32 or float64, as from module.float()")
    return tensor.detach().cpu().numpy() if hasattr(tensor, "detach") else np.asarray(tensor)


def _common_dtype(dtypes: Mapping[str, np.dtype]) -> np.dtype:
    found = set(dtypes.values())
    if len(found) != 1:
        raise ValueError(f"the weights have dtypes {sorted(map(str, found))}; expected one, as from module.float()")
    return checks.model_dtype(found.pop())


def module_of(model: LayerStack) -> Any:
    """A torch.nn.Sequential of the same layers and weights; errors as of `Model.to_torch`."""
    try:
        import torch
    except ImportError as error:
        raise ImportError("to_torch needs PyTorch; expected pip install torch") from error
    dtype, nn, modules = getattr(torch, model.dtype.name), torch.nn, []
    for layer in model.layers:
        if isinstance(layer, Standardize | StandardizedTargets):
            raise ValueError(f"PyTorch has no layer like {layer!r}; expected model.fold().to_torch()")
        if isinstance(layer, Linear):
            module = nn.Linear(layer.in_features, layer.out_features, bias=layer.has_bias, dtype=dtype)
            with torch.no_grad():
                module.weight.copy_(torch.from_numpy(layer.weight.copy()))
                if layer.bias is not None:
                    module.bias.copy_(torch.from_numpy(layer.bias.copy()))
        elif isinstance(layer, LeakyReLU):
            module = nn.LeakyReLU(layer.slope)
        elif isinstance(layer, Dropout):
            module = nn.Dropout(layer.p)
        else:
            module = getattr(nn, type(layer).__name__)()
        modules.append(module)
    return nn.Sequential(*modules)
