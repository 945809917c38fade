"""Settings that schedules take, and those that are refused."""

import math

import numpy as np
import pytest
from schedule_cases import SCHEDULES

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


@pytest.mark.parametrize("schedule", [Step(0.0, step_size=1, gamma=1e30), Exponential(0.0, gamma=1e30)])
def test_rates_that_overflow_are_refused_without_a_warning(schedule):
    trainer = gd.Trainer(gd.Model([gd.Linear(1, 1)]), optimizer=gd.SGD(schedule))
    with pytest.raises(ValueError, match=r"gives (inf|nan) for update 12; expected finite rates"):
        trainer.fit(np.zeros((99, 1)), [0] * 99)
