"""`fastgd trace`: the worked example, and rows of files."""

import numpy as np
import pytest
from command_line import run

import fastgd as gd
from fastgd.data.columns import Columns


def test_the_worked_example_in_fractions(capsys):
    status, out, err = run(capsys, "trace", "--example", "article", "--epochs", 1, "--exact")
    assert (status, err) == (0, "")
    parts = out.strip().split("\n\n")
    assert [part.splitlines()[0] for part in parts] == [
        "before: mean loss 1/6",
        "update 1: row 0, loss 0, α = 1/10000000",
        "update 2: row 1, loss 0, α = 1/10000000",
        "update 3: row 2, loss 1/2, α = 1/10000000",
        "after 1 epoch: mean loss 2749/60000",
    ]
    assert [line.split() for line in parts[0].splitlines()[3:]] == [
        ["0", "(100,", "2000,", "100)", "(0)", "0", "0", "0", "right"],
        ["1", "(200,", "0,", "0)", "(1)", "1", "0", "1", "right"],
        ["2", "(0,", "2000,", "3000)", "(0)", "1", "1/2", "0", "wrong"],
    ]
    assert [line.split() for line in parts[-1].splitlines()[3:]] == [
        ["0", "(100,", "2000,", "100)", "(43/100)", "0", "1849/20000", "0", "right"],
        ["1", "(200,", "0,", "0)", "(1)", "1", "0", "1", "right"],
        ["2", "(0,", "2000,", "3000)", "(13/10)", "1", "9/200", "1", "right"],
    ]
    assert "ŵ2 = w2 - α δw2            (1/200, -17/290000, 137/290000)" in parts[3]


def test_the_worked_example_by_the_kernels(capsys):
    status, out, _ = run(capsys, "trace", "--example", "article", "--epochs", 2)
    assert status == 0
    assert out.startswith("before: mean loss 0.166667\n")
    assert "update 6: row 2, loss 0.006624, α = 1e-07" in out
    assert "after 2 epochs: mean loss 0.00738517" in out
    _, exactly, _ = run(
        capsys, "trace", "--example", "article", "--epochs", 1, "--exact", "--learning-rate", "1/10000000"
    )
    assert "α = 1/10000000" in exactly


@pytest.mark.parametrize(
    ("shown", "begins"),
    [
        ("markdown", "**before"),
        ("latex", "\\par\\noindent\\textbf{before"),
        ("html", '<meta charset="utf-8">\n\n<p><b>before'),
    ],
)
def test_formats(capsys, shown, begins):
    status, out, _ = run(capsys, "trace", "--example", "article", "--exact", "--format", shown)
    assert status == 0
    assert out.startswith(begins)


@pytest.fixture
def model(files):
    """A saved network for the rows of the files, and 10 features of them."""
    model = gd.Model([gd.Linear(10, 4), gd.ReLU(), gd.Linear(4, 2)], seed=1)
    model.save(files / "m")
    return model


def test_a_row_of_a_file(capsys, files, model):
    X, y = (np.load(files / f"{name}.npy") for name in "Xy")
    status, out, err = run(capsys, "trace", files / "m", files / "X.npy", "--row", 7)
    assert (status, err) == (0, "")
    assert out.startswith("row 7\n")
    assert "δ" not in out
    trace = gd.trace(model, X[7:8])
    assert trace[0].outputs[-1].shape == (1, 2)
    assert str(trace).partition("\n")[2] == out.strip().partition("\n")[2]
    status, out, _ = run(capsys, "trace", files / "m", files / "X.npy", files / "y.npy", "--row", "7:9")
    assert status == 0
    steps = gd.trace(model, X[7:9], y[7:9], learning_rate=0.001)
    for table in steps.tables:
        assert table.to_text().partition("\n")[2] in out
    assert "update 2: row 8, loss " in out
    before = {path.name: path.read_bytes() for path in files.iterdir()}
    _, of_folder, _ = run(capsys, "trace", files / "m", files, "--row", "7:9")
    assert of_folder == out
    assert before == {path.name: path.read_bytes() for path in files.iterdir()}


def test_fractions_of_a_saved_model(capsys, files, model):
    given = ["trace", files / "m", files / "X.npy", files / "y.npy", "--row", "7:9"]
    status, exactly, _ = run(capsys, *given, "--exact", "--batch-size", "full")
    assert status == 0
    _, out, _ = run(capsys, *given, "--batch-size", "full")
    assert exactly.splitlines()[0].replace("≈ ", "")[:25] == out.splitlines()[0][:25]
    assert "update 1: rows 7 to 8" in exactly


@pytest.mark.parametrize("target", ["price", "kind"])
def test_a_row_of_a_table(target, capsys, tmp_path):
    """By the names of the model's columns, with words for targets too; without the target the forward pass."""
    pytest.importorskip("pyarrow")
    lines = ["size,kind,price,city", "4,flat,3.5,Rome", "2,house,2.5,Oslo", "3,flat,3,Rome"]
    (tmp_path / "rows.csv").write_text("\n".join(lines) + "\n")
    columns = Columns(("city", "size"), {"city": ["Oslo", "Rome"]}, targets=(target,))
    model = gd.Model([gd.Linear(3, 1 + (target == "kind"))], seed=1)
    if target == "kind":
        model.set_classes(["flat", "house"], "cross_entropy")
    model.columns = columns
    model.save(tmp_path / "m")
    X = np.array([[1, 0, 2], [0, 1, 3]])
    settings, y, given = {"learning_rate": 0.001}, [2.5, 3], ["2.5", "3.0"]
    if target == "kind":
        settings, y, given = settings | {"loss": "cross_entropy"}, [1, 0], ["house", "flat"]
    status, out, _ = run(capsys, "trace", tmp_path / "m", tmp_path / "rows.csv", "--row", "1:3")
    assert status == 0
    for table in gd.trace(model, X, np.array(y), **settings).tables:
        assert table.to_text().partition("\n")[2] in out
    shown = [line.split(")")[-1].split()[0] for line in out.splitlines()[3:5]]
    assert shown == given
    (tmp_path / "new.csv").write_text("city,size\nOslo,2\n")
    status, forward, _ = run(capsys, "trace", tmp_path / "m", tmp_path / "new.csv")
    assert (status, forward.partition("\n")[2]) == (0, str(gd.trace(model, X[:1])).partition("\n")[2] + "\n")
    status, _, err = run(capsys, "trace", tmp_path / "m", tmp_path / "rows.csv", "--row", 3)
    assert status == 2
    assert "rows.csv has 3 rows; expected a row from 0 to 2" in err
    for arguments, message in (([tmp_path / "rows.csv"], "expected a table alone"), (["--exact"], "--exact without")):
        status, _, err = run(capsys, "trace", tmp_path / "m", tmp_path / "new.csv", *arguments)
        assert status == 2
        assert message in err


def test_labels(capsys, files):
    X = np.load(files / "X.npy")
    np.save(files / "labels.npy", np.where(X[:, 0] > 0, "yes", "no"))
    model = gd.Model([gd.Linear(10, 4), gd.ReLU(), gd.Linear(4, 2)], seed=1)
    model.set_classes(["no", "yes"], "cross_entropy")
    model.save(files / "m")
    status, out, _ = run(capsys, "trace", files / "m", files / "X.npy", files / "labels.npy", "--row", "0:5")
    assert status == 0
    assert "cross_entropy" in out
    rows = [line.split()[-3:] for line in out.splitlines()[3:8]]
    found = model.predict_classes(X[:5])
    assert [row[1] for row in rows] == found.tolist()
    is_right = found == np.load(files / "labels.npy")[:5]
    assert [row[2] for row in rows] == np.where(is_right, "right", "wrong").tolist()


BAD = {
    "nothing": ([], "expected either MODEL.safetensors and rows, or --example article"),
    "both": (["{folder}/m", "{folder}/X.npy", "--example", "article"], "expected either"),
    "no rows": (["{folder}/m"], "no rows for"),
    "row": (["{folder}/m", "{folder}/X.npy", "--row", "1000"], "has 1000 rows; expected a row from 0 to 999"),
    "rows": (["{folder}/m", "{folder}/X.npy", "--row", "5:5"], "--row is 5:5"),
    "row by words": (["{folder}/m", "{folder}/X.npy", "--row", "last"], "'last'; expected a row, as in 7"),
    "rows of the example": (["--example", "article", "--row", "1"], "--row with --example"),
    "dtype": (["{folder}/m", "{folder}/X.npy", "--dtype", "float64"], "--dtype with a model"),
    "rate alone": (["{folder}/m", "{folder}/X.npy", "--learning-rate", "1"], "--learning-rate without targets"),
    "rate": (["--example", "article", "--learning-rate", "fast"], "'fast'; expected a number, as in 0.01 or 1/100"),
    "negative rate": (["--example", "article", "--learning-rate", "-1"], "learning_rate is -1.0"),
    "epochs": (["--example", "article", "--epochs", "0"], "--epochs is 0; expected at least 1"),
    "exact loss": (["{folder}/m", "{folder}", "--exact", "--loss", "huber"], "--exact with the loss huber"),
    "exact layers": (["{folder}/tanh", "{folder}", "--exact"], "the model has Tanh(); expected Linear and ReLU alone"),
    "exact loss of the example": (["--example", "article", "--exact", "--loss", "huber"], "with the loss huber"),
    "exact rate": (["--example", "article", "--exact", "--learning-rate", "-1"], "learning_rate is -1.0"),
    "batch": (["--example", "article", "--exact", "--batch-size", "0"], "batch_size is 0; expected at least 1"),
    "columns": (["{folder}/m", "{folder}/X.npy", "{folder}/one.npy", "--exact"], "y has shape (1, 1); expected"),
    "features": (
        ["{folder}/m", "{folder}/one.npy", "{folder}/one.npy"],
        "X has shape (1, 1); expected (n_samples, 10)",
    ),
    "NaN": (["{folder}/m", "{folder}/X.npy", "{folder}/nan.npy", "--exact"], "y holds nan"),
    "text": (["{folder}/m", "{folder}/X.npy", "{folder}/text.npy"], "y has dtype <U1; expected real numbers"),
    "no model": (["{folder}/X.npy", "{folder}/X.npy"], "is not a safetensors file"),
    "lengths": (["{folder}/m", "{folder}/X.npy", "{folder}/short.npy"], "has 3 rows and"),
    "two targets": (["{folder}/m", "{folder}", "{folder}/y.npy"], "brings its own y.npy"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(capsys, files, model, case):
    arguments, message = BAD[case]
    np.save(files / "short.npy", np.ones((3, 2)))
    np.save(files / "one.npy", np.ones((1000, 1)))
    np.save(files / "nan.npy", np.full((1000, 2), np.nan))
    np.save(files / "text.npy", np.full((1000, 2), "a"))
    gd.Model([gd.Linear(10, 2), gd.Tanh()]).save(files / "tanh")
    status, out, err = run(capsys, "trace", *(argument.format(folder=files) for argument in arguments))
    assert (status, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
