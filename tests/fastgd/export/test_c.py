"""Models as C: the bits of the plain loops, by whatever compiler there is."""

import ctypes
import shutil
import subprocess

import numpy as np
import pytest
from stacks import STACKS

import fastgd as gd
from fastgd import reference

COMPILER = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="no C compiler")
STRICT = ["-std=c99", "-Wall", "-Wextra", "-pedantic", "-Werror", "-O2", "-ffp-contract=off", "-fPIC", "-shared"]


class Compiled:
    """The functions of a model in C."""

    def __init__(self, model, folder, name="net"):
        path = folder / f"{name}.c"
        model.to_c(path)
        subprocess.run([COMPILER, *STRICT, path, "-o", folder / f"{name}.so", "-lm"], check=True)
        self.name, self.model, self.library = name, model, ctypes.CDLL(folder / f"{name}.so")

    def __call__(self, function, X, width):
        out = np.empty((len(X), width), self.model.dtype)
        call = getattr(self.library, f"{self.name}_{function}")
        for x, row in zip(np.ascontiguousarray(X, self.model.dtype), out, strict=True):
            call(ctypes.c_void_p(x.ctypes.data), ctypes.c_void_p(row.ctypes.data))
        return out

    def class_of(self, X):
        call = getattr(self.library, f"{self.name}_class")
        return [call(ctypes.c_void_p(x.ctypes.data)) for x in np.ascontiguousarray(X, self.model.dtype)]


def plain_loops(model, X):
    layers = [
        reference.Linear(layer.weight, layer.bias) if isinstance(layer, gd.Linear) else reference.ReLU()
        for layer in model.layers
    ]
    return np.array([reference.predict(layers, list(x)) for x in X.astype(model.dtype)], model.dtype)


@needs_compiler
@pytest.mark.parametrize("bias", [True, False])
def test_relu_networks_have_the_bits_of_the_plain_loops(rng, dtype, bias, tmp_path):
    layers = [gd.Linear(7, 9, bias and rng.normal(size=9)), gd.ReLU(), gd.Linear(9, 3, bias), gd.ReLU()]
    model = gd.Model([*layers, gd.Linear(3, 2, bias)], dtype, seed=1)
    X = np.vstack([rng.normal(size=(20, 7)) * 10.0 ** rng.integers(-3, 4, 7), np.zeros(7)])
    np.testing.assert_array_equal(Compiled(model, tmp_path)("predict", X, 2), plain_loops(model, X))


@needs_compiler
@pytest.mark.parametrize("name", [name for name in STACKS if "Dropout" not in name or name == "Dropout first"])
def test_every_layer(rng, dtype, name, tmp_path):
    model = gd.Model(STACKS[name], dtype)
    X = rng.normal(size=(6, model.in_features))
    found = Compiled(model, tmp_path)("predict", X, model.out_features)
    np.testing.assert_allclose(found, model.predict(X), rtol=1e-5 if dtype == "float32" else 1e-12)


@needs_compiler
@pytest.mark.parametrize("first", [gd.Standardize(3), gd.Standardize(3, with_mean=False), gd.RobustStandardize(3)])
def test_scales(rng, dtype, first, tmp_path):
    X, y = rng.normal(size=(50, 3)) * [1e-3, 1, 1e4] + [5, -100, 1e5], rng.normal(size=50) * 1e4 + 1e6
    model = gd.Model([first, gd.Linear(3, 4), gd.Tanh(), gd.Linear(4, 1), gd.StandardizedTargets(1)], dtype)
    model.layers[0].fit(X)
    model.layers[-1].fit(y)
    far = 1e30 if dtype == "float32" else 1e200
    X = np.vstack([X, [[far, -far, 0.0]]]).astype(dtype)
    found = Compiled(model, tmp_path)("predict", X, 1)
    np.testing.assert_allclose(found, model.predict(X), rtol=1e-5 if dtype == "float32" else 1e-12)


@needs_compiler
@pytest.mark.parametrize(
    ("classes", "loss"),
    [
        (['say "no"', "yes??/\\", "ça va 1"], "cross_entropy"),
        ([-5, 7], "log_loss"),
        ([False, True], "hinge"),
        ([0.1, 0.2, 1e300], "cross_entropy"),
        (None, "log_loss"),
    ],
)
def test_classes(rng, classes, loss, tmp_path):
    model = gd.Model([gd.Linear(3, 3 if loss == "cross_entropy" else 1)], "float64")
    model.set_classes(classes, loss)
    compiled, X = Compiled(model, tmp_path), rng.normal(size=(20, 3)) * 20
    if classes is not None:
        found = model.classes[compiled.class_of(X)]
        np.testing.assert_array_equal(found, model.predict_classes(X))
        kind = {"U": ctypes.c_char_p, "i": ctypes.c_longlong, "b": ctypes.c_byte, "f": ctypes.c_double}
        values = (kind[model.classes.dtype.kind] * len(classes)).in_dll(compiled.library, "net_classes")
        assert [each.decode() if isinstance(each, bytes) else each for each in values] == list(classes)
    if loss != "hinge":
        p = model.predict_proba(X)
        np.testing.assert_allclose(compiled("probabilities", X, p.shape[1]), p, rtol=1e-12)


@needs_compiler
def test_rates(rng, tmp_path):
    model = gd.Model([gd.Linear(3, 2)], "float64")
    model.set_classes(None, "poisson")
    compiled, X = Compiled(model, tmp_path), rng.normal(size=(20, 3)) * 20
    np.testing.assert_allclose(compiled("rates", X, 2), model.predict_rates(X), rtol=1e-12)
    np.testing.assert_allclose(compiled("predict", X, 2), model.predict(X), rtol=1e-12)


def test_the_name_is_that_of_the_file_or_given(tmp_path):
    model = gd.Model([gd.Linear(2, 1)])
    model.to_c(tmp_path / "price.c")
    text = (tmp_path / "price.c").read_text()
    assert "void price_predict(const float x[PRICE_IN_FEATURES], float out[PRICE_OUT_FEATURES]);" in text
    assert "#define PRICE_IN_FEATURES 2\n" in text
    for name, allowed in (("my-model", "my_model"), ("3d", "model_3d"), ("", "model_")):
        with pytest.raises(ValueError, match=f"expected one such as '{allowed}'"):
            model.to_c(tmp_path / "new.c", name)
    assert not (tmp_path / "new.c").exists()
    with pytest.raises(ValueError, match="'my_model'"):
        model.to_c(tmp_path / "my-model.c")


def test_what_cannot_be_exported(tmp_path):
    with pytest.raises(ValueError, match="Standardize layer has no mean and scale yet"):
        gd.Model([gd.Standardize(2), gd.Linear(2, 1)]).to_c(tmp_path / "new.c")
    model = gd.Model([gd.Linear(2, 1)])
    model.parameters[0] = np.nan
    with pytest.raises(ValueError, match="hold a NaN or infinity; expected finite numbers to export"):
        model.to_c(tmp_path / "new.c")
    assert not (tmp_path / "new.c").exists()
