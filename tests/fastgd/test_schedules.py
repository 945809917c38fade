"""The schedules against their formulas, against PyTorch's and scikit-learn's numbers, and in training."""

import math

import numpy as np
import pytest
from cases import model_of, rows_for

import fastgd as gd
from fastgd.schedules import (
    Constant,
    Cooldown,
    CosineWarmRestarts,
    Exponential,
    InverseScaling,
    LinearWarmup,
    OneCycle,
    Optimal,
    Step,
)


def cosine_warm_restarts(s, t):
    """Walk from restart to restart."""
    begin, length = 1, s.T_0
    while t >= begin + length:
        begin, length = begin + length, length * s.T_mult
    share = (t - begin) / length
    return s.eta_min + (s.learning_rate - s.eta_min) * (1 + math.cos(math.pi * share)) / 2


def one_cycle(s, t):
    """Positions are counted from 0: the top is at pct_start · total_steps - 1, the end at total_steps - 1."""
    first = s.max_lr / s.div_factor
    last = first / s.final_div_factor
    top, end = s.pct_start * s.total_steps - 1, s.total_steps - 1
    position = min(t - 1, end)
    if position <= top:
        return first + (s.max_lr - first) * (1 - math.cos(math.pi * position / top)) / 2
    return s.max_lr + (last - s.max_lr) * (1 - math.cos(math.pi * (position - top) / (end - top))) / 2


FORMULAS = {
    Constant: lambda s, t: s.learning_rate,
    InverseScaling: lambda s, t: s.learning_rate / math.pow(t, s.power_t),
    Optimal: lambda s, t: 1 / (s.alpha * (s.alpha**-0.75 + t - 1)),
    Step: lambda s, t: s.learning_rate * s.gamma ** ((t - 1) // s.step_size),
    Exponential: lambda s, t: s.learning_rate * s.gamma ** (t - 1),
    CosineWarmRestarts: cosine_warm_restarts,
    Cooldown: lambda s, t: s.learning_rate * min(1, (1 - (t - 1) % s.period / s.period) / s.share),
    OneCycle: one_cycle,
    LinearWarmup: lambda s, t: (
        (s.start_factor + (1 - s.start_factor) * min(t, s.n_updates) / s.n_updates) * formula(s.learning_rate, t)
    ),
}


def formula(schedule, t):
    return FORMULAS[type(schedule)](schedule, t)


SCHEDULES = [
    Constant(0.3),
    InverseScaling(),
    InverseScaling(0.3, power_t=0.5),
    InverseScaling(0.3, power_t=0),
    Optimal(),
    Optimal(0.05),
    Step(0.5, step_size=7),
    Step(0.5, step_size=1, gamma=0.9),
    Exponential(0.5, gamma=0.99),
    Exponential(0.5, gamma=1.01),
    CosineWarmRestarts(0.5, T_0=1),
    CosineWarmRestarts(0.5, T_0=13, eta_min=0.05),
    CosineWarmRestarts(0.5, T_0=3, T_mult=2, eta_min=0.05),
    CosineWarmRestarts(0.5, T_0=2, T_mult=3),
    Cooldown(0.5, period=1),
    Cooldown(0.5, period=13),
    Cooldown(0.5, period=40, share=1),
    LinearWarmup(0.5, n_updates=20),
    LinearWarmup(0.5, n_updates=1, start_factor=0.5),
    LinearWarmup(InverseScaling(0.5), n_updates=30, start_factor=0.1),
    LinearWarmup(LinearWarmup(Step(0.5, step_size=11), n_updates=10), n_updates=40),
    OneCycle(0.5, total_steps=200),
    OneCycle(0.5, total_steps=150, pct_start=0.25, div_factor=10, final_div_factor=100),
    OneCycle(0.5, total_steps=60, pct_start=0),
    OneCycle(0.5, total_steps=60, pct_start=1),
]
EACH = {
    "constant": Constant(0.02),
    "inverse scaling": InverseScaling(0.05, power_t=0.5),
    "optimal": Optimal(1000),
    "step": Step(0.05, step_size=4, gamma=0.7),
    "exponential": Exponential(0.05, gamma=0.95),
    "cosine": CosineWarmRestarts(0.05, T_0=3, T_mult=2),
    "cool-down": Cooldown(0.05, period=5, share=0.5),
    "warm-up": LinearWarmup(InverseScaling(0.05), n_updates=8),
    "one-cycle": OneCycle(0.05, total_steps=25),
}


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
def test_two_hundred_rates_are_the_formula(schedule):
    expected = [formula(schedule, t) for t in range(1, 201)]
    # A cosine near its end is a difference of numbers of the size of the rate.
    np.testing.assert_allclose(schedule(np.arange(1.0, 201)), expected, rtol=1e-12, atol=1e-15)
    np.testing.assert_array_equal(schedule(np.arange(150.0, 201)), schedule(np.arange(1.0, 201))[149:])


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
def test_rates_called_constant_are(schedule):
    rates = schedule(np.arange(1.0, 101))
    found = [(i, j) for i in range(100) for j in range(i, 100) if schedule.is_constant(i + 1.0, j + 1.0)]
    for i, j in found:
        assert (rates[i : j + 1] == rates[i]).all()
    if isinstance(schedule, Cooldown) and schedule.share < 1 < schedule.period:
        assert len(found) > 100
    if isinstance(schedule, LinearWarmup) and isinstance(schedule.learning_rate, Constant):
        assert len(found) > 3000
        assert min(found)[0] == schedule.n_updates - 1


PYTORCH = [
    (
        Step(0.5, step_size=3, gamma=0.4),
        "0.5 0.5 0.5 0.2 0.2 0.2 0.08 0.08 0.08 0.032 0.032 0.032",
    ),
    (
        Exponential(0.5, gamma=0.8),
        "0.5 0.4 0.32 0.256 0.2048 0.16384 0.131072 0.1048576 0.08388608 0.067108864",
    ),
    (
        CosineWarmRestarts(0.5, T_0=5, eta_min=0.05),
        "0.5 0.45702882373436315 0.34452882373436317 0.20547117626563688 0.09297117626563686 0.5 "
        "0.45702882373436315 0.34452882373436317 0.20547117626563688 0.09297117626563686 0.5",
    ),
    (
        CosineWarmRestarts(0.5, T_0=2, T_mult=2, eta_min=0.05),
        "0.5 0.275 0.5 0.4340990257669732 0.275 0.11590097423302682 0.5 0.48287289481503953 "
        "0.4340990257669732 0.3611037722821452 0.275 0.1888962277178548 0.11590097423302682 "
        "0.06712710518496048 0.5",
    ),
    (
        CosineWarmRestarts(0.5, T_0=2, T_mult=3),
        "0.5 0.25 0.5 0.4665063509461097 0.375 0.25 0.12500000000000006 0.03349364905389032 0.5 "
        "0.49620193825305203 0.4849231551964771 0.4665063509461097",
    ),
    (
        OneCycle(0.5, total_steps=12),
        "0.020000000000000018 0.17489482710979154 0.43964257956106434 0.49720771772545586 0.46650648492070584 "
        "0.4058728269748815 0.32368949884755166 0.23131855133348753 0.14153049910434962 0.0667387650944153 "
        "0.01728349371269761 2e-06",
    ),
    (
        OneCycle(0.5, total_steps=11, pct_start=0.6, div_factor=10, final_div_factor=100),
        "0.04999999999999999 0.08448705517363608 0.17737615869854945 0.30019200712324423 0.415285205418215 "
        "0.4873737493193827 0.48988337016022077 0.38527504415953545 0.214706869141247 0.061501543805024025 "
        "0.0005",
    ),
    (
        OneCycle(0.5, total_steps=7, pct_start=0),
        "0.47524231600673683 0.40587282697488153 0.30563101096814466 0.19437098903185537 0.09412917302511849 "
        "0.024759683993263143 2e-06",
    ),
    (
        OneCycle(0.5, total_steps=7, pct_start=1),
        "0.020000000000000018 0.05215390309173468 0.14 0.26 0.37999999999999995 0.4678460969082653 0.5",
    ),
]
SCIKIT_LEARN = [
    (
        InverseScaling(0.01, power_t=0.25),
        "0.01 0.008408964152537144 0.007598356856515926 0.007071067811865476 0.006687403049764218 "
        "0.006389431042462726 0.006147881529512642 0.0059460355750136085",
    ),
    (
        InverseScaling(0.3, power_t=0.5),
        "0.3 0.21213203435596423 0.1732050807568877 0.15 0.13416407864998742 0.12247448713915887 "
        "0.11338934190276823 0.10606601717798222",
    ),
    (
        Optimal(0.0001),
        "10 9.990009990009993 9.980039920159683 9.970089730807578 9.960159362549806 9.950248756218903 "
        "9.9403578528827 9.930486593843098",
    ),
    (
        Optimal(0.05),
        "2.114742526881128 1.9125183341479974 1.7455942808431737 1.6054693730591287 1.4861694002918215 "
        "1.3833730644157 1.2938773132268637 1.2152576012290297",
    ),
]


def assert_rates(schedule, expected):
    rates = [float(rate) for rate in expected.split()]
    # scikit-learn's are differences of weights, which cost it some digits.
    np.testing.assert_allclose(schedule(np.arange(1.0, len(rates) + 1)), rates, rtol=1e-10, atol=1e-15)


@pytest.mark.parametrize(("schedule", "expected"), PYTORCH, ids=[repr(schedule) for schedule, _ in PYTORCH])
def test_rates_of_pytorch(schedule, expected):
    """The rate before each step under torch.optim.lr_scheduler of PyTorch 2.13.0: StepLR, ExponentialLR,
    CosineAnnealingWarmRestarts, OneCycleLR."""
    assert_rates(schedule, expected)


@pytest.mark.parametrize(("schedule", "expected"), SCIKIT_LEARN, ids=[repr(schedule) for schedule, _ in SCIKIT_LEARN])
def test_rates_of_scikit_learn(schedule, expected):
    """How far each step of scikit-learn 1.9.1 moved the one weight, over the gradient: SGDRegressor with
    learning_rate="invscaling" and no penalty, SGDClassifier with "optimal", the hinge loss and the penalty l2."""
    assert_rates(schedule, expected)


def by_hand(model, schedule, batches, make=gd.SGD):
    """Each update by a trainer of its own with the schedule's rate; a batch of weight zero counts for nothing."""
    t = 1.0
    for X, y, sample_weight in batches:
        gd.Trainer(model, optimizer=make(float(schedule(np.array([t]))[0]))).step(X, y, sample_weight)
        t += bool(sample_weight.any())


@pytest.mark.parametrize("name", EACH)
@pytest.mark.parametrize(("model_name", "batch_size"), [("neuron", 1), ("neuron", 4), ("hidden layer", 1)])
@pytest.mark.parametrize("calls", [(3,), (1, 2)], ids=str)
def test_training_follows(name, model_name, batch_size, calls, dtype):
    model, twin = model_of(model_name, dtype), model_of(model_name, dtype)
    X, y, sample_weight = rows_for(model, 18)
    sample_weight[[0, 1, 2, 3, 9, 17]] = 0
    trainer = gd.Trainer(model, optimizer=gd.SGD(EACH[name]), batch_size=batch_size)
    for epochs in calls:
        trainer.fit(X, y, epochs=epochs, sample_weight=sample_weight)
    starts = range(0, 18, batch_size)
    rows = [slice(start, start + batch_size) for start in starts]
    by_hand(twin, EACH[name], 3 * [(X[part], y[part], sample_weight[part]) for part in rows])
    # Steps of one row see no other, so a neuron's round differently from four at once.
    tolerance = 1e-5 if (model_name, batch_size) == ("neuron", 1) else 0
    np.testing.assert_allclose(model.parameters, twin.parameters, rtol=tolerance, atol=tolerance / 100)
    n_updates = 3 * sum(bool(sample_weight[part].any()) for part in rows)
    assert trainer.n_updates == n_updates
    assert trainer.learning_rate == pytest.approx(formula(EACH[name], n_updates + 1), rel=1e-12, abs=1e-15)


@pytest.mark.parametrize("name", EACH)
def test_steps_and_epochs_count_alike(name):
    model, twin = model_of("hidden layer"), model_of("hidden layer")
    X, y, _ = rows_for(model, 12)
    trainer = gd.Trainer(model, optimizer=gd.SGD(EACH[name]), batch_size=3)
    for part in (slice(0, 3), slice(3, 6)):
        trainer.step(X[part], y[part])
    trainer.fit(X[6:], y[6:])
    gd.Trainer(twin, optimizer=gd.SGD(EACH[name]), batch_size=3).fit(X, y)
    np.testing.assert_array_equal(model.parameters, twin.parameters)


def test_rates_beyond_those_of_one_call(monkeypatch):
    """The rates of a long epoch are computed in parts."""
    model, twin = model_of("neuron"), model_of("neuron")
    X, y, _ = rows_for(model, 5000)
    gd.Trainer(model, optimizer=gd.SGD(EACH["inverse scaling"])).fit(X, y)
    monkeypatch.setattr("fastgd._engine.slices._RATES_PER_CALL", 64)
    gd.Trainer(twin, optimizer=gd.SGD(EACH["inverse scaling"])).fit(X, y)
    np.testing.assert_array_equal(model.parameters, twin.parameters)


@pytest.mark.parametrize("name", EACH)
def test_the_factor_multiplies(name):
    model, twin = model_of("hidden layer"), model_of("hidden layer")
    X, y, _ = rows_for(model, 8)
    trainer = gd.Trainer(model, optimizer=gd.SGD(EACH[name]), batch_size=4)
    rate = trainer.learning_rate
    trainer.learning_rate_factor = 0.25
    assert trainer.learning_rate == 0.25 * rate
    trainer.fit(X, y)
    other = gd.Trainer(twin, optimizer=gd.SGD(Constant(0.25 * rate)))
    other.step(X[:4], y[:4])
    other.optimizer = gd.SGD(0.25 * float(EACH[name](np.array([2.0]))[0]))
    other.step(X[4:], y[4:])
    np.testing.assert_array_equal(model.parameters, twin.parameters)


OPTIMIZERS = [gd.SGD, lambda rate: gd.SGD(rate, momentum=0.5), gd.Adam, gd.AdamW, gd.Adagrad, gd.RMSprop]
OPTIMIZERS += [gd.NormalizedSGD]


@pytest.mark.parametrize(
    "make", OPTIMIZERS, ids=["SGD", "momentum", "Adam", "AdamW", "Adagrad", "RMSprop", "Normalized"]
)
@pytest.mark.parametrize("name", EACH)
def test_every_optimizer_takes_every_schedule_without_a_penalty(make, name):
    model, twin = model_of("hidden layer"), model_of("hidden layer")
    X, y, _ = rows_for(model, 24)
    gd.Trainer(model, optimizer=make(EACH[name]), batch_size=4, alpha=0).fit(X, y, epochs=4)
    trainer = gd.Trainer(twin, optimizer=make(1.0), batch_size=4)
    for t, start in enumerate(4 * list(range(0, 24, 4)), 1):
        trainer.learning_rate_factor = float(EACH[name](np.array([float(t)]))[0])
        trainer.step(X[start : start + 4], y[start : start + 4])
    np.testing.assert_array_equal(model.parameters, twin.parameters)
    assert (model.parameters != model_of("hidden layer").parameters).all()


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
def test_schedules_are_saved(schedule, tmp_path):
    trainer = gd.Trainer(model_of("neuron"), optimizer=gd.Adam(schedule))
    trainer.learning_rate_factor = 0.5
    trainer.save(tmp_path / "run")
    loaded = gd.Trainer.load(tmp_path / "run")
    assert loaded.optimizer == trainer.optimizer
    assert loaded.learning_rate == trainer.learning_rate == 0.5 * schedule(np.ones(1))[0]


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
def test_numbers_and_integers_will_do(schedule):
    expected = schedule(np.arange(1.0, 31))
    for dtype in (np.int64, np.int32):
        np.testing.assert_allclose(schedule(np.arange(1, 31, dtype=dtype)), expected, rtol=1e-12)
    for t in (1, 2, 7, 30):
        for number in (t, float(t), np.int64(t)):
            rate = schedule(number)
            assert np.ndim(rate) == 0
            assert rate == pytest.approx(expected[t - 1], rel=1e-12)
    t = np.arange(1.0, 31)
    schedule(t)
    np.testing.assert_array_equal(t, np.arange(1.0, 31))


class Own(gd.schedules.Schedule):
    """The given rates in turn, and NaN after them."""

    def __init__(self, *rates):
        self.rates = np.array(rates)

    def __call__(self, t):
        places = np.asarray(t).astype(int) - 1
        return np.append(self.rates, math.nan)[np.minimum(places, len(self.rates))]

    def __repr__(self):
        return "Own()"


@pytest.mark.parametrize("bad", [-0.01, math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("around", [lambda own: own, lambda own: LinearWarmup(own, n_updates=2)], ids=["own", "within"])
@pytest.mark.parametrize(("name", "batch_size"), [("neuron", 1), ("neuron", 4), ("hidden layer", 1)])
@pytest.mark.parametrize("alpha", [0, 0.1])
def test_bad_rates_of_ones_own_are_refused_when_they_are_met(bad, around, name, batch_size, alpha):
    good = np.linspace(0.01, 0.02, 17)
    model, twin = model_of(name), model_of(name)
    X, y, _ = rows_for(model, 30 * batch_size)
    settings = {"batch_size": batch_size, "alpha": alpha, "l1_ratio": 0.5}
    trainer = gd.Trainer(model, optimizer=gd.SGD(around(Own(*good, bad, *good))), **settings)
    message = rf"{around(Own())!r} gives {bad} for update 18; expected finite rates of at least 0".replace("(", r"\(")
    with pytest.raises(ValueError, match=message.replace(")", r"\)")):
        trainer.fit(X, y)
    n_rows = 17 * batch_size
    gd.Trainer(twin, optimizer=gd.SGD(around(Own(*good))), **settings).fit(X[:n_rows], y[:n_rows])
    np.testing.assert_allclose(model.parameters, twin.parameters, rtol=1e-12)
    assert trainer.n_updates == 17


def test_rates_past_the_last_update_are_not_met():
    model = model_of("neuron")
    X, y, _ = rows_for(model, 12)
    trainer = gd.Trainer(model, optimizer=gd.SGD(Own(0.03, 0.02, 0.01)), batch_size=4)
    assert len(trainer.fit(X, y)) == 1
    with pytest.raises(ValueError, match="gives nan for update 4; expected"):
        trainer.fit(X, y)
    assert trainer.n_updates == 3


@pytest.mark.parametrize("result", [0.1, [0.1], "0.1", None], ids=repr)
def test_rates_of_another_shape_are_refused(result):
    class Odd(gd.schedules.Schedule):
        def __call__(self, t):
            return result

    model = model_of("neuron")
    X, y, _ = rows_for(model, 12)
    trainer = gd.Trainer(model, optimizer=gd.SGD(Odd()))
    with pytest.raises(ValueError, match=r"Odd.* gives .* for \d+ updates; expected an array of shape"):
        trainer.fit(X, y)
    assert trainer.n_updates == 0


@pytest.mark.parametrize("around", [lambda own: own, lambda own: LinearWarmup(own, n_updates=9)], ids=["own", "within"])
def test_a_run_with_a_schedule_of_ones_own_goes_on_when_it_is_given(around, tmp_path):
    own = Own(*np.linspace(0.1, 0.01, 40))
    X, y, _ = rows_for(model_of("neuron"), 20)
    trainer = gd.Trainer(model_of("neuron"), optimizer=gd.SGD(around(own)))
    trainer.fit(X, y)
    trainer.save(tmp_path / "run")
    trainer.fit(X, y)
    loaded = gd.Trainer.load(tmp_path / "run", schedule=own)
    loaded.fit(X, y)
    np.testing.assert_array_equal(loaded.model.parameters, trainer.model.parameters)
    np.testing.assert_array_equal(gd.Model.load(tmp_path / "run").predict(X).shape, (20, 1))
    with pytest.raises(
        ValueError, match=r"a schedule Own of your own and schedule is None; expected Trainer\.load\(path"
    ):
        gd.Trainer.load(tmp_path / "run")
    other = type("Other", (Own,), {})
    with pytest.raises(ValueError, match="a schedule Own of your own and schedule is"):
        gd.Trainer.load(tmp_path / "run", schedule=other())
    with pytest.raises(ValueError, match=r"schedule is Constant.*; expected one of your own"):
        gd.Trainer.load(tmp_path / "run", schedule=Constant(0.1))


def test_a_schedule_of_ones_own_may_be_called_as_one_of_these(tmp_path):
    own = type("Step", (Own,), {})(0.1, 0.2)
    gd.Trainer(model_of("neuron"), optimizer=gd.SGD(own)).save(tmp_path / "run")
    with pytest.raises(ValueError, match="a schedule Step of your own"):
        gd.Trainer.load(tmp_path / "run")
    assert gd.Trainer.load(tmp_path / "run", schedule=own).learning_rate == 0.1


BAD = [
    (lambda: Constant(-1), ValueError, "learning_rate is -1; expected"),
    (lambda: Constant("auto"), TypeError, "learning_rate is 'auto'; expected a number"),
    (lambda: Constant(math.inf), ValueError, "learning_rate is inf; expected a finite"),
    (lambda: InverseScaling(math.nan), ValueError, "learning_rate is nan; expected a finite"),
    (lambda: InverseScaling(0.1, power_t=-1), ValueError, "power_t is -1; expected"),
    (lambda: InverseScaling(0.1, power_t=None), TypeError, "power_t is None; expected a number"),
    (lambda: Optimal(0), ValueError, "alpha is 0; expected more than 0"),
    (lambda: Optimal(-1), ValueError, "alpha is -1; expected"),
    (lambda: Step(0.1, step_size=0), ValueError, "step_size is 0; expected at least 1"),
    (lambda: Step(0.1, step_size=2.5), TypeError, r"step_size is 2\.5; expected an integer"),
    (lambda: Step(0.1, step_size=2, gamma=-0.1), ValueError, r"gamma is -0\.1; expected"),
    (lambda: Exponential(0.1, gamma=-1), ValueError, "gamma is -1; expected"),
    (lambda: Exponential([0.1], gamma=1), TypeError, r"learning_rate is \[0\.1\]; expected a number"),
    (lambda: CosineWarmRestarts(0.1, T_0=0), ValueError, "T_0 is 0; expected at least 1"),
    (lambda: CosineWarmRestarts(0.1, T_0=5, T_mult=0), ValueError, "T_mult is 0; expected at least 1"),
    (lambda: CosineWarmRestarts(0.1, T_0=5, T_mult=1.5), TypeError, r"T_mult is 1\.5; expected an integer"),
    (lambda: CosineWarmRestarts(0.1, T_0=5, eta_min=-1), ValueError, "eta_min is -1; expected"),
    (lambda: Cooldown(-1, period=5), ValueError, "learning_rate is -1; expected"),
    (lambda: Cooldown(0.1, period=0), ValueError, "period is 0; expected at least 1"),
    (lambda: Cooldown(0.1, period=5, share=0), ValueError, "share is 0; expected more than 0"),
    (lambda: Cooldown(0.1, period=5, share=2), ValueError, r"share is 2\.0; expected a number from 0 to 1"),
    (lambda: LinearWarmup(0.1, n_updates=0), ValueError, "n_updates is 0; expected at least 1"),
    (lambda: LinearWarmup(0.1, n_updates=5, start_factor=-1), ValueError, "start_factor is -1; expected"),
    (lambda: LinearWarmup(-0.1, n_updates=5), ValueError, r"learning_rate is -0\.1; expected"),
    (lambda: LinearWarmup("auto", n_updates=5), TypeError, "learning_rate is 'auto'; expected"),
    (lambda: OneCycle(-1, total_steps=5), ValueError, "max_lr is -1; expected"),
    (lambda: OneCycle(1, total_steps=0), ValueError, "total_steps is 0; expected at least 1"),
    (
        lambda: OneCycle(1, total_steps=5, pct_start=1.1),
        ValueError,
        r"pct_start is 1\.1; expected a number from 0 to 1",
    ),
    (lambda: OneCycle(1, total_steps=5, div_factor=0), ValueError, "div_factor is 0; expected more than 0"),
    (lambda: OneCycle(1, total_steps=5, final_div_factor=0), ValueError, "final_div_factor is 0; expected more than 0"),
]


@pytest.mark.parametrize(("build", "error", "message"), BAD, ids=[message for _, _, message in BAD])
def test_bad_settings_are_refused(build, error, message):
    with pytest.raises(error, match=message):
        build()


def test_a_schedule_that_takes_no_arrays():
    class Falling(gd.schedules.Schedule):
        def __call__(self, t):
            return 0.1 if t < 5 else 0.01

    trainer = gd.Trainer(gd.Model([gd.Linear(2, 1)]), optimizer=gd.SGD(Falling()))
    with pytest.raises(ValueError, match="fails for an array of updates"):
        trainer.fit(np.ones((8, 2)), np.ones(8))
