"""Which compiled loop trains what, and what it is handed; no loop runs here."""

import numpy as np
import pytest

import fastgd as gd
from fastgd import kernels
from fastgd.data import reader as datasets

LOOPS = ("train_neuron_online_by_4", "train_neuron_online", "train_neuron_batch", "train_network")


@pytest.fixture
def calls(monkeypatch):
    """(name, arguments) of each call of a loop; the calls do nothing."""
    made = []
    for name in LOOPS:
        monkeypatch.setattr(kernels, name, lambda *arguments, name=name: made.append((name, arguments)))
    return made


def fit(
    calls,
    n_features=5,
    dtype="float32",
    layers=(),
    head=None,
    source=None,
    n_samples=8,
    target=1,
    sample_weight=None,
    **settings,
):
    """Which loop trains Linear and more layers, and the arguments of its first call."""
    settings = {"optimizer": gd.SGD(0.1)} | settings
    model = gd.Model([*([] if head is None else [head]), gd.Linear(n_features, 1), *layers], dtype=dtype)
    X = np.random.default_rng(0).integers(0, 2, (n_samples, n_features)).astype(source or dtype)
    gd.Trainer(model, **settings).fit(X, np.full(n_samples, target), sample_weight=sample_weight)
    names = {name for name, _ in calls}
    assert len(names) == 1
    return names.pop(), calls[0][1]


FOURS, ROWS, BATCHES, NETWORK = LOOPS
L1 = {"alpha": 0.1, "l1_ratio": 0.5}
RULES = {
    "160 features in float32 are narrow": ({"n_features": 160}, FOURS),
    "161 are wide": ({"n_features": 161}, ROWS),
    "80 features in float64 are narrow": ({"n_features": 80, "dtype": "float64"}, FOURS),
    "81 are wide": ({"n_features": 81, "dtype": "float64"}, ROWS),
    "the model's dtype counts, not the data's": ({"n_features": 160, "source": "float64"}, FOURS),
    "nor a narrow one": ({"n_features": 81, "dtype": "float64", "source": "uint8"}, ROWS),
    "one feature": ({"n_features": 1}, FOURS),
    "a ReLU": ({"layers": [gd.ReLU()]}, FOURS),
    "a wide ReLU": ({"layers": [gd.ReLU()], "n_features": 161}, ROWS),
    "batches of two": ({"batch_size": 2}, BATCHES),
    "wide batches of two": ({"batch_size": 2, "n_features": 161}, BATCHES),
    "full batch": ({"batch_size": None}, BATCHES),
    "full batch of one row": ({"batch_size": None, "n_samples": 1}, ROWS),
    "batches larger than one row": ({"batch_size": 9, "n_samples": 1}, ROWS),
    "an L2 penalty": ({"alpha": 0.1}, FOURS),
    "a wide L2 penalty": ({"alpha": 0.1, "n_features": 161}, ROWS),
    "an L1 penalty": ({**L1}, ROWS),
    "an L1 penalty of strength zero": ({"alpha": 0.0, "l1_ratio": 1.0}, FOURS),
    "an L1 penalty in batches": ({**L1, "batch_size": 2}, BATCHES),
    "clip_value": ({"clip_value": 1.0}, BATCHES),
    "clip_norm": ({"clip_norm": 1.0}, BATCHES),
    "max_norm": ({"max_norm": 1.0}, BATCHES),
    "an average": ({"average_from": 1}, BATCHES),
    "an L2 penalty and an average": ({"alpha": 0.1, "average_from": 3}, BATCHES),
    "a schedule": ({"optimizer": gd.SGD(gd.schedules.InverseScaling(0.1))}, FOURS),
    "momentum": ({"optimizer": gd.SGD(0.1, momentum=0.5)}, BATCHES),
    "weight decay": ({"optimizer": gd.SGD(0.1, weight_decay=0.5)}, BATCHES),
    "Adam": ({"optimizer": gd.Adam(0.1)}, BATCHES),
    "Adam with an L1 penalty": ({**L1, "optimizer": gd.Adam(0.1)}, BATCHES),
    "NormalizedSGD": ({"optimizer": gd.NormalizedSGD()}, NETWORK),
    "NormalizedSGD in batches": ({"optimizer": gd.NormalizedSGD(), "batch_size": 2}, NETWORK),
    "hinge": ({"loss": "hinge"}, FOURS),
    "a hidden layer": ({"layers": [gd.ReLU(), gd.Linear(1, 1)]}, NETWORK),
    "two Linears": ({"layers": [gd.Linear(1, 1)]}, NETWORK),
    "a ReLU twice": ({"layers": [gd.ReLU(), gd.ReLU()]}, NETWORK),
    "tanh": ({"layers": [gd.Tanh()]}, NETWORK),
    "a ReLU in front": ({"head": gd.ReLU()}, NETWORK),
    "standardised features": ({"head": gd.Standardize(5), "source": "uint8"}, FOURS),
    "standardised wide features": ({"head": gd.Standardize(161), "n_features": 161}, ROWS),
    "standardised batches": ({"head": gd.Standardize(5), "batch_size": 2}, BATCHES),
}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("shuffle", [False, True])
def test_choice(rule, shuffle, calls):
    settings, loop = RULES[rule]
    assert fit(calls, shuffle=shuffle, **settings)[0] == loop


FOURS_ADDED, CONVERTED, ROWS_ADDED = kernels.By4, kernels.Converted, kernels.RowByRow
PATTERNS = {
    ("float32", "float32"): {1: FOURS_ADDED, 60: FOURS_ADDED, 61: ROWS_ADDED, 1025: ROWS_ADDED},
    ("float64", "float64"): {1: FOURS_ADDED, 30: FOURS_ADDED, 31: ROWS_ADDED, 513: ROWS_ADDED},
    ("float32", "int64"): {60: FOURS_ADDED, 61: ROWS_ADDED, 1025: ROWS_ADDED},
    ("float32", "int32"): {60: FOURS_ADDED, 61: ROWS_ADDED},
    ("float32", "uint8"): {1: CONVERTED, 61: CONVERTED, 1024: CONVERTED, 1025: FOURS_ADDED},
    ("float32", "float16"): {1: CONVERTED, 1024: CONVERTED, 1025: FOURS_ADDED},
    ("float64", "float32"): {1: CONVERTED, 512: CONVERTED, 513: FOURS_ADDED},
}


HALF = pytest.param("float16", marks=pytest.mark.skipif(not kernels.converts_halves(), reason="it is copied"))


@pytest.mark.parametrize(
    ("dtype", "source"),
    [pytest.param(*kinds, marks=HALF.marks if "float16" in kinds else ()) for kinds in PATTERNS],
)
def test_batches_of_narrow_rows_or_numbers_are_taken_by_fours(dtype, source, calls):
    patterns = {}
    for n_features in PATTERNS[dtype, source]:
        loop, arguments = fit(calls, n_features, dtype, source=source, batch_size=2)
        assert loop == BATCHES
        patterns[n_features] = type(arguments[0])
        calls.clear()
    assert patterns == PATTERNS[dtype, source]


@pytest.mark.parametrize("case", [{"n_features": 160}, {"n_features": 161}, {"batch_size": 2}])
@pytest.mark.parametrize("sample_weight", [None, np.ones(8)])
def test_a_neuron_is_told_whether_rows_have_weights(case, sample_weight, calls):
    weights = rows_given(fit(calls, sample_weight=sample_weight, **case)[1]).weights
    assert type(weights) is (kernels.Equal if sample_weight is None else kernels.Weighted)


def test_rows_that_do_not_fill_four_are_taken_one_by_one(calls):
    gd.Trainer(gd.Model([gd.Linear(3, 1)])).fit(np.ones((7, 3)), np.ones(7))
    counts = {}
    for loop, arguments in calls:
        counts[loop] = counts.get(loop, 0) + len(rows_given(arguments).y)
    assert counts == {FOURS: 4, ROWS: 3}


def test_two_outputs_are_no_neuron(calls):
    gd.Trainer(gd.Model([gd.Linear(3, 2)])).fit(np.ones((4, 3)), np.ones((4, 2)))
    assert {name for name, _ in calls} == {NETWORK}


def rows_given(arguments):
    return next(given for given in arguments if isinstance(given, kernels.Rows))


IN_PLACE = {"fours": {}, "rows": {"n_features": 161}, "batches": {"batch_size": 2}}


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("settings", IN_PLACE.values(), ids=IN_PLACE)
@pytest.mark.parametrize("source", [HALF, "float32", "float64", "int8", "uint8", "int64", "uint16", "bool"])
def test_a_neuron_reads_the_data_where_it_lies(source, settings, shuffle, calls):
    X = np.random.default_rng(0).integers(0, 2, (9, settings.get("n_features", 5))).astype(source)
    settings = {name: value for name, value in settings.items() if name != "n_features"}
    gd.Trainer(gd.Model([gd.Linear(X.shape[1], 1)]), shuffle=shuffle, seed=3, **settings).fit(
        X, np.arange(9), sample_weight=np.arange(9) / 2
    )
    samples = np.random.default_rng([3, 0]).permutation(9) if shuffle else np.arange(9)
    for _, arguments in calls:
        rows = rows_given(arguments)
        given = rows.X.bits if source == "float16" else rows.X
        assert np.shares_memory(given, X)
        assert given.dtype == {"float16": "uint16", "bool": "uint8"}.get(source, source)
        assert not given.flags.writeable
        assert isinstance(rows.order, kernels.Shuffled if shuffle else kernels.InOrder)
        places = rows.order.rows if shuffle else np.arange(len(rows.y))
        taken, samples = samples[: len(places)], samples[len(places) :]
        np.testing.assert_array_equal(given.view(X.dtype)[places], X[taken])
        np.testing.assert_array_equal(rows.y[places, 0], taken)
        np.testing.assert_array_equal(rows.weights.sample_weight[places], taken / 2)
    assert len(samples) == 0


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("settings", IN_PLACE.values(), ids=IN_PLACE)
def test_targets_too_large_to_be_converted_are_given_sample_by_sample(settings, shuffle, calls, monkeypatch):
    monkeypatch.setattr(datasets, "_CONVERTED_BYTES", 0)
    X = np.random.default_rng(0).random((9, settings.get("n_features", 5)), np.float32)
    settings = {name: value for name, value in settings.items() if name != "n_features"}
    gd.Trainer(gd.Model([gd.Linear(X.shape[1], 1)]), shuffle=shuffle, seed=3, **settings).fit(
        X, np.arange(9), sample_weight=np.arange(9.0) / 2
    )
    samples = np.random.default_rng([3, 0]).permutation(9) if shuffle else np.arange(9)
    for _, arguments in calls:
        rows = rows_given(arguments)
        assert np.shares_memory(rows.X, X)
        assert isinstance(rows.order, kernels.ShuffledX if shuffle else kernels.InOrder)
        taken, samples = samples[: len(rows.y)], samples[len(rows.y) :]
        np.testing.assert_array_equal(rows.X[rows.order.rows] if shuffle else rows.X, X[taken])
        assert rows.y.dtype == rows.weights.sample_weight.dtype == np.float32
        np.testing.assert_array_equal(rows.y[:, 0], taken)
        np.testing.assert_array_equal(rows.weights.sample_weight, taken / 2)
    assert len(samples) == 0


def test_half_precision_is_copied_where_the_processor_does_not_convert_it(calls, monkeypatch):
    monkeypatch.setattr(kernels, "converts_halves", lambda: False)
    rows = rows_given(fit(calls, source="float16")[1])
    assert rows.X.dtype == np.float32
    assert isinstance(rows.order, kernels.InOrder)


COPIED = {
    "Fortran": np.asfortranarray,
    "every other row": lambda X: np.repeat(X, 2, axis=0)[::2],
    "every other column": lambda X: np.repeat(X, 2, axis=1)[:, ::2],
    "unaligned": lambda X: np.frombuffer(b"." + X.tobytes(), X.dtype, X.size, 1).reshape(X.shape),
    "other byte order": lambda X: X.astype(X.dtype.newbyteorder()),
    "longdouble": lambda X: X.astype(np.longdouble),
}


@pytest.mark.parametrize("layout", COPIED)
@pytest.mark.parametrize("shuffle", [False, True])
def test_other_layouts_are_copied_in_their_order(layout, shuffle, calls):
    X = np.arange(45, dtype=np.float64).reshape(9, 5)
    gd.Trainer(gd.Model([gd.Linear(5, 1)]), batch_size=9, shuffle=shuffle).fit(COPIED[layout](X), np.arange(9))
    ((_, arguments),) = calls
    rows = rows_given(arguments)
    order = np.random.default_rng([0, 0]).permutation(9) if shuffle else np.arange(9)
    assert rows.X.dtype == np.float32
    assert rows.X.flags.c_contiguous
    assert isinstance(rows.order, kernels.InOrder)
    np.testing.assert_array_equal(rows.X, X[order])
    np.testing.assert_array_equal(rows.y[:, 0], order)


def test_standardised_rows_are_of_the_model_s_dtype(calls):
    _, arguments = fit(calls, head=gd.Standardize(5), source="uint8")
    rows = rows_given(arguments)
    assert rows.X.dtype == np.float32
    assert isinstance(rows.order, kernels.InOrder)
