"""Every schedule, and its formula."""

import math

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
