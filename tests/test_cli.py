"""The command line, as a user meets it."""

import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import fastgd as gd
from fastgd.cli import main

SMALL = ["--synthetic", "2000x10", "--quiet"]


def run(capsys, *arguments):
    try:
        status = main(list(map(str, arguments)))
    except SystemExit as error:
        status = error.code
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.fixture
def files(tmp_path):
    data = gd.data.synthetic(1000, 10, 2, (4,), seed=1)
    data.save(tmp_path)
    return tmp_path


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
        "--batch-size", 32, "--learning-rate", 0.01, "--shuffle", "--seed", 7, "--dtype", "float64", "--out", out,
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
    monkeypatch.setattr("fastgd.cli._KEPT_BYTES", 0)
    streamed = run(capsys, "train", *SMALL)[1]
    assert "made anew in each epoch" in streamed
    assert re.search("loss .*", streamed)[0] == re.search("loss .*", kept)[0]


BAD = {
    "no such file": (["train", "none.npy", "--target", "y.npy"], "none.npy"),
    "no targets": (["train", "{X}"], "expected --target"),
    "targets alone": (["train", "--target", "{y}"], "without X"),
    "lengths": (["train", "{X}", "--target", "{short}"], "y has 3 rows and X has 1000"),
    "NaN": (["train", "{nan}", "--target", "{y}", "--quiet"], "X holds nan (as float32) in row 5, column 1"),
    "suffix": (["train", "{text}", "--target", "{y}"], "expected a .npy file"),
    "shape": (["train", "--synthetic", "10"], "expected ROWSxFEATURES"),
    "rows": (["train", "--synthetic", "0x10"], "n_samples is 0"),
    "widths": (["train", "--hidden", "6,,5"], "expected widths"),
    "batch size": (["train", "--batch-size", "all"], "expected a number of rows, or 'full'"),
    "batch of nothing": (["train", *SMALL, "--batch-size", "0"], "batch_size is 0"),
    "learning rate": (["train", *SMALL, "--learning-rate", "-1"], "learning_rate is -1.0"),
    "epochs": (["train", *SMALL, "--epochs", "0"], "epochs is 0"),
    "epochs as text": (["train", *SMALL, "--epochs", "many"], "invalid int value"),
    "output folder": (["train", *SMALL, "--out", "{folder}/none/m"], "there is no folder"),
    "output over the rows": (["train", "{X}", "--target", "{y}", "--out", "{X}"], "which is read"),
    "output over the targets": (["train", "{X}", "--target", "{y}", "--out", "{y}"], "which is read"),
    "predictions over the rows": (["predict", "{model}", "{X}", "--out", "{X}"], "which is read"),
    "predictions over the model": (["predict", "{model}", "{X}", "--out", "{model}"], "which is read"),
    "a folder as model": (["predict", "{folder}", "{X}", "--out", "{folder}/p.npy"], "is a folder"),
    "unknown option": (["train", "--momentum", "0.9"], "unrecognized arguments"),
    "unknown command": (["fit"], "invalid choice"),
    "no command": ([], "required"),
    "no model": (["predict", "{X}", "{X}", "--out", "{folder}/p.npy"], "is not a safetensors file"),
    "width": (["predict", "{model}", "{short}", "--out", "{folder}/p.npy"], "X has shape (3, 1)"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(capsys, files, case):
    arguments, message = BAD[case]
    places = {name: files / f"{name}.npy" for name in ("X", "y", "short", "nan")}
    np.save(places["short"], np.ones((3, 1)))
    rows = np.ones((1000, 10))
    rows[5, 1] = np.nan
    np.save(places["nan"], rows)
    (files / "X.txt").write_text("1 2 3")
    gd.Model([gd.Linear(10, 2)]).save(files / "model")
    places |= {"folder": files, "text": files / "X.txt", "model": files / "model"}
    status, _, err = run(capsys, *(argument.format(**places) for argument in arguments))
    assert status == 2
    assert message in err
    assert err.count("\n") == 1
    assert not (files / "p.npy").exists()


def test_divergence(capsys, tmp_path):
    status, _, err = run(
        capsys, "train", *SMALL, "--hidden", "8", "--learning-rate", 1e5, "--epochs", 50, "--out", tmp_path / "m"
    )
    assert status == 1
    assert "diverged" in err
    assert err.count("\n") == 1
    assert np.isfinite(gd.Model.load(tmp_path / "m").parameters).all()


LISTENING = """
import signal, sys
from fastgd.cli import main

# Whoever started the tests in the background may have had SIGINT ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.exit(main())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
def test_ctrl_c_saves_the_model(tmp_path):
    command = [sys.executable, "-c", LISTENING, "train", "--synthetic", "1000000x100", "--epochs", "1000000"]
    command += ["--out", str(tmp_path / "m")]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        try:
            shown = ""
            while "row/s" not in shown:
                shown += process.stderr.read(1)
            time.sleep(0.3)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130
    assert err.endswith("fastgd: interrupted\n")
    assert np.isfinite(gd.Model.load(tmp_path / "m").parameters).all()


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
