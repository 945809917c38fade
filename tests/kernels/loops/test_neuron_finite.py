"""What is not finite in one neuron's training: rows, steps, and products of rows that no step needs."""

import re

import numpy as np
import pytest

import fastgd as gd

# (features, batch size) that lead to each loop in float32
LOOPS = {"by fours": (5, 1), "row by row": (200, 1), "in batches": (5, 4), "in small batches": (5, 3), "wide": (70, 3)}
# A loop of its own compiles for seconds.
LOOPS_QUICK = [pytest.param(loop, marks=pytest.mark.slow if loop == "wide" else ()) for loop in LOOPS]


def rows_of(n_samples, n_features, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n_samples, n_features)).astype(np.float32)
    return {"X": X, "y": rng.standard_normal((n_samples, 1)).astype(np.float32), "sample_weight": np.ones(n_samples)}


def neuron(n_features, *relu, dtype="float32", **options):
    return gd.Model([gd.Linear(n_features, 1, **options), gd.ReLU(*relu)], dtype=dtype)


# Whether the bad row, and the rows beside it, count; and where its ReLU is flat.
CIRCUMSTANCES = {
    "": {},
    "of weight zero": {"weight": 0},
    "among weights of zero": {"weights": 0},
    "where the ReLU is flat": {"bias": [-1e4]},
}


@pytest.mark.parametrize("circumstance", CIRCUMSTANCES)
@pytest.mark.parametrize("place", ["X", "y", "sample_weight"])
@pytest.mark.parametrize("loop", LOOPS_QUICK)
def test_bad_row_is_named_wherever_it_stands(loop, place, circumstance):
    """In any place of a four, after the last four, and of a batch; the rows before have had their steps."""
    n_features, batch_size = LOOPS[loop]
    settings = CIRCUMSTANCES[circumstance]
    for n_samples, bad_row in [(9, row) for row in range(9)] + [(n, n - 1) for n in range(1, 9)]:
        value = (np.nan, np.inf, -np.inf)[(n_samples + bad_row) % 3]
        data = rows_of(n_samples, n_features)
        if "weights" in settings:
            data["sample_weight"][:] = 0
        if "weight" in settings:
            data["sample_weight"][bad_row] = 0
        spoilt = {name: array.copy() for name, array in data.items()}
        spoilt[place].reshape(n_samples, -1)[bad_row, -1] = value
        model, twin = (neuron(n_features, bias=settings.get("bias", True)) for _ in range(2))
        trainer = gd.Trainer(model, optimizer=gd.SGD(0.01), batch_size=batch_size)
        # The column is named where there are several.
        column = f", column {n_features - 1}" if place == "X" else ""
        with pytest.raises(
            ValueError, match=re.escape(f"{place} holds {value} (as float32) in row {bad_row}{column};")
        ):
            trainer.fit(**spoilt)
        n_good = bad_row // batch_size * batch_size
        if n_good:
            other = gd.Trainer(twin, optimizer=gd.SGD(0.01), batch_size=batch_size)
            other.fit(**{name: array[:n_good] for name, array in data.items()})
            assert trainer.n_updates == other.n_updates
        np.testing.assert_allclose(model.parameters, twin.parameters, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("place", ["X", "y", "sample_weight"])
@pytest.mark.parametrize("loop", LOOPS_QUICK)
def test_bad_row_of_a_shuffled_epoch_is_named(loop, place):
    n_features, batch_size = LOOPS[loop]
    for bad_row in range(9):
        data = rows_of(9, n_features)
        data[place].reshape(9, -1)[bad_row, 0] = np.nan
        model = neuron(n_features)
        with pytest.raises(ValueError, match=f"{place} holds nan .* in row {bad_row}[,;]"):
            gd.Trainer(model, batch_size=batch_size, shuffle=True, seed=bad_row).fit(**data)
        assert np.isfinite(model.parameters).all()


@pytest.mark.parametrize("loop", LOOPS_QUICK)
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6, 1e12])
def test_divergence_names_the_step(loop, scale):
    """Each update multiplies the weights by -10^6 until float32 cannot hold them, in each place of a block of four."""
    n_features, batch_size = LOOPS[loop]
    signs = np.tile([1, -1], 5).repeat(batch_size)[:, None]
    X = (signs * np.full(n_features, 1 / np.sqrt(n_features))).astype(np.float32)
    model = neuron(n_features, bias=False, init=np.eye(1, n_features) * scale)
    path = [model.parameters.astype(np.float64)]
    while np.abs(path[-1]).max() < 3e38:
        x = X[0].astype(np.float64)
        path.append(path[-1] - 1e6 * (path[-1] @ x) * x)
    trainer = gd.Trainer(model, optimizer=gd.SGD(1e6), batch_size=batch_size)
    with pytest.raises(gd.DivergenceError, match=rf"epoch 1, step {len(path) - 1}, with learning rate 1e\+06"):
        trainer.fit(X, np.zeros(len(X)))
    np.testing.assert_allclose(model.parameters, path[-2], rtol=1e-3)
    assert trainer.n_updates == len(path) - 2


@pytest.mark.parametrize("loop", LOOPS_QUICK)
def test_overflow_on_the_flat_side_of_the_relu_is_divergence(loop):
    """An output of minus infinity moves nothing, and must be noticed all the same."""
    n_features, batch_size = LOOPS[loop]
    for bad_row in range(9):
        data = rows_of(9, n_features)
        data["X"] = np.abs(data["X"])
        # Its products with itself and its neighbours are finite.
        data["X"][bad_row] *= np.float32(1e16)
        model = neuron(n_features, init=np.full((1, n_features), -1e25))
        before = model.parameters.copy()
        with pytest.raises(gd.DivergenceError, match=f"step {bad_row // batch_size + 1},"):
            gd.Trainer(model, optimizer=gd.SGD(0.01), batch_size=batch_size).fit(**data)
        np.testing.assert_array_equal(model.parameters, before)


def huge(n_samples, first=0):
    """Rows whose products with one another float32 cannot hold, from the first on, and unit rows before it."""
    data = rows_of(n_samples, 5)
    data["X"][first:] *= np.float32(1e20)
    return data


HARMLESS = {
    "rate of zero": (gd.SGD(0.0), 1),
    "schedule that ends at zero": (gd.SGD(gd.schedules.Step(0.125, 6, 0.0)), 1),
    "rows of weight zero": (gd.SGD(0.125), 0),
    "tiny rate": (gd.SGD(1e-42), 1),
}


@pytest.mark.parametrize("n_samples", [8, 11])
@pytest.mark.parametrize("case", HARMLESS)
def test_products_that_overflow_do_no_harm(case, n_samples):
    """Where the look-ahead has no finite numbers, the rows are taken one by one."""
    optimizer, weight = HARMLESS[case]
    first = 0 if case in ("rate of zero", "tiny rate") else 6
    data = huge(n_samples, first)
    data["sample_weight"][first:] = weight
    # Of a tolerance that lets every gradient pass.
    models = [neuron(5, 1e30, init=np.full((1, 5), 1e-20)) for _ in range(2)]
    history = gd.Trainer(models[0], optimizer=optimizer).fit(**data)
    trainer = gd.Trainer(models[1], optimizer=optimizer)
    rows = [{name: array[row : row + 1] for name, array in data.items()} for row in range(n_samples)]
    losses = [trainer.step(**row) for row in rows]
    np.testing.assert_allclose(models[0].parameters, models[1].parameters, rtol=1e-5)
    np.testing.assert_allclose(history.loss[0], np.mean(losses), rtol=1e-6)
    moved = models[0].parameters != np.float32(1e-20)
    assert moved[:5].any() == (case != "rate of zero")


@pytest.mark.parametrize("loop", LOOPS_QUICK)
def test_a_loss_that_overflows_at_weight_zero_does_no_harm(loop):
    """Zero times infinity is NaN."""
    n_features, batch_size = LOOPS[loop]
    data = rows_of(11, n_features)
    data["X"] = np.abs(data["X"]).astype(np.float64)
    data["sample_weight"][[2, 9]] = 0
    models = [neuron(n_features, dtype="float64", init=np.ones((1, n_features))) for _ in range(2)]
    losses = []
    for model, scale in zip(models, (1, 1e200), strict=True):
        data["X"][[2, 9]] *= scale
        losses += gd.Trainer(model, optimizer=gd.SGD(1e-3), batch_size=batch_size).fit(**data).loss
    np.testing.assert_allclose(models[1].parameters, models[0].parameters, rtol=1e-12)
    assert losses[1] == pytest.approx(losses[0], rel=1e-12)


def test_a_step_that_overflows_is_named_after_steps_that_do_not():
    """Rows one by one, up to the first that no float32 takes."""
    data = huge(11)
    data["sample_weight"][:7] = 0
    model = neuron(5, 1e30, init=np.full((1, 5), 1e-20))
    before = model.parameters.copy()
    with pytest.raises(gd.DivergenceError, match=r"step 9, .*features \(the largest of this step is"):
        gd.Trainer(model, optimizer=gd.SGD(1.0)).fit(**data)
    assert np.isfinite(model.parameters).all()
    assert (model.parameters != before).any()
