"""What a model knows of the columns that it was trained on."""

import copy

import numpy as np
import pytest

import fastgd as gd

pd = pytest.importorskip("pandas")

NAMES = ("rooms", "size", "age")


@pytest.fixture
def frame(rng):
    return pd.DataFrame(rng.standard_normal((40, 3)), columns=list(NAMES))


@pytest.fixture
def price(frame):
    return (frame["rooms"] - 2 * frame["size"]).rename("price")


def trained(frame, price, **options):
    trainer = gd.Trainer(gd.Model([gd.Linear(3, 1)]), optimizer=gd.SGD(0.1), **options)
    trainer.fit(frame, price)
    return trainer


def test_names_are_those_of_the_rows(frame, price):
    model = trained(frame, price).model
    assert (model.feature_names, model.target_names) == (NAMES, ("price",))
    for other in (copy.deepcopy(model), trained(frame, price, average_from=1).averaged_model()):
        assert (other.feature_names, other.target_names) == (NAMES, ("price",))
    assert gd.Model([gd.Linear(3, 1)]).feature_names is None
    assert trained(frame.to_numpy(), price).model.feature_names is None


def test_folded_models_have_them(frame, price):
    model = gd.Model([gd.Standardize(3), gd.Linear(3, 1)])
    gd.Trainer(model, optimizer=gd.SGD(0.1)).fit(frame, price)
    assert model.fold().feature_names == NAMES


def test_a_step_tells_them_too(frame, price):
    model = gd.Model([gd.Linear(3, 1)])
    gd.Trainer(model, optimizer=gd.SGD(0.1)).step(frame, price)
    assert model.feature_names == NAMES


def test_files_have_them(frame, price, tmp_path):
    trainer = trained(frame, price)
    trainer.model.save(tmp_path / "m")
    trainer.save(tmp_path / "run")
    for loaded in (
        gd.Model.load(tmp_path / "m"),
        gd.Model.load(tmp_path / "run"),
        gd.Trainer.load(tmp_path / "run").model,
    ):
        assert (loaded.feature_names, loaded.target_names) == (NAMES, ("price",))


def test_a_checkpoint_in_the_midst_has_them(frame, price, tmp_path):
    trainer = gd.Trainer(gd.Model([gd.Linear(3, 1)]), optimizer=gd.SGD(0.1))
    trainer.fit(frame, price, epochs=2, callbacks=[gd.callbacks.Checkpoint(tmp_path / "run", every=7)])
    again = gd.Trainer.load(tmp_path / "run")
    assert again.model.feature_names == NAMES
    with pytest.raises(ValueError, match="feature 0 of X is 'age'; expected 'rooms'"):
        again.fit(frame[["age", "rooms", "size"]], price, epochs=3, resume=True)
    again.fit(frame, price, epochs=3, resume=True)
    assert again.model.feature_names == NAMES


def test_other_names_are_refused(frame, price):
    """Whoever uses the model, and before anything changes."""
    trainer = trained(frame, price)
    model, before = trainer.model, trainer.model.parameters.copy()
    others = frame[["rooms", "age", "size"]]
    with pytest.raises(ValueError, match=r"expected 'size'.*frame\[list\(model.feature_names\)\]"):
        model.predict(others)
    for call in (model.loss, model.loss_and_gradient, trainer.fit, trainer.step):
        with pytest.raises(ValueError, match="feature 1 of X is 'age'; expected 'size'"):
            call(others, price)
    np.testing.assert_array_equal(model.parameters, before)
    np.testing.assert_array_equal(model.predict(others[list(model.feature_names)]), model.predict(frame))
    np.testing.assert_array_equal(model.predict(others[list(NAMES)].to_numpy()), model.predict(frame))


def test_validation_rows_are_those_of_the_same_columns(frame, price):
    trainer = gd.Trainer(gd.Model([gd.Linear(3, 1)]), optimizer=gd.SGD(0.1))
    with pytest.raises(ValueError, match="validation: feature 1 of X is 'age'; expected 'size'"):
        trainer.fit(frame, price, validation=(frame[["rooms", "age", "size"]], price))
    assert trainer.model.feature_names is None


def test_names_are_not_taken_from_rows_that_are_refused(frame, price):
    trainer = gd.Trainer(gd.Model([gd.Linear(3, 1)], dtype="float64"), optimizer=gd.SGD("auto"))
    with pytest.raises(ValueError, match="X holds nan"):
        trainer.fit(frame.rename(columns={"age": "years"}) * np.nan, price)
    assert trainer.model.feature_names is None


def test_an_estimator_that_was_fitted_on_a_frame(frame, price):
    pytest.importorskip("sklearn")
    from fastgd.sklearn import GDRegressor

    assert GDRegressor().partial_fit(frame, price).model_.feature_names == NAMES


def test_predictions_of_a_table(frame, price):
    """Block by block, by name."""
    pa = pytest.importorskip("pyarrow")
    table = pa.table(dict(frame) | {"price": price})
    rows = gd.data.from_stream(table, target="price")
    model = gd.Model([gd.Linear(3, 1)])
    gd.Trainer(model, optimizer=gd.SGD(0.1)).fit(rows)
    assert model.feature_names == NAMES
    np.testing.assert_array_equal(model.predict(rows), model.predict(frame))
    other = table.select(["price", "age", "rooms", "size"])
    with pytest.raises(ValueError, match=r"X has shape \(None, 4\).*open\(\.\.\., columns=model.columns\)"):
        model.predict(gd.data.from_stream(other))
    with pytest.raises(ValueError, match=r"feature 0 of X is 'age'; expected 'rooms'"):
        model.predict(gd.data.from_stream(other, target="price"))
    by_name = gd.data.from_stream(other, columns=model.columns)
    np.testing.assert_array_equal(model.predict(by_name), model.predict(frame))
    with pytest.raises(ValueError, match="the stream has no rows; expected at least one"):
        model.predict(gd.data.from_stream(other.slice(0, 0), columns=model.columns))
