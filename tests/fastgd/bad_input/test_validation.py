"""Bad validation data is found before anything is learnt."""

import numpy as np
import pytest
from cases import model_of
from ones import X, Y

import fastgd as gd

BAD_VALIDATION = {
    "NaN among targets": (
        "half_squared_error",
        lambda X, y: (X, np.where(y > 2, np.nan, y)),
        "y holds nan .* in row 3",
    ),
    "NaN among features": ("half_squared_error", lambda X, y: (np.where(X > 1, np.nan, X), y), "X holds nan"),
    "infinite weight": ("half_squared_error", lambda X, y: (X, y, y / 0.0), "sample_weight holds"),
    "a class too many": (
        "cross_entropy",
        lambda X, y: (X, y + 1),
        "y holds 4.0 in row 3; cross_entropy expects a class",
    ),
    "half a class": ("cross_entropy", lambda X, y: (X, y / 2), "y holds 0.5 in row 1; cross_entropy expects a class"),
    "fewer targets": ("half_squared_error", lambda X, y: (X, y[:3]), "y has 3 rows and X has 8"),
}


@pytest.mark.parametrize("case", BAD_VALIDATION)
@pytest.mark.parametrize("standardizes", [False, True], ids=["raw", "standardised"])
@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
def test_validation_in_memory_is_checked_before_anything_is_learnt(case, standardizes):
    loss, spoil, message = BAD_VALIDATION[case]
    outputs = 4 if loss == "cross_entropy" else 1
    model = gd.Model([*([gd.Standardize(3)] if standardizes else []), gd.Linear(3, outputs)])
    before = model.parameters.copy()
    rows, targets = np.random.default_rng(0).uniform(-2, 2, (8, 3)), np.arange(8) % 4
    trainer = gd.Trainer(model, loss)
    with pytest.raises(ValueError, match=f"validation: {message}"):
        trainer.fit(rows, targets, validation=spoil(rows, targets))
    np.testing.assert_array_equal(model.parameters, before)
    assert trainer.n_updates == 0
    assert model.standardize is None or model.standardize.mean is None


def test_held_out_rows_are_checked_before_anything_is_learnt():
    rows, targets = np.ones((40, 5)), np.ones(40)
    held_out = np.random.default_rng([0, 0, 1]).permutation(40)[:10]
    targets[held_out[3]] = np.nan
    model = model_of("neuron")
    trainer = gd.Trainer(model)
    with pytest.raises(ValueError, match=f"validation: y holds nan .* in row {held_out[3]}"):
        trainer.fit(rows, targets, validation=0.25)
    assert trainer.n_updates == 0


class Unread(gd.Dataset):
    """Rows that are not in memory."""

    n_samples, n_features, n_outputs, has_sample_weight, dtype = 4, 5, 1, True, np.dtype("float32")

    def read(self, rows, out):
        """Ones, of weight zero."""
        for array, value in zip(out[:3], (1, 1, 0), strict=True):
            array[:] = value


@pytest.mark.parametrize("held_out", ["rows", "a fraction", "a data set"])
def test_validation_rows_that_all_weigh_nothing(held_out):
    """Their loss would be zero, and the first epoch's the best."""
    trainer = gd.Trainer(model_of("neuron"))
    validation = {"rows": (X, Y, np.zeros(4)), "a fraction": 0.25, "a data set": Unread()}[held_out]
    weight = np.ones(4)
    weight[np.random.default_rng([0, 0, 1]).permutation(4)[0]] = 0
    before = trainer.model.parameters.copy()
    with pytest.raises(ValueError, match="validation: every sample_weight is 0"):
        trainer.fit(X, Y, epochs=2, sample_weight=weight, validation=validation)
    np.testing.assert_array_equal(trainer.model.parameters, before)


def test_validation_from_a_file_is_named(tmp_path):
    np.save(tmp_path / "X.npy", np.ones((4, 5)))
    np.save(tmp_path / "y.npy", np.array([0, 1, np.nan, 1]))
    data = gd.data.open(tmp_path / "X.npy", target=tmp_path / "y.npy")
    with pytest.raises(ValueError, match=r"validation: y holds nan .* in row 2"):
        gd.Trainer(model_of("neuron")).fit(X, Y, validation=data)


@pytest.mark.parametrize("learning_rate", [0.01, "auto"])
def test_nothing_is_learnt_from_rows_with_a_bad_class(learning_rate):
    model = gd.Model([gd.Standardize(3), gd.Linear(3, 3)])
    before = model.parameters.copy()
    rows, classes = np.random.default_rng(0).standard_normal((90, 3)), np.arange(90) % 3
    classes[77] = 3
    with pytest.raises(ValueError, match=r"y holds 3\.0 in row 77; cross_entropy expects a class"):
        gd.Trainer(model, "cross_entropy", gd.SGD(learning_rate), batch_size=2).fit(rows, classes)
    np.testing.assert_array_equal(model.parameters, before)
    assert model.standardize.mean is None
