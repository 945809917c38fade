"""Models from and for PyTorch, of which a stand-in has what is used."""

import sys
import types

import numpy as np
import pytest

import fastgd as gd


class Tensor:
    """What of a tensor is used."""

    def __init__(self, values, dtype="float32"):
        self.values, self.dtype = np.array(values, dtype), f"torch.{dtype}"

    def detach(self):
        return self

    cpu = detach

    def numpy(self):
        return self.values


def module(kind, *children, **attributes):
    """A module of a kind of PyTorch's."""
    named = [(str(k), child) for k, child in enumerate(children)]
    methods = {"named_children": lambda self: iter(named), "state_dict": dict}
    made = type(kind, (), methods)()
    vars(made).update(attributes)
    return made


def linear(rng, n_in, n_out, bias=True, dtype="float32"):
    weight, bias = (
        Tensor(rng.normal(size=(n_out, n_in)), dtype),
        Tensor(rng.normal(size=n_out), dtype) if bias else None,
    )
    return module("Linear", weight=weight, bias=bias)


def test_a_module(rng):
    first, second = linear(rng, 3, 4), linear(rng, 4, 2, bias=False)
    inner = module("Sequential", module("LeakyReLU", negative_slope=0.25), module("Dropout", p=0.5), second)
    model = gd.Model.from_torch(module("Sequential", first, inner, module("Sigmoid")))
    expected = "Linear(3, 4), LeakyReLU(slope=0.25), Dropout(p=0.5), Linear(4, 2, bias=False), Sigmoid()"
    assert repr(model) == f"Model([{expected}], dtype='float32')"
    np.testing.assert_array_equal(model.layers[0].weight, first.weight.values)
    np.testing.assert_array_equal(model.layers[0].bias, first.bias.values)
    np.testing.assert_array_equal(model.layers[3].weight, second.weight.values)
    before = first.weight.values.copy()
    model.parameters[:] = 0
    np.testing.assert_array_equal(first.weight.values, before)
    assert gd.Model.from_torch(first).out_features == 4


def test_a_state_dict(rng, tmp_path):
    weights = {"fc1.weight": rng.normal(size=(4, 3)), "fc1.bias": rng.normal(size=4), "fc2.weight": np.ones((1, 4))}
    model = gd.Model.from_torch(weights, gd.Tanh())
    assert repr(model) == "Model([Linear(3, 4), Tanh(), Linear(4, 1, bias=False)], dtype='float64')"
    np.testing.assert_array_equal(model.layers[0].bias, weights["fc1.bias"])
    X = rng.normal(size=(5, 3))
    expected = np.tanh(X @ weights["fc1.weight"].T + weights["fc1.bias"]) @ weights["fc2.weight"].T
    np.testing.assert_allclose(model.predict(X), expected)
    saved = gd.Model([gd.Linear(3, 4), gd.ReLU(), gd.Linear(4, 2)])
    same = gd.Model.from_torch(saved.tensors())
    np.testing.assert_array_equal(same.parameters, saved.parameters)
    assert repr(same) == repr(saved)


@pytest.mark.parametrize(
    ("source", "activation", "error", "message"),
    [
        ([1, 2], None, TypeError, "expected a torch.nn.Sequential or a state_dict"),
        (module("MyNet"), None, TypeError, "source is a MyNet, and its forward may do anything"),
        (module("Sequential", module("Softmax")), None, ValueError, "module '0' is a Softmax; .* a loss of classes"),
        (module("Sequential", module("Sequential", module("Conv2d"))), None, ValueError, "module '0.0' is a Conv2d"),
        (module("Sequential"), gd.ReLU(), ValueError, "beside a module, which has its own"),
        ({}, None, ValueError, "there is no tensor"),
        ({"1.running_mean": np.ones(3)}, None, ValueError, "tensor '1.running_mean' is the weight"),
        ({"1.weight": np.ones(3)}, None, ValueError, r"has shape \(3,\); expected the \(out, in\)"),
        ({"1.weight": Tensor([[1]], "float16")}, None, ValueError, "dtype float16; expected float32 or float64"),
        ({"1.weight": np.ones((1, 1)), "1.bias": np.ones(1, np.float32)}, None, ValueError, "expected one dtype"),
        ({"1.weight": np.ones((1, 1))}, "relu", TypeError, "expected an activation, as in"),
        (
            {"1.weight": np.ones((1, 1)), "2.weight": np.ones((1, 1), np.float32)},
            None,
            ValueError,
            "dtypes .'float32', 'float64'.; expected one",
        ),
    ],
)
def test_what_is_refused(source, activation, error, message):
    with pytest.raises(error, match=message):
        gd.Model.from_torch(source, activation)


def test_without_pytorch(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match="to_torch needs PyTorch"):
        gd.Model([gd.Linear(2, 1)]).to_torch()
    monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace(float32="float32", nn=None))
    with pytest.raises(ValueError, match=r"expected model.fold\(\).to_torch\(\)"):
        gd.Model([gd.Standardize(2), gd.Linear(2, 1)]).to_torch()
