"""A run goes on with the rows that it was saved with, or says what differs."""

import re

import numpy as np
import pytest
import scipy.sparse
from cases import built, rows_for
from resumed_runs import SaveEach, have_shortest_slices

import fastgd as gd


@pytest.fixture(autouse=True)
def shortest_slices(monkeypatch):
    have_shortest_slices(monkeypatch)


def trainer_of():
    model = built([gd.Linear(3, 4), gd.ReLU(), gd.Linear(4, 1)], "float32")
    return gd.Trainer(model, optimizer=gd.SGD(0.05), batch_size=4)


@pytest.fixture
def saved(tmp_path):
    X, y, weights = rows_for(trainer_of().model, 30)
    saves = SaveEach(tmp_path)
    trainer_of().fit(X, y, epochs=2, validation=(X[:9], y[:9]), callbacks=[saves])
    return saves.paths[3], X, y, weights


OTHERS = {
    "fewer rows": (lambda X, y, w: (X[:-1], y[:-1]), "other rows: n_samples was 30 and is 29, rows are others"),
    "another order": (lambda X, y, w: (X[::-1], y[::-1]), "other rows: rows are others"),
    "other targets": (lambda X, y, w: (X, y + 1), "other rows: rows are others"),
    "weights": (lambda X, y, w: (X, y, 2, w), "has_sample_weight was False and is True"),
    "float64": (lambda X, y, w: (X.astype("f8"), y), "dtype was float32 and is float64"),
    "sparse": (lambda X, y, w: (scipy.sparse.csr_matrix(X), y), "is_sparse was False and is True"),
}


@pytest.mark.parametrize("other", OTHERS)
def test_other_rows(saved, other):
    path, X, y, weights = saved
    rows, message = OTHERS[other]
    trainer = gd.Trainer.load(path)
    before = trainer.model.parameters.copy()
    data = rows(X, y, weights)
    options = dict(zip(("X", "y", "epochs", "sample_weight"), data, strict=False)) | {"epochs": 2, "resume": True}
    for _ in range(2):
        with pytest.raises(ValueError, match=f"the run was saved while it trained on .*{re.escape(message)}"):
            trainer.fit(**options, validation=(X[:9], y[:9]))
    np.testing.assert_array_equal(trainer.model.parameters, before)
    trainer.fit(X, y, epochs=2, validation=(X[:9], y[:9]), resume=True)
    assert len(trainer.history) == 2


@pytest.mark.parametrize("other", [None, 0.3])
def test_other_validation_data(saved, other):
    path, X, y, _ = saved
    with pytest.raises(ValueError, match=r"other (validation data|rows): .*expected the same, in the same order"):
        gd.Trainer.load(path).fit(X, y, epochs=2, validation=other, resume=True)


def test_the_same_rows_elsewhere(saved, tmp_path):
    path, X, y, _ = saved
    gd.data.ArrayDataset(X, y).save(tmp_path / "rows")
    trainer = gd.Trainer.load(path)
    trainer.fit(gd.data.open(tmp_path / "rows"), epochs=2, validation=(X[:9], y[:9]), resume=True)
    assert len(trainer.history) == 2


@pytest.mark.parametrize("call", ["fit", "step"])
def test_what_is_left_of_an_epoch_is_not_dropped_in_silence(saved, call):
    path, X, y, _ = saved
    trainer = gd.Trainer.load(path)
    with pytest.warns(gd.UsageWarning, match="saved in epoch 1 after 16 of its rows, and what was left of it is not"):
        getattr(trainer, call)(X, y)
    assert len(trainer.history) == (call == "fit")


def test_other_batches(saved):
    path, X, y, _ = saved
    trainer = gd.Trainer.load(path)
    trainer.batch_size = 5
    with pytest.raises(ValueError, match="in the midst of epoch 1, and since then batch_size was 4 and is 5; expected"):
        trainer.fit(X, y, epochs=2, validation=(X[:9], y[:9]), resume=True)


def test_a_loaded_run_is_saved_as_it_is(saved, tmp_path):
    path, X, y, _ = saved
    gd.Trainer.load(path).save(tmp_path / "again")
    one, other = gd.Trainer.load(path), gd.Trainer.load(tmp_path / "again")
    for trainer in (one, other):
        trainer.fit(X, y, epochs=2, validation=(X[:9], y[:9]), resume=True)
    np.testing.assert_array_equal(one.model.parameters, other.model.parameters)
    assert one.history.loss == other.history.loss
