"""However a run is cut, saved and resumed, each optimiser gives the same bits."""

import pytest
from cases import model_of, rows_for
from optimizer_cases import DROPPING, EACH, SCHEDULE, assert_same_run, reloaded

import fastgd as gd
from fastgd._engine import slices as engine
from fastgd.data import reader as dataset

AROUND = {
    "alone": {},
    "regularised": {"alpha": 0.01, "l1_ratio": 0.3, "clip_norm": 1.0, "clip_value": 0.5, "average_from": 4},
}

RATES = {"constant": 0.02, "schedule": SCHEDULE, "auto": "auto"}
RUNS = [(name, rate) for name in EACH for rate in RATES]


@pytest.mark.parametrize(("name", "rate"), RUNS)
@pytest.mark.parametrize("around", AROUND)
def test_goes_on_with_the_same_bits(name, rate, around, tmp_path):
    def start():
        model = gd.Model(DROPPING if around == "regularised" else model_of("hidden layer").layers, seed=2)
        return gd.Trainer(
            model, optimizer=EACH[name](RATES[rate]), batch_size=4, shuffle=True, seed=3, **AROUND[around]
        )

    X, y, sample_weight = rows_for(model_of("hidden layer", "float32"), 18)
    whole, trainer = start(), start()
    whole.fit(X, y, epochs=5, sample_weight=sample_weight)
    for _ in range(5):
        trainer = reloaded(trainer, tmp_path / "run")
        trainer.fit(X, y, sample_weight=sample_weight)
    assert_same_run(reloaded(trainer, tmp_path / "run"), whole)
    for row in range(0, 18, 3):
        rows = slice(row, row + 3)
        assert trainer.step(X[rows], y[rows]) == whole.step(X[rows], y[rows])
        trainer = reloaded(trainer, tmp_path / "run")
    assert_same_run(trainer, whole)


def test_standardized_runs_go_on_with_the_same_bits(tmp_path):
    X, y, _ = rows_for(model_of("hidden layer", "float32"), 18)
    X = 100 * X + 1000
    layers = [gd.Standardize(5), *DROPPING]
    whole, trainer = (gd.Trainer(gd.Model(layers), optimizer=gd.Adam("auto"), batch_size=4) for _ in range(2))
    whole.fit(X, y, epochs=3)
    for _ in range(3):
        trainer = reloaded(trainer, tmp_path / "run")
        trainer.fit(X, y)
    assert_same_run(trainer, whole)


def train(name, batch_size, dtype, source=None):
    model = model_of("hidden layer", dtype)
    X, y, sample_weight = rows_for(model, 300)
    X = X if source is None else X.astype(source)
    trainer = gd.Trainer(model, optimizer=EACH[name](SCHEDULE), batch_size=batch_size, shuffle=True, seed=5)
    trainer.fit(X, y, epochs=2, sample_weight=sample_weight)
    return model.parameters.tobytes(), trainer.history.loss


@pytest.mark.parametrize("name", EACH)
@pytest.mark.parametrize("batch_size", [1, 7, None])
def test_slices_change_nothing(name, batch_size, dtype, monkeypatch):
    """Python in control after every step, or never."""
    monkeypatch.setattr(engine, "_SLICE_SECONDS", 1e9)
    whole = train(name, batch_size, dtype)
    monkeypatch.setattr(engine, "_SLICE_SECONDS", 0)
    assert train(name, batch_size, dtype) == whole


@pytest.mark.parametrize("name", EACH)
@pytest.mark.parametrize("batch_size", [1, 7, None])
@pytest.mark.parametrize("n_bytes", [1, 500])
def test_block_size_changes_nothing(name, batch_size, dtype, n_bytes, monkeypatch):
    source = "float64" if dtype == "float32" else "float32"
    whole = train(name, batch_size, dtype, source)
    monkeypatch.setattr(dataset, "_BLOCK_BYTES", n_bytes)
    assert train(name, batch_size, dtype, source) == whole


@pytest.mark.parametrize("name", EACH)
def test_batches_of_several_micro_batches_may_be_cut_anywhere(name, monkeypatch):
    def run():
        model = model_of("hidden layer", "float32")
        X, y, _ = rows_for(model, 2 * model.micro_batch_rows + 500)
        gd.Trainer(model, optimizer=EACH[name](SCHEDULE), batch_size=model.micro_batch_rows + 300).fit(X, y, epochs=3)
        return model.parameters.tobytes()

    whole = run()
    monkeypatch.setattr(engine, "_SLICE_SECONDS", 0)
    assert run() == whole
