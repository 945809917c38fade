"""What optimisers keep: its names, its memory, its growth, and that a divergence leaves it finite."""

import math

import numpy as np
import pytest
from cases import model_of, rows_for
from optimizer_cases import EACH, OPTIMIZERS

import fastgd as gd
from fastgd.kernels.codegen.alignment import aligned_zeros


def test_state_is_a_view_for_reading_of_the_optimizer_that_is_assigned():
    model = model_of("hidden layer")
    X, y, _ = rows_for(model, 12)
    trainer = gd.Trainer(model, optimizer=gd.Adagrad(initial_accumulator_value=2))
    np.testing.assert_array_equal(trainer.optimizer_state["G"], np.full(model.parameters.size, 2.0))
    trainer.fit(X, y)
    total = trainer.optimizer_state["G"]
    before = total.copy()
    trainer.fit(X, y)
    assert total.dtype == model.dtype
    assert (total > before).any()
    with pytest.raises(ValueError, match="read-only"):
        total[0] = 1
    trainer.optimizer = gd.Adam()
    assert list(trainer.optimizer_state) == ["m", "v"]
    assert not trainer.optimizer_state["v"].any()
    trainer.optimizer = gd.SGD()
    assert trainer.optimizer_state == {}


@pytest.mark.parametrize("optimizer", [gd.SGD(), *OPTIMIZERS.values()], ids=repr)
def test_every_vector_of_state_has_a_name(optimizer):
    trainer = gd.Trainer(model_of("neuron"), optimizer=optimizer)
    # What the first one has lost in rounding; the weights that NormalizedSGD began with, and its 1 / s.
    n_hidden = {gd.Adagrad: 1, gd.NormalizedSGD: 3}.get(type(optimizer), 0)
    assert len(trainer.optimizer_state) == optimizer.n_states - n_hidden


def test_a_sum_of_squares_goes_on_growing():
    """A float32 alone stays at 2^24 where ones are added."""
    model = gd.Model([gd.Linear(1, 1, bias=False, init="zeros")], dtype="float32")
    trainer = gd.Trainer(model, optimizer=gd.Adagrad(1e-30, initial_accumulator_value=2.0**24))
    n_rows = 1 << 12
    trainer.fit(np.ones((n_rows, 1), np.float32), np.ones(n_rows))
    assert trainer.optimizer_state["G"][0] == 2.0**24 + n_rows


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=repr)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_vectors_begin_with_a_line_of_the_cache_and_end_with_the_parameters(optimizer, dtype, monkeypatch):
    def zeros_before_ones(size, dtype):
        array = aligned_zeros(size + 128, dtype)
        array[size:] = 1
        return array[:size]

    # What is read beyond a vector's end leaves its trace in the state.
    monkeypatch.setattr("fastgd._engine.slices.aligned_zeros", zeros_before_ones)
    model = model_of("hidden layer", dtype)
    X, y, _ = rows_for(model, 12)
    trainer = gd.Trainer(model, optimizer=optimizer, alpha=1e-3, l1_ratio=0.5, average_from=1)
    trainer.step(X[:1], y[:1])
    vectors = trainer._run.engine._vectors
    beyond = vectors.state[:, model.parameters.size :]
    before = beyond.copy()
    trainer.fit(X, y, epochs=3)
    np.testing.assert_array_equal(beyond, before)
    flat = vectors.parameters, vectors.gradient, vectors.average, vectors.orthant, *vectors.state
    assert [vector.ctypes.data % 64 for vector in flat] == [0] * len(flat)
    assert all(len(state) == model.parameters.size for state in trainer.optimizer_state.values())


def test_a_divergence_leaves_the_last_finite_state():
    """The state, too, goes back: training goes on as if the bad step had never been tried."""
    for name in EACH:
        model, twin = model_of("hidden layer"), model_of("hidden layer")
        X, y, _ = rows_for(model, 12)
        trainer, other = gd.Trainer(model, optimizer=EACH[name](0.01)), gd.Trainer(twin, optimizer=EACH[name](0.01))
        trainer.fit(X, y)
        other.fit(X, y)
        with pytest.raises(ValueError, match="holds nan"):
            trainer.step([[1, 2, 3, 4, math.nan]], y[:1])
        with pytest.raises(ValueError, match="holds inf"):
            trainer.step(X[:1], [[0, math.inf]])
        trainer.step(X[:3], y[:3])
        other.step(X[:3], y[:3])
        np.testing.assert_array_equal(model.parameters, twin.parameters)


@pytest.mark.parametrize(("dtype", "logit"), [("float32", -60), ("float64", -400)])
@pytest.mark.parametrize("name", EACH)
def test_gradients_whose_squares_are_zero_do_no_harm(name, dtype, logit):
    """A logit so sure of itself that the square of its derivative, exp(logit), is less than any number."""
    model = gd.Model([gd.Linear(1, 1, bias=[logit], init="zeros")], dtype=dtype)
    gd.Trainer(model, loss="log_loss", optimizer=EACH[name](0.01)).step(np.ones((1, 1), dtype), [0])
    # A step of Adam's or Adagrad's is at most the rate, and AdamW's decay a ten-thousandth.
    np.testing.assert_allclose(model.parameters, [0, logit], rtol=2e-4, atol=0.04)
