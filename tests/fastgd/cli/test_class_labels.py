"""The command line on class labels: from a file of them to one of predictions."""

import re

import numpy as np
import pytest
from command_line import run
from scipy import sparse

import fastgd as gd
from fastgd.cli.classes import may_be_classes
from fastgd.sklearn import GDClassifier

WORDS = np.array(["virginica", "setosa", "versicolor"])


@pytest.fixture
def flowers(tmp_path):
    """Three classes that a linear model tells apart, and the number of each row's."""
    rng = np.random.default_rng(7)
    number = rng.permutation(np.arange(300) % 3)
    centres = np.array([[0, 0, 4, 1], [4, 0, 0, 1], [0, 4, 0, 1]])
    np.save(tmp_path / "X.npy", centres[number] + rng.standard_normal((300, 4)) * [1, 1, 1, 100])
    return tmp_path, number


def trained(capsys, folder, *options):
    arguments = [folder / "X.npy", "--target", folder / "y.npy", "--quiet", "--epochs", 10, "--out", folder / "m"]
    status, out, err = run(capsys, "train", *arguments, *options)
    assert (status, err) == (0, "")
    return out


def predicted(capsys, folder, *options):
    status, out, err = run(capsys, "predict", folder / "m", folder / "X.npy", "--out", folder / "p.npy", *options)
    assert (status, err) == (0, "")
    return np.load(folder / "p.npy"), out


def accuracy(out):
    return float(re.search(r"^accuracy +([\d.]+) on \d+ rows that were not learnt from$", out, re.MULTILINE)[1])


THREE = {
    "strings": WORDS,
    "bytes": WORDS.astype("S"),
    "integers": np.array([70000, -5, 3], "i4"),
    "floats": np.array([1.5, 0.0, -2.0], "f4"),
    "big-endian": np.array([3, 1, 2], ">i2"),
}


@pytest.mark.parametrize("kind", THREE)
def test_labels_come_back(kind, capsys, flowers):
    folder, number = flowers
    y = THREE[kind][number]
    np.save(folder / "y.npy", y)
    out = trained(capsys, folder, *([] if kind in ("strings", "bytes") else ["--task", "classification"]))
    assert accuracy(out) > 0.9
    assert re.search(r"^classes +3: ", out, re.MULTILINE)
    assert "cross_entropy" in out
    found, out = predicted(capsys, folder)
    assert found.dtype == y.dtype.newbyteorder("=")
    assert found.shape == (300,)
    assert (found == y).mean() > 0.9
    assert out.startswith(f"{folder}/p.npy: 300 rows, labels of ")
    p, _ = predicted(capsys, folder, "--probabilities")
    assert p.shape == (300, 3)
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(np.unique(y)[p.argmax(axis=1)], found)


def test_an_estimators_file(capsys, flowers):
    folder, number = flowers
    X = np.load(folder / "X.npy")
    classifier = GDClassifier((8,), max_iter=5, tol=None, random_state=0).fit(X, WORDS[number])
    classifier.save(folder / "m")
    found, out = predicted(capsys, folder)
    np.testing.assert_array_equal(found, classifier.predict(X))
    assert out == f"{folder}/p.npy: 300 rows, labels of 'setosa', 'versicolor', 'virginica', <U10\n"
    p, _ = predicted(capsys, folder, "--probabilities")
    np.testing.assert_array_equal(p, classifier.predict_proba(X))
    assert "classes        3: 'setosa'" in run(capsys, "info", folder / "m")[1]


def test_rates(capsys, flowers):
    """By the Poisson loss, what is predicted is in the units of the target, in a column of its name."""
    folder, _ = flowers
    X = np.load(folder / "X.npy")
    y = np.random.default_rng(0).poisson(np.exp(X[:, 0] / 2))
    lines = [",".join(map(str, row)) for row in np.column_stack([X, y]).tolist()]
    (folder / "t.csv").write_text("\n".join(["a,b,c,d,count", *lines]))
    arguments = ["--target", "count", "--loss", "poisson", "--quiet", "--out", folder / "m"]
    assert run(capsys, "train", folder / "t.csv", *arguments)[::2] == (0, "")
    status, out, err = run(capsys, "predict", folder / "m", folder / "t.csv", "--out", folder / "p.csv")
    assert (status, out, err) == (0, f"{folder}/p.csv: 300 rows x 1 rates, float32\n", "")
    name, *found = (folder / "p.csv").read_text().split()
    assert name == "count"
    assert 0.9 < np.mean(list(map(float, found))) / y.mean() < 1.1
    assert "rates: the outputs are their logarithms" in run(capsys, "info", folder / "m")[1]


@pytest.mark.parametrize(
    ("values", "loss"),
    [
        *((values, "log_loss") for values in ([False, True], ["no", "yes"], [0.0, 1.0])),
        *((values, "hinge") for values in ([False, True], [3, 7], [-1.0, 1.0])),
        (["no", "yes"], None),
    ],
    ids=str,
)
def test_two_classes(values, loss, capsys, flowers):
    """An output for each or one for both, as the loss takes them."""
    folder, number = flowers
    y = np.array(values)[(number == 1).astype(int)]
    np.save(folder / "y.npy", y)
    options = ["--task", "classification"] if loss is None else ["--loss", loss]
    assert accuracy(trained(capsys, folder, *options)) > 0.9
    model = gd.Model.load(folder / "m")
    assert model.out_features == (2 if loss is None else 1)
    found, _ = predicted(capsys, folder)
    assert found.dtype == y.dtype
    assert (found == y).mean() > 0.9
    if loss == "hinge":
        status, _, err = run(
            capsys, "predict", folder / "m", folder / "X.npy", "--out", folder / "q.npy", "--probabilities"
        )
        assert status == 2
        assert "outputs of hinge are no probabilities" in err
        assert not (folder / "q.npy").exists()
    else:
        p, _ = predicted(capsys, folder, "--probabilities")
        np.testing.assert_array_equal(np.array(values)[(p[:, 1] > 0.5).astype(int)], found)


def test_booleans_are_classes_by_themselves_and_numbers_where_that_is_said(capsys, flowers):
    folder, number = flowers
    np.save(folder / "y.npy", number == 1)
    assert "accuracy" in trained(capsys, folder)
    assert predicted(capsys, folder)[0].dtype == bool
    for options in (["--task", "regression"], ["--loss", "half_squared_error"]):
        assert "R²" in trained(capsys, folder, *options)
        assert predicted(capsys, folder)[0].shape == (300, 1)


@pytest.mark.parametrize("is_kept", [True, False])
def test_booleans_of_a_table(is_kept, capsys, flowers, monkeypatch):
    """In memory and, of many rows, as a stream."""
    if not is_kept:
        monkeypatch.setattr("fastgd.data.spooled.KEPT_BYTES", 100)
    folder, number = flowers
    rows = [
        [*map(str, x), str(k == 1).lower()] for x, k in zip(np.load(folder / "X.npy").tolist(), number, strict=True)
    ]
    (folder / "t.csv").write_text("\n".join(map(",".join, [["a", "b", "c", "d", "tall"], *rows])))
    arguments = ["--target", "tall", "--epochs", 5, "--quiet", "--out", folder / "m"]
    assert "classes      2: False, True" in run(capsys, "train", folder / "t.csv", *arguments)[1]
    assert gd.Model.load(folder / "m").classes.tolist() == [False, True]
    out = run(capsys, "train", folder / "t.csv", *arguments, "--task", "regression")[1]
    assert "half_squared_error" in out
    assert "classes" not in out


def test_the_same_model_as_from_python(capsys, flowers):
    folder, number = flowers
    np.save(folder / "y.npy", WORDS[number])
    trained(capsys, folder, "--learning-rate", 0.1, "--validation", folder / "X.npy", folder / "y.npy")
    classes = gd.labels.classes_of(WORDS[number])
    model = gd.Model([gd.Standardize(4), gd.Linear(4, 3)])
    trainer = gd.Trainer(model, "cross_entropy", gd.SGD(0.1), batch_size=32, shuffle=True)
    trainer.fit(np.load(folder / "X.npy"), gd.labels.encode(WORDS[number], classes, "cross_entropy"), epochs=10)
    np.testing.assert_array_equal(gd.Model.load(folder / "m").parameters, model.parameters)


def test_targets_that_are_probabilities(capsys, flowers):
    """There are no labels to give back."""
    folder, number = flowers
    np.save(folder / "y.npy", np.where(number == 1, 0.9, 0.2))
    trained(capsys, folder, "--loss", "log_loss")
    z, _ = predicted(capsys, folder)
    p, out = predicted(capsys, folder, "--probabilities")
    assert "300 rows x 1 probabilities" in out
    np.testing.assert_allclose(p, 1 / (1 + np.exp(-z)), rtol=1e-5)


def test_several_columns_are_taken_as_they_are(capsys, flowers):
    folder, number = flowers
    np.save(folder / "y.npy", np.eye(3)[number])
    assert accuracy(trained(capsys, folder, "--loss", "log_loss")) > 0.9
    assert predicted(capsys, folder, "--probabilities")[0].shape == (300, 3)
    np.save(folder / "y.npy", 2 * np.eye(3)[number] - 1)
    assert accuracy(trained(capsys, folder, "--loss", "hinge")) > 0.9


def test_validation_rows_have_the_same_classes(capsys, flowers):
    """Numbered alike, also where some are missing there."""
    folder, number = flowers
    np.save(folder / "y.npy", WORDS[number])
    X = np.load(folder / "X.npy")
    np.save(folder / "Xv.npy", X[number != 1])
    np.save(folder / "yv.npy", WORDS[number[number != 1]])
    out = trained(capsys, folder, "--validation", folder / "Xv.npy", folder / "yv.npy")
    assert accuracy(out) > 0.9


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "is_told"), [([], True), (["--task", "regression"], False), (["--loss", "huber"], False)], ids=str
)
def test_a_word_about_integers_that_may_be_classes(options, is_told, capsys, flowers):
    folder, number = flowers
    np.save(folder / "y.npy", number)
    assert ("--task classification takes them as classes" in trained(capsys, folder, *options)) == is_told


@pytest.mark.parametrize(
    ("y", "may_be"),
    [
        (np.arange(300) % 3, True),
        (np.arange(300) % 3 - 1.0, True),
        (np.arange(300)[:, np.newaxis] % 3, True),
        (np.arange(300) % 3 + 0.5, False),
        (np.arange(300), False),
        (np.arange(10), False),
        (np.zeros(300), False),
        (np.eye(3), False),
    ],
    ids=[*("integers", "floats", "column", "fractions", "many", "few rows", "one", "several columns")],
)
def test_which_targets_may_be_classes(y, may_be):
    assert may_be_classes(y) == may_be


def test_a_folder_of_labels(capsys, flowers):
    folder, number = flowers
    np.save(folder / "y.npy", WORDS[number])
    for arguments in (["train", folder, "--out", folder / "m", "--quiet"], ["predict", folder / "m", folder]):
        status, _, err = run(capsys, *arguments, *([] if arguments[0] == "train" else ["--out", folder / "p.npy"]))
        assert (status, err) == (0, "")
    assert (np.load(folder / "p.npy") == WORDS[number]).mean() > 0.9


MISTAKES = {
    "loss of numbers": (WORDS, ["--loss", "huber"], "holds strings, as 'setosa', and --loss is huber, of numbers"),
    "task of numbers": (WORDS, ["--task", "regression"], "and --task is regression; expected --task classification"),
    "task and loss": ([0, 1, 2], ["--task", "regression", "--loss", "hinge"], "--loss is hinge, of classification"),
    "loss and task": ([0, 1, 2], ["--task", "classification", "--loss", "huber"], "--loss is huber, of regression"),
    "loss of two classes": (WORDS, ["--loss", "hinge"], "takes two classes, and there are 3"),
    "another name": ([0, 1, 2], ["--loss", "mse"], "Did you mean 'half_squared_error'?"),
    "another spelling": ([0, 1, 2], ["--loss", "Cross-Entropy"], "Did you mean 'cross_entropy'?"),
    "unknown label": (
        WORDS,
        ["--validation", "{folder}/X.npy", "{folder}/misspelt.npy"],
        "misspelt.npy holds 'setoza' in row 299; expected one of the classes 'setosa', 'versicolor', 'virginica'",
    ),
    "numbers for words": (WORDS, ["--validation", "{folder}/X.npy", "{folder}/X.npy"], "has shape (300, 4)"),
    "one class": (["a", "a", "a"], [], "y.npy holds 'a' in every row"),
    "NaN": ([0, 1, np.nan], ["--task", "classification"], "y.npy holds nan in row"),
    "NaN in numbers": ([0, 1, np.nan], [], "y holds nan"),
    "objects": (
        WORDS.astype(object),
        [],
        "holds Python objects, which loading could run code of; expected numbers, or",
    ),
    "strings for X": (
        WORDS,
        ["--validation", "{folder}/words.npy", "{folder}/y.npy"],
        "where they are numbers in strings, array.astype(float)",
    ),
    "dates": (np.array(["2020", "2021", "2022"], "M8[Y]"), [], "has dtype datetime64[Y]"),
    "probabilities of a regression": ([0.5, 1.5, 7], None, "the model has no classes"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_told_in_a_line(mistake, capsys, flowers):
    folder, number = flowers
    values, options, message = MISTAKES[mistake]
    np.save(folder / "y.npy", np.array(values)[np.where(np.arange(300) == 0, WORDS.tolist().index("setosa"), number)])
    np.save(folder / "words.npy", np.load(folder / "X.npy").astype(str))
    np.save(folder / "misspelt.npy", np.where(np.arange(300) == 299, "setoza", WORDS[number]))
    if options is None:
        trained(capsys, folder)
        arguments = ["predict", folder / "m", folder / "X.npy", "--out", folder / "p.npy", "--probabilities"]
    else:
        options = [option.format(folder=folder) for option in options]
        arguments = ["train", folder / "X.npy", "--target", folder / "y.npy", "--quiet", *options]
    status, _, err = run(capsys, *arguments)
    assert status == 2
    assert message in err
    assert err.count("\n") == 1
    assert not (folder / "p.npy").exists()


@pytest.mark.parametrize("options", [["--task", "classification"], ["--loss", "cross_entropy"]], ids=str)
def test_synthetic_rows_have_no_classes(options, capsys):
    status, _, err = run(capsys, "train", "--synthetic", "100x3", *options)
    assert status == 2
    assert "synthetic targets are numbers" in err


@pytest.mark.parametrize("kind", ["strings", "booleans"])
def test_labels_beside_sparse_rows(kind, capsys, flowers):
    folder, number = flowers
    sparse.save_npz(folder / "X.npz", sparse.csr_array(np.load(folder / "X.npy")))
    np.save(folder / "y.npy", WORDS[number] if kind == "strings" else number == 1)
    arguments = ["--target", folder / "y.npy", "--quiet", "--epochs", 10, "--out", folder / "m"]
    assert accuracy(run(capsys, "train", folder / "X.npz", *arguments)[1]) > 0.9
    classes = gd.Model.load(folder / "m").classes
    assert classes.tolist() == (sorted(WORDS) if kind == "strings" else [False, True])
    np.save(folder / "y.npy", np.load(folder / "y.npy")[:-1])
    assert "299" in run(capsys, "train", folder / "X.npz", *arguments)[2]
