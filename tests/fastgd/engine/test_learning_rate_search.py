"""learning_rate="auto": the rate that the learning-rate search chooses, and what it leaves alone."""

import math

import numpy as np
import pytest

import fastgd as gd
from fastgd._engine.learning_rate_search import (
    _best,
    _BudgetSpent,
    chosen_rate,
    most_rows_of_trials,
    one_epoch,
)
from fastgd._engine.slices import Engine
from fastgd.data import ArrayDataset
from fastgd.data.subset import rows_that_count

LAYERS = [gd.Standardize(5), gd.Linear(5, 7), gd.ReLU(), gd.Linear(7, 1)]
NEURON = [gd.Standardize(5), gd.Linear(5, 1), gd.ReLU()]


def rows(n_samples=1001):
    return gd.data.synthetic(n_samples, 5, hidden=(4,), seed=1, dtype="float64").arrays()


def auto(optimizer=gd.SGD, batch_size=4, layers=LAYERS, **options):
    return gd.Trainer(gd.Model(layers, seed=2), optimizer=optimizer("auto"), batch_size=batch_size, **options)


@pytest.mark.parametrize("edge", [None, 1, 2, 3])
@pytest.mark.parametrize("least", range(-30, 31))
def test_the_walk_finds_the_least(least, edge):
    """Results that rise on both sides, and that are infinite from some steps above the least."""
    seen = []

    def result(k):
        seen.append(k)
        return math.inf if edge is not None and k >= least + edge else abs(k - least - 0.1)

    # With its next neighbour above it is the best pair, unless that one is infinite.
    assert _best(result) == least - (edge == 1)
    assert len(seen) == len(set(seen)) <= 8 + abs(least) / 4


@pytest.mark.parametrize(("below", "above", "expected"), [(2, 3, -1), (3, 2, 0), (2, 2, -1)])
def test_the_better_neighbour_decides(below, above, expected):
    assert _best(lambda k: {-1: below, 0: 1, 1: above}.get(k, 9)) == expected


def test_the_walk_ends():
    assert abs(_best(lambda k: math.inf)) <= 41
    assert _best(lambda k: 1.0) == -1


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [1, 4])
@pytest.mark.parametrize("layers", [pytest.param(LAYERS, id="hidden layer"), pytest.param(NEURON, id="neuron")])
def test_the_search_leaves_nothing_behind(layers, batch_size):
    """Training is that of the schedule that the rate belongs to."""
    X, y = rows()
    trainer = auto(layers=layers, batch_size=batch_size)
    assert trainer.learning_rate is None
    trainer.fit(X, y, epochs=3)
    period = -(-1001 // batch_size)
    assert trainer.n_updates == 3 * period
    schedule = gd.schedules.LinearWarmup(gd.schedules.Cooldown(trainer.learning_rate, period), period // 4)
    twin = gd.Trainer(gd.Model(layers, seed=2), optimizer=gd.SGD(schedule), batch_size=batch_size)
    twin.fit(X, y, epochs=3)
    np.testing.assert_array_equal(trainer.model.parameters, twin.model.parameters)
    assert trainer.history.loss == twin.history.loss


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", [gd.SGD, gd.Adam])
def test_one_epoch_at_a_time_with_files_between(optimizer, tmp_path):
    X, y = rows()
    whole, trainer = auto(optimizer), auto(optimizer)
    whole.fit(X, y, epochs=3)
    for _ in range(3):
        trainer.fit(X, y)
        trainer.save(tmp_path / "run")
        trainer = gd.Trainer.load(tmp_path / "run")
        assert trainer.learning_rate == pytest.approx(whole.learning_rate, rel=1e-15)
    np.testing.assert_array_equal(trainer.model.parameters, whole.model.parameters)


@pytest.mark.slow
def test_the_rate_follows_the_optimizer_and_the_loss():
    """What momentum adds up, and a loss's curvature, lower it in proportion; the second moments of X know neither."""
    X, y = rows(4000)
    rates = []
    for optimizer, scale in ((gd.SGD, 1), (lambda rate: gd.SGD(rate, momentum=0.95), 1), (gd.SGD, 0.01)):
        trainer = auto(optimizer, loss="squared_epsilon_insensitive" if scale == 1 else gd.losses.huber(10.0))
        trainer.fit(X, y)
        rates.append(trainer.learning_rate)
    plain, with_momentum, of_half_the_curvature = rates
    assert with_momentum < plain / 4
    assert of_half_the_curvature > 1.4 * plain


class Counted(ArrayDataset):
    n_read = 0

    def read(self, rows, out):
        self.n_read += len(out.X)
        super().read(rows, out)


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [None, 400, 100])
def test_short_epochs_are_tried_again_and_again(batch_size):
    """One to ten updates an epoch; a candidate rate reads 128 updates' worth of rows and the rows of its result.

    Besides, the longest rows are found in a pass, and what is judged by is read once an epoch and twice before.
    """
    data = Counted(*rows(1001))
    auto(batch_size=batch_size, layers=LAYERS[1:]).fit(data)
    n_rows = 128 * min(batch_size or 1001, 512)
    assert 5 * n_rows < data.n_read < 24 * 1.5 * n_rows + 4 * 1001


def test_large_batches_are_tried_in_small():
    data = Counted(*rows(40_000))
    auto(batch_size=None, layers=LAYERS[1:]).fit(data)
    assert data.n_read < 24 * 130 * 512 + 4 * 40_000


@pytest.mark.parametrize("n_updates", [1, 2, 3, 4])
def test_few_updates_of_an_epoch_are_neither_warm_up_nor_cool_down(n_updates):
    np.testing.assert_array_equal(one_epoch(0.5, n_updates)(np.arange(1.0, 9)), 0.5)


@pytest.mark.parametrize("loss", ["half_squared_error", pytest.param("log_loss", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "layers",
    [
        pytest.param(LAYERS, id="hidden layer"),
        pytest.param(NEURON, id="neuron", marks=pytest.mark.slow),
        pytest.param(LAYERS[:2], id="linear", marks=pytest.mark.slow),
    ],
)
def test_a_row_of_twice_the_weight_is_the_row_twice(layers, loss):
    """At full batch, with weights of mean 1."""
    X, y = rows(60)
    X, y = X * [1e-3, 1, 5, 1, 1e3], y > np.median(y)
    weight = np.random.default_rng(0).integers(0, 4, 60)
    layers = [*layers[:1], gd.Linear(5, 1 if len(layers) < 4 else 7), *layers[2:]]
    rates, parameters = [], []
    for rows_, weights in ((np.arange(60), weight * (60 / weight.sum())), (np.repeat(np.arange(60), weight), None)):
        trainer = gd.Trainer(gd.Model(layers, "float64"), loss, gd.SGD("auto"), batch_size=None)
        trainer.fit(X[rows_], y[rows_], epochs=20, sample_weight=weights)
        rates.append(trainer.learning_rate)
        parameters.append(trainer.model.parameters)
    assert rates[0] == pytest.approx(rates[1], rel=1e-9)
    np.testing.assert_allclose(*parameters, rtol=1e-6, atol=1e-9)


def test_rows_are_only_numbered_where_some_do_not_count():
    assert rows_that_count(gd.data.synthetic(10**15, 3)) is None
    X, y, weights = np.ones((5, 3)), np.ones(5), np.array([1, 2, 0, 1e-300, 0])
    assert rows_that_count(ArrayDataset(X, y, np.ones(5))) is None
    assert rows_that_count(ArrayDataset(X, y, weights)).tolist() == [0, 1, 3]


@pytest.mark.parametrize(
    "layers", [pytest.param(LAYERS, id="hidden layer"), pytest.param(NEURON, id="neuron", marks=pytest.mark.slow)]
)
def test_rows_of_weight_zero_are_absent_rows(layers):
    """One row at a time: neither the moments, nor the search, nor the period of the cool-downs know of them."""
    X, y = rows(300)
    weight = np.random.default_rng(0).integers(0, 2, 300)
    X[weight == 0] *= 1e3
    rates, parameters = [], []
    for rows_, weights in ((slice(None), weight), (weight > 0, None)):
        trainer = auto(layers=layers, batch_size=1)
        trainer.fit(X[rows_], y[rows_], epochs=2, sample_weight=weights)
        rates.append(trainer.learning_rate)
        parameters.append(trainer.model.parameters)
    assert rates[0] == pytest.approx(rates[1], rel=1e-6)
    np.testing.assert_allclose(*parameters, rtol=1e-3, atol=1e-4)


def test_another_optimizer_measures_anew(tmp_path):
    X, y = rows()
    trainer, fresh = auto(), auto(gd.Adam)
    trainer.fit(X, y)
    first = trainer.learning_rate
    fresh.model.parameters = trainer.model.parameters
    trainer.optimizer = gd.Adam("auto")
    assert trainer.learning_rate is None
    trainer.save(tmp_path / "run")
    for one in (trainer, gd.Trainer.load(tmp_path / "run")):
        one.fit(X, y)
        assert one.learning_rate < first
    fresh.model.standardize.mean, fresh.model.standardize.scale = trainer.model.standardize.mean_and_scale
    fresh.fit(X, y)
    assert trainer.learning_rate == fresh.learning_rate
    trainer.optimizer = trainer.optimizer
    assert trainer.learning_rate == fresh.learning_rate


@pytest.mark.parametrize(
    ("optimizer", "longest"),
    [(gd.Adam("auto"), 1), (gd.RMSprop("auto"), 1), (gd.RMSprop("auto", momentum=0.75), 4), (gd.Adagrad("auto"), None)],
    ids=["Adam", "RMSprop", "momentum", "Adagrad"],
)
def test_steps_of_hidden_layers_stay_short_where_few_rows_say_little_about_rates(optimizer, longest):
    """Trials alone find rates ten times as large."""
    rng = np.random.default_rng(0)
    X, rates = rng.standard_normal((120, 10)), []
    y = (X[:, 0] + rng.standard_normal(120) > 0).astype(float)
    for layers in ([gd.Linear(10, 32), gd.ReLU(), gd.Linear(32, 1)], [gd.Linear(10, 1)]):
        trainer = gd.Trainer(gd.Model(layers), "log_loss", optimizer, batch_size=32)
        trainer.fit(X, y, epochs=2)
        rates.append(trainer.learning_rate)
    assert (rates[0] <= 0.03 / (longest or 1)) == (longest is not None)
    assert rates[1] > 0.03


def test_progress_says_which_rate(capsys):
    X, y = rows()
    trainer = auto()
    trainer.fit(X, y, progress=True)
    assert f'learning rate "auto": {trainer.learning_rate:.4g}\n' in capsys.readouterr().err
    trainer.fit(X, y, progress=True)
    assert "auto" not in capsys.readouterr().err


@pytest.mark.parametrize("batch_size", [1, 8])
@pytest.mark.parametrize(("n_samples", "most_epochs"), [(4000, 10), (20_000, 3), (200_000, 0.35)])
def test_the_search_takes_a_part_of_an_epoch(n_samples, most_epochs, batch_size):
    """Beside the epoch, a pass for the longest rows, and those to judge by: before, after, and for the constant."""
    data = Counted(*rows(n_samples))
    auto(batch_size=batch_size, layers=LAYERS[1:]).fit(data, epochs=1)
    assert data.n_read < (2 + most_epochs) * n_samples + 5 * min(n_samples, 1 << 15)


def test_most_rows_of_a_search():
    assert [most_rows_of_trials(n, 5) for n in (10_000, 10_001)] == [math.inf, 10_001]
    assert most_rows_of_trials(20_000, 35) == 70_000


@pytest.mark.parametrize("layers", [LAYERS, NEURON[:2]], ids=["hidden layer", "linear"])
@pytest.mark.parametrize("batch_size", [pytest.param(1, marks=pytest.mark.slow), 32, 256, 1000, 8000, None])
@pytest.mark.parametrize("epochs", [1, 35])
def test_a_search_on_many_rows_has_a_budget(layers, batch_size, epochs, monkeypatch):
    """The rows of all rates together: no more than an epoch, or a tenth of the run, and not a small part of that."""
    n_rows, n_trained, engines = 20_000, [], []
    train = Engine.train_epoch

    def counted(self, reader, epoch, on_rows=None):
        n_trained.append(reader.dataset.n_samples)
        engines.append(self)
        return train(self, reader, epoch, on_rows)

    monkeypatch.setattr(Engine, "train_epoch", counted)
    trainer = auto(batch_size=batch_size, layers=layers)
    with trainer._calls.call("fit"):
        data = ArrayDataset(*rows(n_rows))
        trainer._run.prepare_epochs(data, batch_size or n_rows, epochs)
    assert sum(n_trained) <= max(1, 0.1 * epochs) * n_rows
    assert len(set(engines)) >= 2
    assert 0 < trainer.learning_rate < math.inf


@pytest.mark.parametrize("budget", range(12))
def test_the_best_so_far_where_the_budget_is_spent(budget):
    """Losses explode above k = 9: what is chosen is a neighbour's distance below, or known to be safe."""
    tried = []

    def result(k):
        if len(tried) == budget:
            raise _BudgetSpent
        tried.append(k)
        return math.inf if k > 9 else (k - 7.0) ** 2

    chosen = _best(result)
    assert chosen <= 8
    assert chosen == -1 if budget < 2 else chosen >= 3
    assert chosen in tried or chosen + 1 in tried or budget == 0


@pytest.mark.parametrize("row", [0, 3999])
@pytest.mark.parametrize(("value", "expected"), [(np.nan, "expected finite"), (-1, "poisson expects")])
def test_bad_rows_of_a_search_are_named(value, expected, row):
    """The first row and the last are always among those of the search."""
    X, y = rows(4000)
    y = np.abs(y)
    y[row] = value
    trainer = auto(loss="poisson")
    before = trainer.model.parameters.copy()
    with pytest.raises(ValueError, match=f"y holds {value}.* in row {row}; {expected}"):
        trainer.fit(X, y)
    np.testing.assert_array_equal(trainer.model.parameters, before)
    assert trainer.learning_rate is None


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))])
@pytest.mark.parametrize("layers", [LAYERS, NEURON[:2]], ids=["hidden layer", "linear"])
@pytest.mark.parametrize(
    ("n_samples", "batch_size"), [(300, 32), pytest.param(3000, 1, marks=pytest.mark.slow), (3000, 32), (3000, None)]
)
@pytest.mark.parametrize("kind", [gd.SGD, *(pytest.param(k, marks=pytest.mark.slow) for k in (gd.Adam, gd.Adagrad))])
def test_rates_do_not_depend_on_the_dtype(kind, n_samples, batch_size, layers, seed):
    """A factor of 2 is a step of the search, and what neighbouring rates differ by is often within rounding."""
    data = gd.data.synthetic(n_samples, 5, hidden=(4,), noise=0.3, seed=seed, dtype="float64")
    optimizer = gd.Adagrad("auto", bounded=False) if kind is gd.Adagrad else kind("auto")
    rates = []
    for dtype in ("float32", "float64"):
        model = gd.Model(layers, dtype, seed=seed)
        trainer = gd.Trainer(model, optimizer=optimizer, batch_size=batch_size, seed=seed)
        trainer._run.prepare_epochs(data, batch_size or n_samples, 1)
        rates.append(chosen_rate(trainer._run.measured_rate))
    assert 0.5 <= rates[0] / rates[1] <= 2


def test_a_model_that_overflows_is_an_error_and_nothing_else(capfd):
    """LAPACK writes to the terminal when it is given infinity."""
    X, y = rows(200)
    model = gd.Model([gd.Linear(5, 7), gd.ReLU(), gd.Linear(7, 1)])
    model.parameters = 1e30
    trainer = gd.Trainer(model, optimizer=gd.SGD("auto"))
    with pytest.raises(gd.DivergenceError, match=r"epoch 1 diverged at any learning rate.*begin with smaller weights"):
        trainer.fit(1e20 * X, y)
    assert capfd.readouterr() == ("", "")
    assert (model.parameters == np.float32(1e30)).all()
    assert {setback[:2] for setback in trainer.history.setbacks} == {(1, "it diverged")}
    assert len(trainer.history.setbacks) == 8
