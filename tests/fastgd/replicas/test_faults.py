"""Rounds that fail, and replicas that cannot be."""

import numpy as np
import pytest

import fastgd as gd
from fastgd.data.base import Stream


def trainer_of(replicas=3, rate=0.02, **options):
    model = gd.Model([gd.Linear(5, 7), gd.ReLU(), gd.Linear(7, 1)], seed=3)
    return gd.Trainer(
        model, optimizer=gd.SGD(rate, momentum=0.9), batch_size=4, replicas=replicas, round_rows=8, **options
    )


def rows(n, rng):
    X = rng.standard_normal((n, 5)).astype(np.float32)
    return X, X[:, :1].copy()


def test_a_bad_row_is_named_and_its_round_undone(rng):
    X, y = rows(90, rng)
    X[75, 2] = np.nan
    trainer = trainer_of()
    with pytest.raises(ValueError, match="in row 75") as raised:
        trainer.fit(X, y)
    assert "in replica 3 of 3" in raised.value.__notes__
    # Row 75 is the 16th of the last share: one round was made, of 8 rows of each.
    expected = trainer_of()
    expected.fit(
        np.concatenate([X[k : k + 8] for k in (0, 30, 60)]), np.concatenate([y[k : k + 8] for k in (0, 30, 60)])
    )
    again = np.concatenate([X[k + 8 : k + 16] for k in (0, 30, 60)])
    targets = np.concatenate([y[k + 8 : k + 16] for k in (0, 30, 60)])
    if np.isfinite(again).all():
        expected.fit(again, targets)
    np.testing.assert_array_equal(trainer.model.parameters, expected.model.parameters)
    # It goes on as if the row had never been there.
    X[75, 2] = 0
    trainer.fit(X, y)
    expected.fit(X, y)
    np.testing.assert_array_equal(trainer.model.parameters, expected.model.parameters)


def test_divergence_names_the_replica(rng):
    X, y = rows(60, rng)
    trainer = trainer_of(rate=1e20)
    before = trainer.model.parameters.copy()
    with pytest.raises(gd.DivergenceError, match="diverged at epoch 1") as raised:
        trainer.fit(X, y)
    assert "in replica 1 of 3" in raised.value.__notes__
    np.testing.assert_array_equal(trainer.model.parameters, before)


class Interrupting(gd.Dataset):
    """Rows of one, of which some reading is interrupted."""

    n_samples, n_features, n_outputs, dtype = 90, 5, 1, np.dtype("float32")

    def __init__(self):
        self.n_reads = 0

    def read(self, rows, out):
        self.n_reads += 1
        if self.n_reads == 5:
            raise KeyboardInterrupt
        out.X[...], out.y[...] = 1, 1


def test_an_interrupted_round_is_undone():
    data, trainer, twin = Interrupting(), trainer_of(n_threads=1), trainer_of()
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(data)
    twin.fit(np.ones((24, 5), np.float32), np.ones((24, 1), np.float32))
    np.testing.assert_array_equal(trainer.model.parameters, twin.model.parameters)
    data.n_reads = 10
    trainer.fit(data)
    assert np.isfinite(trainer.model.parameters).all()


class Squares(Stream):
    n_features = n_outputs = 1
    dtype = np.dtype("float32")

    def open(self, cursor=0):
        yield from ()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"replicas": 0}, "replicas"),
        ({"replicas": 2, "average_from": 3}, "average_from is 3 with 2 replicas"),
        ({"round_rows": 3}, "expected replicas=2 or more"),
        ({"outer": gd.replicas.Nesterov()}, "expected replicas=2 or more"),
        ({"replicas": 2, "round_rows": 0}, "round_rows"),
        ({"replicas": 2, "optimizer": gd.NormalizedSGD()}, "scales of features of its own"),
    ],
)
def test_bad_settings(options, message):
    with pytest.raises(ValueError, match=message):
        gd.Trainer(gd.Model([gd.Linear(1, 1)]), **options)


def test_outer_is_a_type():
    for outer in (0.7, "mean"):
        with pytest.raises(TypeError, match=rf"outer is {outer!r}"):
            gd.Trainer(gd.Model([gd.Linear(1, 1)]), replicas=2, outer=outer)


def test_streams_are_refused():
    trainer = gd.Trainer(gd.Model([gd.Linear(1, 1)]), replicas=2)
    with pytest.raises(ValueError, match="a stream's come in one order"):
        trainer.fit(Squares())


def test_settings_are_fixed():
    trainer = trainer_of()
    for name in ("replicas", "round_rows", "outer"):
        with pytest.raises(AttributeError, match=f"{name} is fixed"):
            setattr(trainer, name, None)
