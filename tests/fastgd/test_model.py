"""The model: parameters and views, initialisation, files."""

import copy
import json
import pickle

import numpy as np
import pytest
from cases import ARCHITECTURES, built, model_of, rows_for
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from scipy.optimize import minimize

import fastgd as gd


def test_layers_are_views_into_the_parameters(dtype):
    model = gd.Model([gd.Linear(2, 3), gd.ReLU(), gd.Linear(3, 1, bias=False)], dtype=dtype)
    assert model.parameters.shape == (2 * 3 + 3 + 3,)
    assert model.parameters.dtype == dtype
    model.parameters = np.arange(12)
    np.testing.assert_array_equal(model.layers[0].weight, [[0, 1], [2, 3], [4, 5]])
    np.testing.assert_array_equal(model.layers[0].bias, [6, 7, 8])
    np.testing.assert_array_equal(model.layers[2].weight, [[9, 10, 11]])
    assert model.layers[2].bias is None
    model.layers[0].weight[1] = -1
    model.layers[0].bias = [1, 2, 3]
    np.testing.assert_array_equal(model.parameters, [0, 1, -1, -1, 4, 5, 1, 2, 3, 9, 10, 11])
    with pytest.raises(AttributeError, match="made with bias=False"):
        model.layers[2].bias = [1]
    with pytest.raises(AttributeError, match="not part of a model"):
        _ = gd.Linear(1, 1).weight


def test_models_do_not_share_layers():
    layers = [gd.Linear(2, 2), gd.ReLU()]
    first, second = gd.Model(layers), gd.Model(layers, seed=1)
    first.parameters = 0
    assert (second.parameters != 0).any()


def test_initialisation():
    model = gd.Model([gd.Linear(400, 300), gd.ReLU(), gd.Linear(300, 2)], dtype="float64", seed=3)
    weight = model.layers[0].weight
    assert weight.std() == pytest.approx(np.sqrt(2 / 400), rel=0.02)
    assert abs(weight.mean()) < 0.001
    assert (model.layers[0].bias == 0).all()
    np.testing.assert_array_equal(weight, gd.Model([gd.Linear(400, 300)], dtype="float64", seed=3).layers[0].weight)
    single = gd.Model([gd.Linear(400, 300)], dtype="float32", seed=3).layers[0].weight
    np.testing.assert_array_equal(weight.astype("float32"), single)
    given = gd.Model([gd.Linear(2, 1, init=[[3, 4]], bias=[5]), gd.ReLU(), gd.Linear(1, 1, init="zeros")])
    np.testing.assert_array_equal(given.parameters, [3, 4, 5, 0, 0])


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_predict(name):
    model = built(ARCHITECTURES[name])
    X, _, _ = rows_for(model, 17)
    expected = X
    for layer in model.layers:
        if isinstance(layer, gd.Linear):
            expected = expected @ layer.weight.T + (0 if layer.bias is None else layer.bias)
        else:
            expected = np.maximum(expected, 0)
    np.testing.assert_allclose(model.predict(X), expected, rtol=1e-12, atol=1e-14)


def test_predict_many_rows():
    model = model_of("hidden layer")
    X, _, _ = rows_for(model, 3 * model.micro_batch_rows + 5)
    whole = model.predict(X)
    np.testing.assert_allclose(whole[-7:], model.predict(X[-7:]), rtol=1e-12, atol=1e-14)
    assert whole.shape == (len(X), 2)


@pytest.mark.parametrize("n_outputs", [1, 2, 3, 5])
@pytest.mark.parametrize("n_features", [1, 16, 63, 64, 65, 200])
def test_few_outputs_are_the_same_bits_for_any_number_of_rows(n_features, n_outputs, dtype, rng):
    model = built([gd.Linear(n_features, n_outputs)], dtype)
    X = rng.standard_normal((40, n_features))
    whole = model.predict(X)
    for n in (1, 2, 4, 6, 39):
        np.testing.assert_array_equal(model.predict(X[:n]), whole[:n])


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_save_and_load(name, dtype, tmp_path):
    model = model_of(name, dtype)
    model.save(tmp_path / "m.safetensors")
    loaded = gd.Model.load(tmp_path / "m.safetensors")
    assert repr(loaded) == repr(model)
    assert loaded.dtype == dtype
    np.testing.assert_array_equal(loaded.parameters, model.parameters)
    assert [path.name for path in tmp_path.iterdir()] == ["m.safetensors"]


def test_file_has_pytorchs_names(tmp_path):
    model = gd.Model([gd.Linear(3, 2), gd.ReLU(), gd.Linear(2, 1, bias=False)])
    model.save(tmp_path / "m.safetensors")
    tensors = load_file(tmp_path / "m.safetensors")
    assert {name: tensor.shape for name, tensor in tensors.items()} == {
        "0.weight": (2, 3),
        "0.bias": (2,),
        "2.weight": (1, 2),
    }
    with safe_open(tmp_path / "m.safetensors", "np") as file:
        metadata = file.metadata()
    assert metadata["format"] == "pt"
    assert json.loads(metadata["architecture"])["layers"] == [
        {"type": "Linear", "in_features": 3, "out_features": 2, "bias": True},
        {"type": "ReLU", "tolerance": None},
        {"type": "Linear", "in_features": 2, "out_features": 1, "bias": False},
    ]


def test_tolerance_is_saved(tmp_path):
    gd.Model([gd.Linear(1, 1), gd.ReLU(tolerance=0.25)]).save(tmp_path / "m.safetensors")
    assert gd.Model.load(tmp_path / "m.safetensors").layers[1].tolerance == 0.25


def test_load_refuses(tmp_path):
    (tmp_path / "text").write_text("no tensors")
    with pytest.raises(ValueError, match="is not a safetensors file"):
        gd.Model.load(tmp_path / "text")
    save_file({"0.weight": np.ones((1, 1), np.float32)}, tmp_path / "other")
    with pytest.raises(ValueError, match="expected a file that fastgd saved"):
        gd.Model.load(tmp_path / "other")
    with pytest.raises(FileNotFoundError):
        gd.Model.load(tmp_path / "none")
    with pytest.raises(ValueError, match=r"tensor '0.bias': found no such tensor; expected shape \(1,\)"):
        gd.Model.restore(gd.Model([gd.Linear(1, 1)]).architecture(), {"0.weight": np.ones((1, 1))})
    with pytest.raises(ValueError, match="layer type is 'Conv'"):
        gd.Model.restore({"dtype": "float32", "layers": [{"type": "Conv"}]}, {})


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    model = model_of("neuron")
    model.save(tmp_path / "m.safetensors")
    monkeypatch.setattr("os.replace", lambda *_: 1 / 0)
    model.parameters = 0
    with pytest.raises(ZeroDivisionError):
        model.save(tmp_path / "m.safetensors")
    assert (gd.Model.load(tmp_path / "m.safetensors").parameters != 0).any()
    assert [path.name for path in tmp_path.iterdir()] == ["m.safetensors"]


@pytest.mark.parametrize("duplicate", [copy.deepcopy, copy.copy, lambda model: pickle.loads(pickle.dumps(model))])
def test_copies_are_models_of_their_own(duplicate):
    model = model_of("hidden layer")
    twin = duplicate(model)
    np.testing.assert_array_equal(twin.parameters, model.parameters)
    twin.layers[0].weight = 0
    assert (twin.parameters == 0).sum() >= twin.layers[0].weight.size
    assert (model.layers[0].weight != 0).all()


def test_scipy_can_minimise_the_loss():
    data = gd.data.synthetic(2000, 6, noise=0.1, seed=1, dtype="float64")
    model = gd.Model([gd.Linear(6, 1), gd.ReLU()], dtype="float64")
    before = model.parameters.copy()
    result = minimize(
        lambda parameters: model.loss_and_gradient(data, parameters=parameters), model.parameters, jac=True
    )
    np.testing.assert_array_equal(model.parameters, before)
    model.parameters = result.x
    assert model.loss(data) < 1.02 * data.noise_loss


@pytest.mark.parametrize("n_samples", [50, 3 * 1024 + 5])
def test_loss_is_the_weighted_mean(n_samples):
    """In one micro-batch and in several, the last one smaller."""
    model = model_of("several outputs")
    X, y, sample_weight = rows_for(model, n_samples)
    expected = (sample_weight[:, None] * (model.predict(X) - y) ** 2 / 2).sum() / n_samples
    assert model.loss(X, y, sample_weight=sample_weight) == pytest.approx(expected, rel=1e-12)
    assert model.loss_and_gradient(X, y, sample_weight=sample_weight)[0] == pytest.approx(expected, rel=1e-12)


def test_layers_of_one_shape_start_apart():
    model = gd.Model([gd.Linear(4, 4), gd.ReLU(), gd.Linear(4, 4)])
    assert (model.layers[0].weight != model.layers[2].weight).all()


def test_default_tolerance(dtype):
    assert gd.ReLU().number_in(np.dtype(dtype)) == 8 * np.finfo(dtype).eps


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ([gd.Linear(3, 2)], True),
        ([gd.Standardize(3), gd.Linear(3, 2), gd.Dropout(), gd.Identity()], True),
        ([gd.Linear(3, 2), gd.ReLU()], False),
        ([gd.Linear(3, 2), gd.Linear(2, 1)], False),
    ],
    ids=["Linear", "Linear with layers that bend nothing", "activation", "two Linears"],
)
def test_linear_models_are_known(layers, expected):
    assert gd.Model(layers).is_linear is expected
