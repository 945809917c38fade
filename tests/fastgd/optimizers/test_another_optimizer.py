"""Another optimiser assigned to a trainer."""

import numpy as np
import pytest
from cases import model_of, rows_for
from optimizer_cases import EACH, SCHEDULE, reloaded

import fastgd as gd


def with_another_optimizer(first, second):
    """A trainer whose optimiser was changed after some epochs, and a new one that starts where it stands."""
    trainer = gd.Trainer(model_of("hidden layer"), optimizer=EACH[first](0.01))
    X, y, _ = rows_for(trainer.model, 12)
    trainer.fit(X, y, epochs=3)
    twin = model_of("hidden layer")
    twin.parameters = trainer.model.parameters
    trainer.optimizer = EACH[second](SCHEDULE)
    return trainer, gd.Trainer(twin, optimizer=EACH[second](SCHEDULE)), (X, y)


CHANGES = [(first, second) for first in ("SGD momentum", "Adam") for second in EACH]


@pytest.mark.parametrize(("first", "second"), CHANGES)
def test_another_optimizer_starts_afresh(first, second):
    trainer, other, rows = with_another_optimizer(first, second)
    for one in (trainer, other):
        one.fit(*rows, epochs=2)
    np.testing.assert_array_equal(trainer.model.parameters, other.model.parameters)
    assert trainer.learning_rate == other.learning_rate


@pytest.mark.parametrize(("first", "second"), CHANGES)
def test_another_optimizer_starts_afresh_from_a_file(first, second, tmp_path):
    """Saved before it was used, it must not take over the state of the one before."""
    trainer, other, rows = with_another_optimizer(first, second)
    trainer = reloaded(trainer, tmp_path / "run")
    for one in (trainer, other):
        one.fit(*rows, epochs=2)
    np.testing.assert_array_equal(trainer.model.parameters, other.model.parameters)


def test_another_optimizer_may_be_automatic():
    model = model_of("hidden layer")
    X, y, _ = rows_for(model, 12)
    trainer = gd.Trainer(model, optimizer=gd.SGD(0.01))
    trainer.fit(X, y)
    trainer.optimizer = gd.SGD("auto")
    assert trainer.learning_rate is None
    trainer.fit(X, y)
    assert trainer.learning_rate > 0


def fit_with(trainer, optimizer, X, y):
    trainer.optimizer = optimizer
    trainer.fit(X, y)


def test_another_optimizer_is_checked():
    X, y, _ = rows_for(model_of("ReLU first"), 12)
    trainer = gd.Trainer(model_of("ReLU first"))
    trainer.fit(X, y)
    for optimizer, error, message in (
        (gd.NormalizedSGD(), ValueError, "expected Linear as the first layer"),
        ("Adam", TypeError, "optimizer is 'Adam'; expected 'auto' or an instance"),
    ):
        with pytest.raises(error, match=message):
            fit_with(trainer, optimizer, X, y)
