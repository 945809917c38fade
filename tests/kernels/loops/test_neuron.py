"""The three loops of a single neuron against one plain loop in NumPy: any shape, dtype, layout, order and penalty."""

from typing import NamedTuple

import numpy as np
import pytest
from by_hand import is_sure, loss_and_grad_of, problem, train_by_hand
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from loss_cases import CASES as LOSSES

import fastgd as gd

# What hundreds of updates leave of rounding, on numbers around 1; and how close to a kink it may take a row.
TOLERANCE = {"float32": 2e-4, "float64": 1e-11}
BESIDE_A_KINK = {"float32": 1e-4, "float64": 1e-10}


class Types(NamedTuple):
    """What a loop is compiled for."""

    dtype: str
    source: str
    ends_in_relu: bool
    is_penalized: bool
    shuffle: bool
    is_weighted: bool = True

    def __str__(self):
        layers, order = "ReLU" if self.ends_in_relu else "linear", "shuffled" if self.shuffle else "in order"
        others = [name for name in ("penalized", "weighted") if getattr(self, f"is_{name}")]
        return ", ".join([f"{self.source} as {self.dtype}", layers, order, *others])


# Mostly what other tests compile too.
TYPES = [
    Types("float32", "float32", True, False, False),
    Types("float64", "uint8", True, False, True),
]
SOURCES = ["float16", "float32", "float64", "bool"]
SOURCES += [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
# Each source in one dtype, with or without a ReLU, a penalty, an order and weights; pixels are mostly trained in
# float32.
RARE_TYPES = [Types("float32", "uint8", False, False, False)]
RARE_TYPES += [
    Types(("float32", "float64")[i % 2], source, i % 4 < 2, i % 3 == 0, i // 2 % 2 == 0, i % 5 < 3)
    for i, source in enumerate(SOURCES)
    if source != "uint8"
]
RARE_TYPES += [
    Types(dtype, dtype, ends_in_relu, is_penalized, False, ends_in_relu == is_penalized)
    for dtype in ("float32", "float64")
    for ends_in_relu in (False, True)
    for is_penalized in (False, True)
]
RARE_TYPES = [types for types in dict.fromkeys(RARE_TYPES) if types not in TYPES]

MOST_FEATURES = {
    "by fours": {"float32": 160, "float64": 80},
    "in batches by fours": {"float32": 60, "float64": 30},
}


def _unaligned(X):
    raw = np.empty(X.nbytes + 1, np.uint8)
    shifted = raw[1:].view(X.dtype).reshape(X.shape)
    shifted[...] = X
    return shifted


def _frozen(X):
    X = X.copy()
    X.flags.writeable = False
    return X


LAYOUTS = {
    "contiguous": np.ascontiguousarray,
    "read-only": _frozen,
    "every other row": lambda X: np.repeat(X, 2, axis=0)[::2],
    "every other column": lambda X: np.repeat(X, 2, axis=1)[:, ::2],
    "Fortran": np.asfortranarray,
    "unaligned": _unaligned,
}


@st.composite
def cases(draw, loop, types):
    """Numbers for a loop: arguments of `problem` and of `check`."""
    is_in_batches, by_4 = loop.startswith("in batches"), loop.endswith("by fours")
    most = MOST_FEATURES["in batches by fours" if is_in_batches else "by fours"][types.dtype]
    n_samples = draw(st.integers(1, 100))
    has_l1 = types.is_penalized and loop != "by fours" and draw(st.booleans())
    least = 1 if by_4 or (has_l1 and not is_in_batches) else most + 1
    tolerance = draw(st.sampled_from([None, 0.25]))
    # Any other layout is copied into the model's dtype, row by row: another specialisation but for this one.
    is_copied = types.source == types.dtype and not types.shuffle
    layout = draw(st.sampled_from(sorted(LAYOUTS))) if is_copied else "contiguous"
    lies_in_place = layout in ("contiguous", "read-only")
    arguments = {
        "seed": draw(st.integers(0, 2**32 - 1)),
        "n_samples": n_samples,
        "n_features": draw(st.integers(least, most if by_4 else 300)),
        "bias": draw(st.booleans()),
        "relu": gd.ReLU(*[tolerance] * (tolerance is not None)) if types.ends_in_relu else None,
    }
    return arguments, {
        "batch_size": draw(st.integers(2, max(n_samples, 2))) if is_in_batches else 1,
        "weights": draw(st.sampled_from(["positive", "some zero"])) if types.is_weighted else None,
        "decays": draw(st.booleans()),
        "l2_share": draw(st.sampled_from([0.05, 0.5])) if types.is_penalized else 0,
        "l1_share": draw(st.sampled_from([0.02, 0.2])) if has_l1 else 0,
        "shuffle": types.shuffle or (not lies_in_place and draw(st.booleans())),
        "layout": layout,
    }


def check(
    given_problem,
    loss="half_squared_error",
    share=0.2,
    batch_size=1,
    weights=None,
    decays=False,
    l2_share=0.0,
    l1_share=0.0,
    shuffle=False,
    layout="contiguous",
    beside_a_kink=None,
):
    """Two epochs of the trainer are those of the oracle; False where rounding may decide, and nothing is compared.

    l2_share, l1_share : what an update takes of a weight, and of a large weight
    """
    model, X, y, size = given_problem
    dtype, n_samples = model.dtype.name, len(X)
    rng = np.random.default_rng(n_samples)
    v = None if weights is None else rng.integers(weights == "positive", 5, n_samples) / 2
    rate = given_problem.rate(share)
    l2, l1 = l2_share / rate, l1_share / rate / np.sqrt(size)
    tolerance = model.layers[-1].number_in(model.dtype) if isinstance(model.layers[-1], gd.ReLU) else None
    loss_and_grad = loss_and_grad_of(loss, tolerance)
    run = train_by_hand(
        model.parameters,
        X.astype(dtype),
        y,
        loss_and_grad,
        lambda t: rate / t**0.25 if decays else rate,
        batch_size,
        v,
        l2,
        l1,
        [np.random.default_rng([4, e]).permutation(n_samples) if shuffle else np.arange(n_samples) for e in (0, 1)],
    )
    distance = BESIDE_A_KINK[dtype] if beside_a_kink is None else beside_a_kink
    if not is_sure(run, loss_and_grad, distance):
        return False
    trainer = gd.Trainer(
        model,
        LOSSES[loss].loss,
        gd.SGD(gd.schedules.InverseScaling(rate, 0.25) if decays else rate),
        batch_size=batch_size,
        shuffle=shuffle,
        seed=4,
        alpha=l1 + l2,
        l1_ratio=l1 / (l1 + l2) if l1 else 0.0,
    )
    history = trainer.fit(LAYOUTS[layout](X), y, epochs=2, sample_weight=v)
    assert trainer.n_updates == run.n_updates
    scaled = given_problem.scaled
    atol = TOLERANCE[dtype] * (1 + np.abs(scaled(run.parameters)).max())
    np.testing.assert_allclose(scaled(model.parameters), scaled(run.parameters), rtol=0, atol=atol)
    np.testing.assert_allclose(history.loss, run.losses, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])
    return True


LOOPS = ["by fours", "row by row", "in batches by fours", "in batches row by row"]
# Each compiles for seconds: what is rare goes through one loop of single rows and one of batches, by turns.
LOOPS_AND_TYPES = [(loop, TYPES[0]) for loop in LOOPS]
RARE_LOOPS_AND_TYPES = [(loop, types) for types in TYPES[1:] for loop in LOOPS]
RARE_LOOPS_AND_TYPES += [(loop, types) for i, types in enumerate(RARE_TYPES) for loop in LOOPS[i % 2 :: 2]]


@pytest.mark.parametrize(
    ("loop", "types"),
    [*LOOPS_AND_TYPES, *(pytest.param(*each, marks=pytest.mark.slow) for each in RARE_LOOPS_AND_TYPES)],
    ids=str,
)
@settings(max_examples=50)
@given(data=st.data())
def test_training_is_the_plain_loop(loop, types, data):
    arguments, options = data.draw(cases(loop, types))
    assume(check(problem(dtype=types.dtype, source=types.source, **arguments), **options))


@pytest.mark.slow
@pytest.mark.parametrize("types", TYPES, ids=str)
@pytest.mark.parametrize(("batch_size", "n_features"), [(1025, 5), (2047, 70), (2500, 5)])
def test_batches_larger_than_a_chunk(types, batch_size, n_features):
    made = problem(0, 2500, n_features, types.dtype, types.source, relu=gd.ReLU(0.25) if types.ends_in_relu else None)
    penalty = {"l2_share": 0.05, "l1_share": 0.02} if types.is_penalized else {}
    # In so many rows one is always close to the ReLU's kink, but in a batch its share is small.
    check(made, batch_size=batch_size, weights="some zero", shuffle=types.shuffle, beside_a_kink=0, **penalty)


@pytest.mark.parametrize("n_features", [1023, *(pytest.param(n, marks=pytest.mark.slow) for n in (1024, 1025))])
def test_wide_rows_of_narrow_numbers(n_features):
    """Up to 1024 of them are kept converted."""
    assert check(problem(1, 50, n_features, "float32", "uint8"), batch_size=7, weights="some zero", beside_a_kink=0)


QUICK_LOSSES = "half_squared_error", "log_loss"


def losses_and_loops():
    """All of them, in either dtype and with weights by turns; by default some losses row by row, which compiles in a
    third of the time of the other loops.
    """
    loops = ("row by row", 200, 1), ("by fours", 9, 1), ("in batches", 9, 7)
    for i, loss in enumerate(loss for loss in LOSSES if "cross_entropy" not in loss):
        for j, (loop, n_features, batch_size) in enumerate(loops):
            is_quick = loop == "row by row" and loss in QUICK_LOSSES
            dtype = "float64" if is_quick else ("float32", "float64")[(i + j) % 2]
            weights = ("some zero", None)[(i + j) // 2 % 2]
            marks = () if is_quick else pytest.mark.slow
            yield pytest.param(loss, n_features, batch_size, dtype, weights, marks=marks, id=f"{loss} {loop} {dtype}")


@pytest.mark.parametrize(("loss", "n_features", "batch_size", "dtype", "weights"), list(losses_and_loops()))
def test_every_loss(loss, n_features, batch_size, dtype, weights):
    sure = 0
    for seed in range(12):
        relu = gd.ReLU(tolerance=0.25) if loss == "hinge" else None
        made = problem(seed, 20 + seed, n_features, dtype, dtype, loss, relu=relu)
        sure += check(made, loss, 0.05, batch_size, weights=weights)
    assert sure >= 8
