"""The schedules against their formulas, against PyTorch's and scikit-learn's."""

import numpy as np
import pytest
from schedule_cases import SCHEDULES, formula

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
