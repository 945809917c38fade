"""Files: nothing else than what was saved is loaded."""

import contextlib
import hashlib
import json
import pickle
import warnings

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import fastgd as gd
from fastgd import atomic_files
from fastgd.data.columns import Columns

# What is loaded.


def small_model():
    layers = [gd.Standardize(3), gd.Linear(3, 2), gd.LeakyReLU(0.25), gd.Linear(2, 1, bias=False)]
    return gd.Model(layers, seed=3)


def named_model():
    model = small_model()
    model.columns = Columns(("a", "é"), {"a": ["x", 2]}, targets=("y",))
    return model


def small_run():
    X = np.random.default_rng(0).standard_normal((20, 3))
    trainer = gd.Trainer(small_model(), optimizer=gd.Adam(0.01), batch_size=4, average_from=2, alpha=0.1, l1_ratio=0.5)
    trainer.fit(X, X[:, 0], epochs=2, validation=(X, X[:, 0]), callbacks=[gd.callbacks.EarlyStopping(2)])
    return trainer


def content(loaded):
    """Everything that a model or a run is, as a file has it."""
    model = loaded if isinstance(loaded, gd.Model) else loaded.model
    tensors = {name: tensor.tobytes() for name, tensor in model.tensors().items()}
    if model is loaded:
        return model.architecture(), tensors
    state = {name: array.tobytes() for name, array in loaded._run.prepared_engine().state.between_epochs().items()}
    callbacks = [pickle.dumps((each.settings, each.state)) for each in loaded._loaded_callbacks]
    settings = (loaded.optimizer, loaded.loss, loaded.batch_size, loaded.shuffle, loaded.seed, loaded.history)
    return model.architecture(), tensors, state, callbacks, settings, loaded.n_updates, loaded.learning_rate_factor


SAVED = {
    "model": (small_model, gd.Model),
    "model with names": (named_model, gd.Model),
    "run": (small_run, gd.Trainer),
    "run, of which the model": (small_run, gd.Model),
}


def assert_is_refused_or_the_same(kind, path, expected):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = content(kind.load(path))
        except ValueError as error:
            found = error
    assert found == expected or (isinstance(found, ValueError) and str(path) in str(found))


@pytest.mark.parametrize("what", SAVED)
def test_any_changed_byte_is_found(what, tmp_path):
    make, kind = SAVED[what]
    make().save(tmp_path / "whole")
    whole, expected = (tmp_path / "whole").read_bytes(), content(kind.load(tmp_path / "whole"))
    for place in range(0, len(whole), 1 if what == "model" else 3):
        for flipped in (1, 1 << (place % 8)):
            damaged = bytearray(whole)
            damaged[place] ^= flipped
            (tmp_path / "damaged").write_bytes(damaged)
            assert_is_refused_or_the_same(kind, tmp_path / "damaged", expected)


@pytest.mark.parametrize("what", SAVED)
def test_a_part_of_a_file_is_refused(what, tmp_path):
    make, kind = SAVED[what]
    make().save(tmp_path / "whole")
    whole = (tmp_path / "whole").read_bytes()
    for length in (*range(0, len(whole), 29), len(whole) - 1):
        (tmp_path / "damaged").write_bytes(whole[:length])
        with pytest.raises(ValueError, match="damaged"):
            kind.load(tmp_path / "damaged")
    (tmp_path / "damaged").write_bytes(whole + b"\0")
    with pytest.raises(ValueError, match="damaged"):
        kind.load(tmp_path / "damaged")


def edit(path, change, keeps_checksum=False):
    """Save a file again as someone would who does not know of the checksum."""
    with safe_open(path, "np") as file:
        metadata = file.metadata()
    tensors = load_file(path)
    if not keeps_checksum:
        del metadata["sha256"]
    described = {key: json.loads(metadata[key]) for key in ("architecture", "run") if key in metadata}
    change(tensors, described, metadata)
    save_file(tensors, path, metadata | {key: json.dumps(value) for key, value in described.items()})


@pytest.mark.parametrize("what", SAVED)
def test_a_file_without_a_checksum(what, tmp_path):
    make, kind = SAVED[what]
    make().save(tmp_path / "m")
    expected = content(kind.load(tmp_path / "m"))
    edit(tmp_path / "m", lambda *_: None)
    assert content(kind.load(tmp_path / "m")) == expected


@pytest.mark.parametrize("what", SAVED)
def test_a_damaged_file_without_a_checksum(what, tmp_path):
    """Not everything is found, but nothing fails in another way."""
    make, kind = SAVED[what]
    make().save(tmp_path / "m")
    edit(tmp_path / "m", lambda *_: None)
    whole = (tmp_path / "m").read_bytes()
    for place in range(0, len(whole), 2 if what == "model" else 5):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << (place % 7)
        (tmp_path / "m").write_bytes(damaged)
        with warnings.catch_warnings(), contextlib.suppress(ValueError):
            warnings.simplefilter("ignore")
            kind.load(tmp_path / "m")


def rename(name, new):
    return lambda tensors, described, metadata: tensors.update({new: tensors.pop(name)})


def retype(name, dtype):
    return lambda tensors, described, metadata: tensors.update({name: tensors[name].astype(dtype)})


def describe(key, **values):
    return lambda tensors, described, metadata: described[key].update(values)


EDITED = {
    "a weight is missing": (gd.Model, rename("1.weight", "9.weight"), r"tensor '1\.weight': found no such tensor"),
    "a tensor more": (
        gd.Model,
        lambda tensors, *_: tensors.update(more=np.ones(1)),
        r"tensor 'more' is not one of this model's; expected 1\.weight",
    ),
    "float64 in a float32 model": (
        gd.Model,
        retype("1.weight", np.float64),
        r"tensor '1\.weight': found dtype float64; expected float32",
    ),
    "float16": (gd.Model, retype("1.bias", np.float16), r"tensor '1\.bias': found dtype float16; expected float32"),
    "integers": (gd.Model, retype("3.weight", np.int32), r"tensor '3\.weight': found dtype int32; expected float32"),
    "a mean in float32": (
        gd.Trainer,
        retype("0.mean", np.float32),
        r"'0\.mean': found dtype float32; expected float64",
    ),
    "a mean without a scale": (gd.Trainer, rename("0.scale", "0.scales"), r"tensor '0\.scale': found no such tensor"),
    "a width that no memory is enough for": (
        gd.Model,
        describe("architecture", layers=[{"type": "Linear", "in_features": 10**9, "out_features": 10**9}]),
        r"tensor '0\.weight': found no such tensor; expected shape \(1000000000, 1000000000\)",
    ),
    "an unknown layer": (gd.Model, describe("architecture", layers=[{"type": "Conv"}]), "layer type is 'Conv'"),
    "no list of layers": (gd.Model, describe("architecture", layers=None), "TypeError"),
    "more in the architecture": (gd.Model, describe("architecture", depth=3), "architecture: 'depth' is not expected"),
    "names of other columns": (
        gd.Model,
        describe("architecture", columns={"features": ["a", "b"]}),
        r"columns .* are of 2 features; expected 3",
    ),
    "hashes that no memory is enough for": (
        gd.Model,
        describe("architecture", columns={"features": ["a"], "categories": {"a": 10**12}}),
        "columns .* are of 1000000000000 features; expected 3",
    ),
    "a negative number of hashes": (
        gd.Model,
        describe("architecture", columns={"features": ["a", "b", "c", "d"], "categories": {"a": 0}}),
        "columns: found 0; expected a list of categories, or a number of at least 1",
    ),
    "categories of another column": (
        gd.Model,
        describe("architecture", columns={"features": ["a", "b", "c"], "categories": {"d": 2}}),
        "columns: 'd' is none of the features 'a', 'b', 'c'",
    ),
    "categories that are none": (
        gd.Model,
        describe("architecture", columns={"features": ["a"], "categories": {"a": [[1], [2], [3]]}}),
        r"columns: categories \[\[1\], \[2\], \[3\]\]; expected strings, numbers, booleans or None",
    ),
    "fills that are none": (
        gd.Model,
        describe("architecture", columns={"features": ["a", "b", "c"], "fills": {"a": float("inf")}}),
        "columns: fill inf; expected a finite number",
    ),
    "numbers as names": (
        gd.Model,
        describe("architecture", columns={"features": [1, 2, 3]}),
        "features of the columns are .*; expected a list of names",
    ),
    "more in the columns": (
        gd.Model,
        describe("architecture", columns={"features": ["a", "b", "c"], "types": {}}),
        "columns: 'types' is not expected",
    ),
    "more in the metadata": (
        gd.Model,
        lambda tensors, described, metadata: metadata.update(author="me"),
        "metadata: 'author' is not expected",
    ),
    "less in the metadata": (
        gd.Model,
        lambda tensors, described, metadata: metadata.pop("format"),
        "metadata: 'format' is missing",
    ),
    "renamed count": (
        gd.Trainer,
        rename("run.n_updates", "run.n_update"),
        "tensors of the run: 'n_updates' is missing, 'n_update' is not expected",
    ),
    "renamed count, in the list of tensors too": (
        gd.Trainer,
        lambda tensors, described, _: (
            rename("run.n_updates", "run.q")(tensors, 0, 0),
            described["run"].update(tensors=[name.replace("n_updates", "q") for name in described["run"]["tensors"]]),
        ),
        "state of the run: 'n_updates' is missing, 'q' is not expected",
    ),
    "a missing vector of a callback": (
        gd.Trainer,
        lambda tensors, *_: tensors.pop("run.callbacks.0.parameters"),
        "tensors of the run: 'callbacks.0.parameters' is missing",
    ),
    "state in another dtype": (
        gd.Trainer,
        retype("run.optimizer_state", np.float64),
        "optimizer_state has dtype float64; expected float32, as this version",
    ),
    "more in the run": (gd.Trainer, describe("run", momentum=1), "run: 'momentum' is not expected"),
    "a history of nothing": (gd.Trainer, describe("run", history=[[]]), "TypeError"),
}


@pytest.mark.parametrize("case", EDITED)
def test_what_does_not_fit_is_refused(case, tmp_path):
    kind, change, message = EDITED[case]
    (small_model() if kind is gd.Model else small_run()).save(tmp_path / "m")
    edit(tmp_path / "m", change)
    with pytest.raises(ValueError, match=message) as caught:
        kind.load(tmp_path / "m")
    assert str(tmp_path / "m") in str(caught.value)


def test_bfloat16_is_refused(tmp_path):
    """NumPy has no such type, and so cannot read it."""
    small_model().save(tmp_path / "m")
    whole = (tmp_path / "m").read_bytes()
    size = int.from_bytes(whole[:8], "little")
    header = json.loads(whole[8 : 8 + size])
    for name, spec in header.items():
        if name != "__metadata__":
            spec["dtype"] = "BF16"
            spec["data_offsets"] = [place // 2 for place in spec["data_offsets"]]
    text = json.dumps(header).encode()
    (tmp_path / "m").write_bytes(
        len(text).to_bytes(8, "little") + text + whole[8 + size :][: (len(whole) - 8 - size) // 2]
    )
    with pytest.raises(ValueError, match=r"m: tensor '\d\.\w+': found dtype bfloat16; expected float32"):
        gd.Model.load(tmp_path / "m")


def test_a_changed_value_is_found(tmp_path):
    def change(tensors, *_):
        tensors["1.bias"][0] += 1

    small_model().save(tmp_path / "m")
    edit(tmp_path / "m", change, keeps_checksum=True)
    with pytest.raises(ValueError, match="m: the file is damaged"):
        gd.Model.load(tmp_path / "m")


def test_a_file_that_other_software_wrote_anew_is_the_same(tmp_path):
    """The order and layout of a file are not part of the checksum."""
    small_model().save(tmp_path / "m")
    expected = content(gd.Model.load(tmp_path / "m"))
    edit(tmp_path / "m", lambda *_: None, keeps_checksum=True)
    assert content(gd.Model.load(tmp_path / "m")) == expected


def test_a_model_that_changes_while_it_is_saved(tmp_path, monkeypatch):
    """Another thread may be training it."""
    model, place = small_model(), atomic_files._Place.of
    monkeypatch.setattr(atomic_files._Place, "of", lambda path: (model.parameters.fill(7), place(path))[1])
    sha256 = hashlib.sha256
    monkeypatch.setattr(hashlib, "sha256", lambda data: (model.parameters.fill(7), sha256(data))[1])
    before = model.parameters.copy()
    model.save(tmp_path / "m")
    assert (model.parameters == 7).all()
    np.testing.assert_array_equal(gd.Model.load(tmp_path / "m").parameters, before)


def test_a_loaded_model_was_not_drawn_first(tmp_path, monkeypatch):
    model = gd.Model([gd.Linear(30, 20), gd.ReLU(), gd.Linear(20, 1)], seed=4)
    model.save(tmp_path / "m")
    expected = model.parameters.copy()

    def no_draws(*_):
        raise AssertionError("weights are drawn")

    with monkeypatch.context() as patch:
        patch.setattr(gd.Linear, "initialize", no_draws)
        copies = [gd.Model.load(tmp_path / "m"), pickle.loads(pickle.dumps(model))]
    for each in copies:
        np.testing.assert_array_equal(each.parameters, expected)
        assert each.starts_as_drawn
        each.layers[0].weight[0] += 1
        assert not each.starts_as_drawn
