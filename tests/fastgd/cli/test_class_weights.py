"""--class-weight: what it says is what --sample-weight says row by row."""

import re

import numpy as np
import pytest
from command_line import run
from sklearn.utils.class_weight import compute_class_weight

import fastgd as gd
from fastgd.data import spooled

OPTIONS = ["--quiet", "--epochs", 5, "--task", "classification"]


@pytest.fixture
def rows():
    """Features, and the number of each row's class, a rare one."""
    rng = np.random.default_rng(3)
    X = rng.standard_normal((300, 2)).astype(np.float32)
    return X, (X[:, 0] + rng.standard_normal(300) > 1.3).astype(int)


def save_csv(path, X, labels, *others):
    columns = (
        [
            *map(str, X.T[0]),
        ],
        [*map(str, X.T[1])],
        labels,
        *others,
    )
    names = ["a", "b", "kind", "w"][: len(columns)]
    path.write_text("\n".join(map(",".join, [names, *zip(*columns, strict=True)])) + "\n")


def trained(capsys, model, *arguments):
    status, out, err = run(capsys, "train", *arguments, *OPTIONS, "--out", model)
    assert (status, err) == (0, "")
    return gd.Model.load(model).parameters, out


LABELS = {
    "words": (["no", "yes"], "yes=4", [1, 4]),
    "truths": (["true", "false"], "True=0.5,false=2", [0.5, 2]),
    "integers": (["3", "7"], "7=4,3=0", [0, 4]),
    "balanced": (["no", "yes"], "balanced", None),
    "words of streams": (["no", "yes"], "yes=4", [1, 4]),
}


@pytest.mark.parametrize("kind", LABELS)
@pytest.mark.parametrize("is_weighted", [False, True])
def test_weights_of_classes(kind, is_weighted, rows, tmp_path, capsys, monkeypatch):
    pytest.importorskip("pyarrow")
    (X, number), (names, text, weights) = rows, LABELS[kind]
    v = np.arange(300) % 3 + 0.5 if is_weighted else np.ones(300)
    if weights is None:
        # Of weighted rows, by their weights, as if each stood there so often.
        repeated = np.repeat(number, (2 * v).astype(int))
        weights = compute_class_weight("balanced", classes=np.array([0, 1]), y=repeated)
    labels, by_class = [names[k] for k in number], np.array(weights)[number]
    save_csv(tmp_path / "plain.csv", X, labels, *([map(str, v)] if is_weighted else []))
    save_csv(tmp_path / "weights.csv", X, labels, map(str, v * by_class))
    if "streams" in kind:
        monkeypatch.setattr(spooled, "KEPT_BYTES", 1000)
    target = ["--target", "kind"]
    weight = ["--sample-weight", "w"]
    found, out = trained(
        capsys, tmp_path / "m", tmp_path / "plain.csv", *target, *(weight * is_weighted), "--class-weight", text
    )
    expected, other = trained(capsys, tmp_path / "n", tmp_path / "weights.csv", *target, *weight)
    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=1e-7)
    shown = re.search(r"^weights +([\d.]+), ([\d.]+) times those of the rows$", out, re.MULTILINE)
    np.testing.assert_allclose(np.sort(list(map(float, shown.groups()))), np.sort(weights), rtol=1e-3)
    if "streams" not in kind:
        score = r"^accuracy .* not learnt from, weighed$"
        assert re.search(score, out, re.MULTILINE)[0] == re.search(score, other, re.MULTILINE)[0]


def test_rows_to_judge_by_are_weighted_too(rows, tmp_path, capsys):
    X, number = rows
    for name, x, y in (("", X[:200], number[:200]), ("v", X[200:], number[200:])):
        np.save(tmp_path / f"X{name}.npy", x)
        np.save(tmp_path / f"y{name}.npy", y)
    files = [tmp_path / "X.npy", "--target", tmp_path / "y.npy"]
    judged = ["--validation", tmp_path / "Xv.npy", tmp_path / "yv.npy"]
    _, out = trained(capsys, tmp_path / "m", *files, *judged, "--class-weight", "1=5")
    model = gd.Model.load(tmp_path / "m")
    is_right = model.predict_classes(X[200:]) == number[200:]
    expected = np.average(is_right, weights=np.array([1, 5])[number[200:]])
    found = float(re.search(r"^accuracy +([\d.]+) on 100 rows", out, re.MULTILINE)[1])
    assert found == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--class-weight", "maybe=2"], "--class-weight is for 'maybe'; expected some of the classes 0, 1, as in 0=2"),
        (["--class-weight", "1"], "'1'; expected balanced, or LABEL=WEIGHT,... with weights of at least 0"),
        (["--class-weight", "1=-2"], "'1=-2'; expected balanced"),
        (["--class-weight", "1=2,1=3"], "--class-weight is for '1' twice; expected once"),
        (["--class-weight", "1=2", "--task", "regression"], "--class-weight, and targets are numbers; expected class"),
    ],
)
def test_what_is_refused(options, expected, rows, tmp_path, capsys):
    np.save(tmp_path / "X.npy", rows[0])
    np.save(tmp_path / "y.npy", rows[1])
    status, _, err = run(capsys, "train", tmp_path / "X.npy", "--target", tmp_path / "y.npy", *OPTIONS, *options)
    assert status == 2
    assert expected in err


def test_without_rows_of_files(capsys):
    status, _, err = run(capsys, "train", "--class-weight", "balanced")
    assert status == 2
    assert "--target, --sample-weight or --class-weight without X" in err
