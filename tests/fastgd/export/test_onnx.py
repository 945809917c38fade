"""Models as ONNX, run by onnxruntime."""

import sys

import numpy as np
import pytest
from stacks import STACKS

import fastgd as gd

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")


def run(path, X):
    """The outputs of a graph by name."""
    onnx.checker.check_model(onnx.load(path), full_check=True)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {"X": X}), strict=True))


def tolerance(dtype):
    return 1e-5 if dtype == "float32" else 1e-12


@pytest.mark.parametrize("name", STACKS)
def test_every_layer(rng, dtype, name, tmp_path):
    model = gd.Model(STACKS[name], dtype)
    X = rng.normal(size=(6, model.in_features)).astype(dtype)
    model.to_onnx(tmp_path / "m.onnx")
    (found,) = run(tmp_path / "m.onnx", X).values()
    assert found.dtype == dtype
    np.testing.assert_allclose(found, model.predict(X), rtol=tolerance(dtype), atol=1e-7 * (dtype == "float32"))


@pytest.mark.parametrize("first", [gd.Standardize(3), gd.Standardize(3, with_mean=False), gd.RobustStandardize(3)])
def test_scales(rng, dtype, first, tmp_path):
    X, y = rng.normal(size=(50, 3)) * [1e-3, 1, 1e4] + [5, -100, 1e5], rng.normal(size=50) * 1e4 + 1e6
    model = gd.Model([first, gd.Linear(3, 4, bias=False), gd.Tanh(), gd.Linear(4, 1), gd.StandardizedTargets(1)], dtype)
    model.layers[0].fit(X)
    model.layers[-1].fit(y)
    far = 1e30 if dtype == "float32" else 1e200
    X = np.vstack([X, [[far, -far, 0.0]]]).astype(dtype)
    model.to_onnx(tmp_path / "m.onnx")
    np.testing.assert_allclose(run(tmp_path / "m.onnx", X)["output"], model.predict(X), rtol=tolerance(dtype))


@pytest.mark.parametrize("labels", [["no", "ça", "yes"], [-1, 5, 7], [0.5, 1.5, 2.5], np.int8([1, 2, 3])])
def test_classes(rng, dtype, labels, tmp_path):
    model = gd.Model([gd.Linear(3, 3)], dtype)
    model.set_classes(labels, "cross_entropy")
    X = rng.normal(size=(20, 3)).astype(dtype)
    model.to_onnx(tmp_path / "m.onnx")
    found = run(tmp_path / "m.onnx", X)
    assert list(found) == ["label", "probabilities"]
    np.testing.assert_array_equal(found["label"], model.predict_classes(X))
    assert found["label"].dtype == (object if model.classes.dtype.kind == "U" else model.classes.dtype)
    np.testing.assert_allclose(found["probabilities"], model.predict_proba(X), rtol=tolerance(dtype))
    model.to_onnx(tmp_path / "m.onnx", classes=False)
    found = run(tmp_path / "m.onnx", X)
    np.testing.assert_allclose(found["output"], model.predict(X), rtol=tolerance(dtype), atol=1e-6)


def test_two_classes_and_probabilities_or_rates_as_targets(rng, tmp_path):
    model = gd.Model([gd.Linear(3, 1)], "float64")
    X = rng.normal(size=(20, 3)) * 10
    for classes, loss, expected in (
        ([False, True], "log_loss", ["label", "probabilities"]),
        (["a", "b"], "hinge", ["label", "scores"]),
        (None, "log_loss", ["probabilities"]),
        (None, "poisson", ["rates"]),
    ):
        model.set_classes(classes, loss)
        model.to_onnx(tmp_path / "m.onnx")
        found = run(tmp_path / "m.onnx", X)
        assert list(found) == expected
        if classes is not None:
            np.testing.assert_array_equal(found["label"], model.predict_classes(X))
        if loss == "poisson":
            np.testing.assert_allclose(found["rates"], model.predict_rates(X))
        elif loss == "hinge":
            np.testing.assert_allclose(found["scores"], model.predict(X))
        else:
            # Runtimes take a small 1 / (1 + exp(-z)) from 1.
            atol = 0 if classes else 1e-15
            np.testing.assert_allclose(found["probabilities"], model.predict_proba(X), rtol=1e-12, atol=atol)


def test_what_cannot_be_exported(tmp_path, monkeypatch):
    path, model = tmp_path / "m.onnx", gd.Model([gd.Linear(2, 2)])
    with pytest.raises(ValueError, match="classes is True and the model has none"):
        model.to_onnx(path, classes=True)
    model.set_classes([b"a", b"b"], "cross_entropy")
    with pytest.raises(ValueError, match="which ONNX does not have; expected strings"):
        model.to_onnx(path)
    with pytest.raises(ValueError, match="Standardize layer has no mean and scale yet"):
        gd.Model([gd.Standardize(2), gd.Linear(2, 1)]).to_onnx(path)
    with pytest.raises(ValueError, match="StandardizedTargets layer has no mean and scale yet"):
        gd.Model([gd.Linear(2, 1), gd.StandardizedTargets(1)]).to_onnx(path)
    model.parameters[0] = np.inf
    with pytest.raises(ValueError, match="hold a NaN or infinity"):
        model.to_onnx(path, classes=False)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r'pip install "fastgd\[onnx\]"'):
        gd.Model([gd.Linear(2, 1)]).to_onnx(path)
    assert not path.exists()
