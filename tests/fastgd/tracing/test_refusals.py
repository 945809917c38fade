"""What cannot be traced, and what is said of it before anything has changed."""

import numpy as np
import pytest
from scipy import sparse

import fastgd as gd

X, Y = [[1.0, 2.0], [3.0, 4.0]], [1.0, 2.0]


def model():
    return gd.Model([gd.Linear(2, 1)], seed=1)


REFUSED = [
    ({"X": [[1.0]], "y": [1.0]}, r"X has shape \(1, 1\); expected \(n_samples, 2\)"),
    ({"y": [1.0]}, "y has 1 rows and X has 2"),
    ({"y": [1.0, np.nan]}, "y holds nan .* in row 1"),
    ({"X": [[1.0, 2.0], [np.inf, 1.0]], "batch_size": 2}, "X holds inf .* in row 1, column 0"),
    ({"sample_weight": [1.0, -1.0], "batch_size": 2}, "sample_weight holds -1.0 in row 1"),
    ({"X": gd.data.ArrayDataset(X, Y), "y": None}, r"X is a ArrayDataset; expected arrays for a trace"),
    ({"loss": "mse"}, "loss is 'mse'"),
    ({"learning_rate": -1.0}, "learning_rate is -1.0"),
    ({"batch_size": 0}, "batch_size is 0; expected at least 1"),
    ({"seed": -1}, "seed is -1"),
    ({"learning_rate": 0.1, "optimizer": gd.Adam()}, r"learning_rate is 0.1 and optimizer is Adam\(.*expected either"),
    ({"y": None, "learning_rate": 0.1}, "y is None, so that there is no update; expected targets, or X alone"),
    ({"y": None, "sample_weight": [1.0, 1.0]}, "y is None"),
    ({"X": sparse.csr_array(X)}, r"X is sparse; expected dense rows for a trace, as X\[:3\]"),
    (
        {"X": np.ones((2000, 2)), "y": np.ones(2000), "batch_size": None},
        "batches of 2000 rows; expected .* at most 1024",
    ),
    ({"loss": "cross_entropy"}, "y holds 1.0 in row 0; cross_entropy expects a class"),
]


@pytest.mark.parametrize(("arguments", "said"), REFUSED)
def test_refused(arguments, said):
    with pytest.raises((ValueError, TypeError), match=said):
        gd.trace(model(), **({"X": X, "y": Y} | arguments))


def test_no_model():
    with pytest.raises(TypeError, match="model is 3; expected a Model"):
        gd.trace(3, X)


def test_a_trace_that_nobody_could_read():
    wide = gd.Model([gd.Linear(1000, 1)])
    with pytest.raises(
        ValueError, match=r"a trace of 200000 updates of 1001 parameters would take 5.6 GB; expected fewer"
    ):
        gd.trace(wide, np.broadcast_to(np.ones((1, 1000), np.float32), (200_000, 1000)), np.ones(200_000))


@pytest.mark.parametrize("layers", [[gd.Standardize(2), gd.Linear(2, 1)], [gd.Linear(2, 1), gd.StandardizedTargets(1)]])
def test_layers_that_have_not_learnt(layers):
    trainer = gd.Trainer(gd.Model(layers))
    with pytest.raises(ValueError, match=r"layer has no mean and scale yet.* expected model.layers\[-?\d\].fit\("):
        trainer.trace(X, Y)


def test_replicas():
    with pytest.raises(
        ValueError, match="a trace of 2 replicas, whose step is the mean of theirs; expected replicas=1"
    ):
        gd.Trainer(model(), replicas=2).trace(X, Y)


def test_one_call_at_a_time():
    trainer = gd.Trainer(model())

    def callback(trainer, record):
        trainer.trace(X, Y)

    with pytest.raises(RuntimeError, match="trace was called while fit trains"):
        trainer.fit(X, Y, callbacks=[callback])


def test_divergence_keeps_the_steps_before(tmp_path):
    trainer = gd.Trainer(model(), optimizer=gd.SGD(1e30))
    with pytest.raises(gd.DivergenceError, match="with learning rate 1e"):
        trainer.trace(np.ones((9, 2)), np.ones(9))
    assert np.isfinite(trainer.model.parameters).all()
