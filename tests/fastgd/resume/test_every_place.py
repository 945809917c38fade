"""A run that was saved anywhere goes on as if nothing had been."""

import copy

import numpy as np
import pytest
import scipy.sparse
from cases import built, model_of, rows_for
from resumed_runs import assert_same, check_all_places, have_shortest_slices, state_of

import fastgd as gd
from fastgd.data.base import Stream
from fastgd.data.block import Block


@pytest.fixture(autouse=True)
def shortest_slices(monkeypatch):
    have_shortest_slices(monkeypatch)


def small():
    return built([gd.Linear(3, 4), gd.ReLU(), gd.Linear(4, 1)], "float32")


def callbacks():
    plateau = gd.callbacks.ReduceOnPlateau(patience=1, min_delta=0.01, monitor="loss")
    return [gd.callbacks.EarlyStopping(patience=3, min_delta=0.01, monitor="loss"), plateau]


def test_batches_in_orders_of_their_own_with_callbacks(tmp_path):
    data = rows_for(small(), 21)[:2]

    def make():
        return gd.Trainer(small(), optimizer=gd.SGD(0.05), batch_size=4, shuffle=True)

    assert check_all_places(make, data, tmp_path, every=5, epochs=6, callbacks=callbacks) > 20


def test_in_the_midst_of_a_batch(tmp_path):
    data = rows_for(small(), 2600)[:2]
    n_saves = check_all_places(
        lambda: gd.Trainer(small(), optimizer=gd.SGD(0.05), batch_size=1300), data, tmp_path, epochs=2
    )
    assert n_saves == 2 * 4


def test_an_epoch_that_auto_takes_back(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "fastgd._engine.automatic_rate.automatic_schedule", lambda *_, **__: gd.schedules.Cooldown(30.0, 10**9)
    )
    X, y, _ = rows_for(small(), 40)
    seen = []

    def make():
        seen.append(gd.Trainer(small(), optimizer=gd.SGD("auto"), batch_size=4))
        return seen[-1]

    check_all_places(make, (X, y), tmp_path, every=4)
    assert len(seen[0].history.setbacks) in range(1, 8)


class FailsAt:
    """Fails once, after so many slices, as rows that cannot be read."""

    def __init__(self, n_slices):
        self.n_left = n_slices

    def __call__(self, trainer, record):
        pass

    def on_slice(self, trainer):
        self.n_left -= 1
        if self.n_left == 0:
            raise OSError("the disk is gone")


@pytest.mark.parametrize("is_loaded", [False, True])
@pytest.mark.parametrize("rate", [0.05, "auto"])
def test_an_error_in_the_midst_of_an_epoch(rate, is_loaded, tmp_path):
    """The same process goes on from there, and a new call of fit begins an epoch of its own."""
    data = rows_for(small(), 21)[:2]
    whole, first = (gd.Trainer(small(), optimizer=gd.SGD(rate), batch_size=4, shuffle=True) for _ in range(2))
    whole.fit(*data, epochs=3)
    for n_slices in (8, 2) if is_loaded else (8,):
        with pytest.raises(OSError, match="the disk is gone"):
            first.fit(*data, epochs=3, callbacks=[FailsAt(n_slices)], resume=len(first.history) > 0)
        if is_loaded and n_slices == 8:
            first.save(tmp_path / "run")
            first = gd.Trainer.load(tmp_path / "run")
    assert 0 < first.n_updates < whole.n_updates
    afresh = copy.deepcopy(first)
    first.fit(*data, epochs=3, resume=True)
    assert_same(state_of(first), state_of(whole))
    n_before = afresh.n_updates
    afresh.fit(*data)
    assert afresh.n_updates == n_before + 6


OPTIMIZERS = {
    "SGD": gd.SGD(0.03),
    "momentum": gd.SGD(0.03, momentum=0.9, weight_decay=0.01),
    "Adam": gd.Adam(gd.schedules.CosineWarmRestarts(0.03, 20)),
    "AdamW": gd.AdamW(gd.schedules.Step(0.03, 7)),
    "Adagrad": gd.Adagrad(0.1),
    "RMSprop": gd.RMSprop(gd.schedules.Exponential(0.01, 0.99)),
    "NormalizedSGD": gd.NormalizedSGD(0.1),
}


class Blocks(Stream):
    """Rows in blocks of seven."""

    has_sample_weight = True

    def __init__(self, X, y, sample_weight):
        self.rows = X, y, sample_weight
        self.n_features, self.n_outputs, self.dtype = X.shape[1], y.shape[1], X.dtype

    def open(self, cursor=0):
        for start in range(cursor, len(self.rows[0]), 7):
            yield Block(*(array[start : start + 7] for array in self.rows))


def _mapped(folder, X, y, weights):
    gd.data.ArrayDataset(X, y, weights).save(folder)
    return [gd.data.open(folder)]


SOURCES = {
    "memory": lambda folder, X, y, weights: (X, y),
    "map": _mapped,
    "sparse": lambda folder, X, y, weights: (scipy.sparse.csr_matrix(np.where(X > 0, X, 0)), y),
    "stream": lambda folder, X, y, weights: [Blocks(X, y, weights)],
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "optimizer"),
    # On sparse rows, those whose updates are of their own; NormalizedSGD takes none.
    [(s, o) for s in SOURCES for o in OPTIMIZERS if s != "sparse" or o in ("SGD", "Adagrad", "Adam")],
)
def test_every_optimizer_on_every_source(optimizer, source, tmp_path):
    rows = rows_for(small(), 31)
    (tmp_path / "rows").mkdir()
    data = SOURCES[source](tmp_path / "rows", *rows)
    shuffle = source != "stream"
    count = check_all_places(
        lambda: gd.Trainer(small(), optimizer=OPTIMIZERS[optimizer], batch_size=4, shuffle=shuffle), data, tmp_path, 3
    )
    assert count >= 16


@pytest.mark.slow
@pytest.mark.parametrize("name", ["neuron", "hidden layer"])
def test_online_and_all_kinds_of_state(name, tmp_path):
    X, y, weights = rows_for(model_of(name, "float32"), 31)
    options = {"alpha": 0.01, "l1_ratio": 0.5, "clip_norm": 1.0, "max_norm": 2.0, "average_from": 5}
    for number, extra in enumerate(({}, options)):
        folder = tmp_path / str(number)
        folder.mkdir()
        check_all_places(
            lambda extra=extra: gd.Trainer(model_of(name, "float32"), optimizer=gd.SGD(0.03), shuffle=True, **extra),
            (X, y),
            folder,
            every=4,
            sample_weight=weights,
        )


@pytest.mark.slow
def test_dropout_standardized_validation_and_metrics(tmp_path):
    X, y, _ = rows_for(small(), 60)
    layers = [gd.Standardize(3), gd.Linear(3, 4), gd.ReLU(), gd.Dropout(0.5), gd.Linear(4, 1)]

    def make():
        model = gd.Model(layers, dtype="float32", seed=1)
        options = {"batch_size": 4, "shuffle": True, "standardize_targets": True, "metrics": ["r2"]}
        return gd.Trainer(model, optimizer="auto", **options)

    check_all_places(make, (9 * X + 3, 100 * y), tmp_path, 3, epochs=3, callbacks=callbacks, validation=0.2)
