"""The commands, as a user meets them."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest
from command_line import SMALL, run

import fastgd as gd


def test_train_reports(capsys):
    status, out, err = run(capsys, "train", *SMALL, "--epochs", 3)
    assert (status, err) == (0, "")
    for pattern in (
        r"data +2000 rows x 10 features, synthetic",
        r"model +Linear\(10, 1\), ReLU\(\): 11 parameters, float32",
        r"loss +[\d.]+ \(noise floor 0.005\) after 3 epochs",
        r"speed +[\d,]+ rows per second, [\d.]+% of the \d+ GB/s",
        r"pure Python +[\d,]+ rows per second on 2000 of the rows: fastgd is [\d,]+ times as fast",
    ):
        assert re.search(pattern, out), pattern
    assert float(re.search(r"differ by at most (\S+)", out)[1]) < 1e-4


def test_train_shows_progress(capsys):
    _, _, err = run(capsys, "train", "--synthetic", "2000x10", "--epochs", 2)
    assert "4.00k/4.00k" in err
    assert "row/s" in err


def test_train_is_the_trainer(capsys, files):
    """Files, options and the saved model."""
    out = files / "m.safetensors"
    status, text, _ = run(
        capsys, "train", files / "X.npy", "--target", files / "y.npy", "--hidden", "6,5", "--epochs", 2,
        "--batch-size", 32, "--learning-rate", 0.01, "--seed", 7, "--dtype", "float64", "--no-standardize",
        "--no-standardize-targets", "--alpha", 0,
        "--out", out,
        "--validation", files / "X.npy", files / "y.npy", "--quiet",
    )  # fmt: skip
    assert status == 0
    assert "validation" in text
    layers = [gd.Linear(10, 6), gd.ReLU(), gd.Linear(6, 5), gd.ReLU(), gd.Linear(5, 2)]
    model = gd.Model(layers, dtype="float64", seed=7)
    trainer = gd.Trainer(model, optimizer=gd.SGD(0.01), batch_size=32, shuffle=True, seed=7)
    trainer.fit(gd.data.open(files), epochs=2)
    np.testing.assert_array_equal(gd.Model.load(out).parameters, model.parameters)


def test_predict(capsys, files):
    run(capsys, "train", files, "--hidden", "4", "--out", files / "m", "--quiet")
    status, text, _ = run(capsys, "predict", files / "m", files / "X.npy", "--out", files / "p.npy")
    assert status == 0
    assert "1000 rows x 2 outputs" in text
    expected = gd.Model.load(files / "m").predict(np.load(files / "X.npy"))
    np.testing.assert_array_equal(np.load(files / "p.npy"), expected)


@pytest.mark.filterwarnings("ignore:targets go down to")
@pytest.mark.parametrize(
    ("output", "ends_in_relu"), [([], False), (["--output", "relu"], True), (["--output", "linear"], False)]
)
def test_output_layer(capsys, files, output, ends_in_relu):
    run(capsys, "train", files, *output, "--out", files / "m", "--quiet")
    assert isinstance(gd.Model.load(files / "m").layers[-1], gd.ReLU) == ends_in_relu


def test_batch_size_full(capsys):
    assert run(capsys, "train", *SMALL, "--batch-size", "full")[0] == 0


def test_rows_that_do_not_fit_are_made_anew(capsys, monkeypatch):
    kept = run(capsys, "train", *SMALL)[1]
    monkeypatch.setattr("fastgd.cli.rows._KEPT_BYTES", 0)
    streamed = run(capsys, "train", *SMALL)[1]
    assert "made anew in each epoch" in streamed
    assert re.search("loss .*", streamed)[0] == re.search("loss .*", kept)[0]


def test_weights_that_are_all_zero_are_reported(capsys, files):
    np.save(files / "w.npy", np.zeros(1000))
    status, out, _ = run(
        capsys, "train", files / "X.npy", "--target", files / "y.npy", "--sample-weight", files / "w.npy", "--quiet",
        "--validation", files / "X.npy", files / "y.npy", "--no-standardize",
        "--no-standardize-targets",
    )  # fmt: skip
    assert status == 0
    assert "no learning rate, as all weights are zero" in out


def test_what_patience_kept_is_what_is_reported(capsys, files):
    given = [files / "X.npy", "--target", files / "y.npy", "--quiet", "--out", files / "m.safetensors"]
    few, y = np.random.default_rng(0).normal(size=(50, 3)), np.random.default_rng(1).normal(size=50)
    np.save(files / "X.npy", few)
    np.save(files / "y.npy", y)
    _, out, _ = run(capsys, "train", *given, "--validation", 0.5, "--hidden", 16, "--patience", 3)
    validation, n_epochs, best = re.search(
        r"validation (\S+) after (\d+) epochs, of which number (\d+) is kept", out
    ).groups()
    assert int(best) == int(n_epochs) - 3
    held_out = np.random.default_rng([0, 0, 1]).permutation(50)[:25]
    loss = gd.Model.load(files / "m.safetensors").loss(few[held_out], y[held_out])
    assert float(validation) == pytest.approx(loss, rel=1e-5)
    # There is no R² of a single row.
    np.save(files / "X.npy", few[:5])
    np.save(files / "y.npy", y[:5])
    assert "R²           unknown on 1 row that was not learnt from" in run(capsys, "train", *given, "--epochs", 2)[1]


def test_beginnings_of_options_are_none(capsys, files):
    """`--lr` would be the decay of a rate."""
    status, _, err = run(capsys, "train", "--synthetic", "10x2", "--lr=0.1")
    assert status == 2
    assert "unrecognized arguments: --lr=0.1. Did you mean --learning-rate? See fastgd COMMAND --help" in err
    for given, meant in (("--epoch", ". Did you mean --epochs?"), ("--zzz", "; see fastgd COMMAND --help")):
        _, _, err = run(capsys, "train", "--synthetic", "10x2", given, 3)
        assert f"unrecognized arguments: {given}{meant}" in err


def test_rows_of_ones_own_are_learnt_well_untold(capsys, files):
    """Standardised, shuffled, in batches of 32, and judged by a fifth of them."""
    X, y = gd.data.synthetic(1000, 10, 1, (4,), noise=0.1, seed=1).arrays()
    X *= np.logspace(-4, 4, 10, dtype=np.float32)
    np.save(files / "X.npy", X)
    np.save(files / "y.npy", y)
    given = [files / "X.npy", "--target", files / "y.npy", "--hidden", 16, "--epochs", 30, "--quiet"]
    status, out, err = run(capsys, "train", *given, "--out", files / "m")
    assert (status, err) == (0, "")
    assert "training     32 rows per update" in out
    found = float(re.search(r"^R² +([\d.-]+) on 200 rows that were not learnt from$", out, re.MULTILINE)[1])
    assert found > 0.9
    held_out = np.random.default_rng([0, 0, 1]).permutation(1000)[:200]
    model = gd.Model.load(files / "m")
    assert isinstance(model.layers[0], gd.Standardize)
    z, held_out_y = model.predict(X[held_out]), y[held_out]
    assert found == pytest.approx(
        1 - ((z - held_out_y) ** 2).sum() / ((held_out_y - held_out_y.mean()) ** 2).sum(), abs=1e-3
    )
    order = ["--no-shuffle", "--no-standardize", "--batch-size", 1, "--validation", files / "X.npy", files / "y.npy"]
    status, out, _ = run(capsys, "train", *given, *order, "--out", files / "m")
    assert not isinstance(gd.Model.load(files / "m").layers[0], gd.Standardize)
    assert "training     1 rows per update" in out


@pytest.mark.parametrize(("loss", "hidden"), [("cross_entropy", []), ("log_loss", ["--hidden", 8]), ("hinge", [])])
def test_classes_are_judged_by_their_accuracy(loss, hidden, capsys, files):
    X = np.load(files / "X.npy")
    is_positive = X[:, 0] > X[:, 1]
    np.save(files / "y.npy", np.where(is_positive, 1, -1) if loss == "hinge" else is_positive)
    status, out, _ = run(capsys, "train", files, "--loss", loss, *hidden, "--epochs", 20, "--quiet")
    assert status == 0
    assert float(re.search(r"^accuracy +([\d.]+) on 200 rows", out, re.MULTILINE)[1]) > 0.9


@pytest.mark.parametrize("given", [["half"], ["0", "0.3", "0.4"], ["1.5"]])
def test_what_is_no_validation(given, capsys, files):
    status, _, err = run(capsys, "train", files, "--validation", *given)
    assert status == 2
    assert "expected a share of the rows" in err or "expected a fraction" in err


def test_no_validation(capsys, files):
    status, out, _ = run(capsys, "train", files, "--validation", 0, "--quiet")
    assert status == 0
    assert "validation" not in out


def test_info_and_warmup(tmp_path):
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "fastgd"]
    output = subprocess.run([*command, "info"], env=environment, capture_output=True, text=True, check=True).stdout
    assert re.search(rf"^fastgd +{gd.__version__}$", output, re.MULTILINE)
    assert re.search(rf"^cache +{re.escape(str(tmp_path))}", output, re.MULTILINE)
    assert re.search("^cache writable +yes$", output, re.MULTILINE)
    for name in ("python", "numba", "numpy", "processors", "threads"):
        assert re.search(rf"^{name} +\S", output, re.MULTILINE)


@pytest.mark.slow
def test_after_warmup_nothing_compiles(tmp_path):
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "fastgd"]
    subprocess.run([*command, "warmup"], env=environment, capture_output=True, check=True)
    compiled = sorted(path.name for path in tmp_path.rglob("*.nbc"))
    online = ["--hidden", "16", "--batch-size", "1"]
    batches = ["--hidden", "5", "--batch-size", "8", "--dtype", "float64"]
    for options in ([], ["--shuffle"], online, batches):
        subprocess.run([*command, "train", *SMALL, *options], env=environment, capture_output=True, check=True)
    assert sorted(path.name for path in tmp_path.rglob("*.nbc")) == compiled
