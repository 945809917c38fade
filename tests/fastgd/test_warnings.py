"""What is warned of, and that nothing else is: every warning is an error in the tests."""

import copy
import pickle

import numpy as np
import pytest
from cases import WORKED_X, WORKED_Y, worked_example
from sklearn import datasets

import fastgd as gd
from fastgd._engine.data_warnings import warn_of_targets

# Everywhere else, models that have learnt nothing are predicted with.
pytestmark = pytest.mark.filterwarnings("error")

RANDOM = "with the random weights that it began with; expected Trainer"
SORTED = "the rows are sorted by their targets, .* Expected shuffle=True, or rows"
LAYERS = [gd.Linear(3, 2), gd.ReLU(), gd.Linear(2, 1)]
X = np.random.default_rng(0).standard_normal((40, 3), np.float32)
Y = X.sum(axis=1)


def use(model, name):
    return model.predict(X) if name == "predict" else model.loss(X, Y)


def test_a_model_that_has_learnt_nothing():
    model = gd.Model(LAYERS)
    copies = [copy.deepcopy(model), copy.copy(model), pickle.loads(pickle.dumps(model))]
    for each in (model, *copies):
        with pytest.warns(gd.UsageWarning, match=f"predict was called on a model {RANDOM}") as caught:
            each.predict(X)
        assert caught[0].filename == __file__
        assert len(caught) == 1
        each.predict(X)
        copy.deepcopy(each).predict(X)


def trained(model):
    gd.Trainer(model, optimizer=gd.SGD(0.0)).fit(X, Y)


def stepped(model):
    gd.Trainer(model, optimizer=gd.SGD(0.0)).step(X, Y)


def moved(model):
    model.parameters[-2] += 1e-3


def given_parameters(model):
    model.parameters = np.arange(model.parameters.size)


def given_a_weight(model):
    model.layers[0].weight[:] = 1


def given_a_bias(model):
    model.layers[2].bias = 1


KNOWN = [trained, stepped, moved, given_parameters, given_a_weight, given_a_bias]


@pytest.mark.parametrize("change", KNOWN)
@pytest.mark.parametrize("name", ["predict", "loss"])
def test_a_model_that_was_trained_or_given_parameters_is_used_in_silence(change, name):
    model = gd.Model(LAYERS)
    change(model)
    use(copy.deepcopy(model), name)
    use(model, name)


@pytest.mark.parametrize("layer", [gd.Linear(3, 1, init="zeros"), gd.Linear(3, 1, init=np.ones((1, 3)))])
def test_weights_that_are_not_random_are_used_in_silence(layer):
    use(gd.Model([layer]), "predict")


def test_a_loaded_model_is_used_in_silence(tmp_path):
    gd.Model(LAYERS).save(tmp_path / "m")
    use(gd.Model.load(tmp_path / "m"), "predict")
    gd.Trainer(gd.Model(LAYERS)).save(tmp_path / "run")
    use(gd.Trainer.load(tmp_path / "run").model, "predict")


def test_a_file_beside_fastgd_is_not_inside():
    """What only begins with the same path is the user's."""
    name = f"{gd.__path__[0]}_more.py"
    with pytest.warns(gd.UsageWarning) as caught:
        exec(compile("gd.Model([gd.Linear(1, 1)]).predict([[1]])", name, "exec"), {"gd": gd})
    assert caught[0].filename == name


def test_an_error_comes_before_a_warning():
    with pytest.raises(ValueError, match="no mean and scale yet"):
        gd.Model([gd.Standardize(3), *LAYERS]).predict(X)


def test_the_article_is_followed_in_silence():
    model = worked_example("float64")
    model.predict(WORKED_X)
    gd.Trainer(model, optimizer=gd.SGD(1e-7)).fit(WORKED_X, WORKED_Y)
    for seed in range(10):
        data = gd.data.synthetic(2000, 5, noise=0.1, seed=seed)
        for rows in (data, gd.data.ArrayDataset(*data.arrays())):
            gd.Trainer(gd.Model([gd.Linear(5, 1), gd.ReLU()])).fit(rows)


# Rows in order.


def of_classes(name):
    data = getattr(datasets, f"load_{name}")()
    order = np.argsort(data.target, kind="stable")
    return data.data[order], data.target[order], len(data.target_names)


def fit(X, y, n_outputs=1, loss="half_squared_error", batch_size=1, **options):
    model = gd.Model([gd.Standardize(np.shape(X)[1]), gd.Linear(np.shape(X)[1], n_outputs)])
    gd.Trainer(model, loss, gd.SGD(1e-3), batch_size=batch_size, **options).fit(X, y)


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [1, 32])
@pytest.mark.parametrize("name", ["iris", "wine", "digits", "breast_cancer"])
def test_classes_one_after_the_other(name, batch_size):
    X, y, k = of_classes(name)
    with pytest.warns(gd.UsageWarning, match=SORTED) as caught:
        fit(X, y, k, "cross_entropy", batch_size)
    assert [warning.filename for warning in caught] == [__file__]
    # Whichever class comes first.
    with pytest.warns(gd.UsageWarning, match=SORTED):
        fit(X[::-1], (y[::-1] + 1) % k, k, "cross_entropy", batch_size)
    fit(X, y, k, "cross_entropy", shuffle=True)
    fit(X, y, k, "cross_entropy", batch_size=None)
    fit(X, y, k, "cross_entropy", batch_size=len(X) - 20)


@pytest.mark.parametrize("sign", [1, -1])
def test_targets_that_rise_or_fall(sign):
    data = datasets.load_diabetes()
    order = np.argsort(sign * data.target)
    with pytest.warns(gd.UsageWarning, match=SORTED):
        fit(data.data[order], data.target[order] / 100)


def test_one_of_several_targets_is_enough(rng):
    y = np.stack([rng.standard_normal(40), np.repeat([0, 1], 20)], axis=1)
    with pytest.warns(gd.UsageWarning, match=SORTED):
        fit(X, y, 2)


def test_a_memory_map_is_looked_at(tmp_path):
    X, y, k = of_classes("iris")
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "y.npy", y)
    with pytest.warns(gd.UsageWarning, match=SORTED):
        fit(gd.data.open(tmp_path / "X.npy", tmp_path / "y.npy").X, y, k, "cross_entropy")


def test_a_run_is_warned_of_once():
    X, y, k = of_classes("iris")
    trainer = gd.Trainer(gd.Model([gd.Linear(4, k)]), "cross_entropy")
    with pytest.warns(gd.UsageWarning):
        trainer.fit(X, y)
    trainer.fit(X, y)


KINDS = {
    "numbers": lambda rng, n: rng.standard_normal(n),
    "heavy tails": lambda rng, n: rng.standard_t(1, n),
    "halves": lambda rng, n: rng.integers(0, 2, n),
    "ten classes": lambda rng, n: rng.integers(0, 10, n),
    "rare": lambda rng, n: rng.random(n) < 0.05,
    "very rare": lambda rng, n: rng.random(n) < 0.005,
    "mostly zero": lambda rng, n: rng.standard_normal(n) * (rng.random(n) < 0.1),
    "counts": lambda rng, n: rng.poisson(0.3, n),
    "in turns": lambda rng, n: np.arange(n) % 10,
    "a random walk": lambda rng, n: rng.standard_normal(n).cumsum(),
    "seasons": lambda rng, n: np.sin(np.arange(n) / n * 12) + 0.01 * rng.standard_normal(n),
    "all the same": lambda rng, n: np.ones(n),
    "one other at the end": lambda rng, n: np.arange(n) == n - 1,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_rows", [3, 32, 40, 150, 1280])
def test_rows_that_are_not_sorted_are_trained_on_in_silence(kind, n_rows):
    trainer = gd.Trainer(gd.Model([gd.Linear(3, 1)]))
    for seed in range(100):
        y = KINDS[kind](np.random.default_rng(seed), n_rows)
        data = gd.data.ArrayDataset(np.ones((n_rows, 3)), y)
        warn_of_targets(trainer.model, trainer.loss, data, rows_per_update=1, shuffle=False)


# A ReLU at the end.


def relu(X, y, *layers, loss="half_squared_error"):
    model = gd.Model([gd.Linear(3, np.ndim(y)), gd.ReLU(), *layers])
    gd.Trainer(model, loss, gd.SGD(1e-3)).fit(X, y)


@pytest.mark.parametrize("layers", [(), (gd.Dropout(0.5),), (gd.Identity(), gd.Dropout(0.1))])
def test_targets_that_a_relu_does_not_reach(layers):
    match = (
        rf"targets go down to {Y.min():.3g} and the model ends in ReLU.* R² can be 0\.\d\d at most\. Expected Linear"
    )
    with pytest.warns(gd.UsageWarning, match=match) as caught:
        relu(X, Y, *layers)
    assert [warning.filename for warning in caught] == [__file__]


def test_how_good_a_relu_can_be():
    y = np.tile([-1.0, 2.0], 20)
    with pytest.warns(gd.UsageWarning, match=r"go down to -1 .* R² can be 0\.78 at most"):
        relu(X, y)
    with pytest.warns(gd.UsageWarning, match=r"go down to -2 .* R² can be 0\.00 at most"):
        relu(X, np.full(40, -2.0))
    best = np.maximum(y, 0)
    assert 1 - ((y - best) ** 2).sum() / ((y - y.mean()) ** 2).sum() == pytest.approx(7 / 9)


@pytest.mark.parametrize("y", [abs(Y), np.maximum(Y, -0.1), np.zeros(40), Y > 0, Y[:31]])
def test_targets_that_it_reaches_and_few_rows_are_learnt_in_silence(y):
    relu(X[: len(y)], y)


def test_others_may_be_below_zero():
    gd.Trainer(gd.Model(LAYERS)).fit(X, Y)
    gd.Trainer(gd.Model([gd.Linear(3, 1), gd.LeakyReLU()])).fit(X, Y)
    relu(X, np.where(Y < 0, -1, 1), loss="hinge")


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (gd.Sigmoid(), r"from -3 to 3 and the model ends in Sigmoid, which gives nothing beyond 0 and 1: .* 0\.28 at"),
        (gd.Tanh(), r"from -3 to 3 and the model ends in Tanh, which gives nothing beyond -1 and 1: .* 0\.57 at"),
    ],
)
def test_targets_beyond_a_sigmoid_or_a_tanh(layer, words):
    y = np.tile([-3.0, 0.5, 3.0, -0.5], 10)
    layers = [gd.Linear(3, 1), layer]
    with pytest.warns(gd.UsageWarning, match=f"targets go {words} most. Expected Linear"):
        gd.Trainer(gd.Model(layers)).fit(X, y)
    gd.Trainer(gd.Model(layers)).fit(X, abs(y) / 3)
    best = np.clip(y, -1 if isinstance(layer, gd.Tanh) else 0, 1)
    assert f"{1 - ((y - best) ** 2).sum() / (y**2).sum():.2f}" in words.replace("\\", "")


@pytest.mark.parametrize("layer", [gd.Sigmoid(), gd.ReLU(), gd.Tanh()])
@pytest.mark.parametrize(("loss", "made"), [("log_loss", "probabilities"), ("poisson", "rates")])
def test_an_activation_before_a_loss_that_takes_any_number(layer, loss, made):
    trainer = gd.Trainer(gd.Model([gd.Linear(3, 1), layer, gd.Dropout(0.1)]), loss)
    kind = type(layer).__name__
    with pytest.warns(gd.UsageWarning, match=rf"ends in {kind}, .*, and {loss} makes {made} of any number.*Expected"):
        trainer.fit(X, Y > 0)
    # Said once.
    trainer.fit(X, Y > 0)
