"""The command line, as a user meets it."""

import io
import os
import re
import signal
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest
from command_line import SMALL, run

import fastgd as gd


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


BAD = {
    "no such file": (["train", "none.npy", "--target", "y.npy"], "none.npy"),
    "no targets": (["train", "{X}"], "expected --target"),
    "targets alone": (["train", "--target", "{y}"], "without X"),
    "lengths": (["train", "{X}", "--target", "{short}"], "y has 3 rows and X has 1000"),
    "NaN": (["train", "{nan}", "--target", "{y}", "--quiet"], "X holds nan (as float64) in row 5, column 1"),
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
    "no output": (["train", "{X}", "--target", "{y}", "--out", ""], "--out is empty"),
    "output over a folder": (["train", "{X}", "--target", "{y}", "--out", "{folder}"], "is a folder"),
    "output over a folder's rows": (["train", "{folder}", "--out", "{X}"], "which is read"),
    "output over a folder's targets": (["train", "{folder}", "--out", "{y}"], "which is read"),
    "output over the validation": (
        ["train", "{X}", "--target", "{y}", "--validation", "{nan}", "{y}", "--out", "{nan}"],
        "which is read",
    ),
    "output over a link to the rows": (["train", "{X}", "--target", "{y}", "--out", "{link}"], "which is read"),
    "output over a second name of the rows": (["train", "{X}", "--target", "{y}", "--out", "{hard}"], "which is read"),
    "predictions over a folder": (["predict", "{model}", "{X}", "--out", "{folder}"], "is a folder"),
    "predictions over a folder's rows": (["predict", "{model}", "{folder}", "--out", "{X}"], "which is read"),
    "output over the targets": (["train", "{X}", "--target", "{y}", "--out", "{y}"], "which is read"),
    "predictions over the rows": (["predict", "{model}", "{X}", "--out", "{X}"], "which is read"),
    "predictions over the model": (["predict", "{model}", "{X}", "--out", "{model}"], "which is read"),
    "a folder as model": (["predict", "{folder}", "{X}", "--out", "{folder}/p.npy"], "is a folder"),
    "unknown option": (["train", "{X}", "--layers", "2"], "--layers 2; see fastgd COMMAND --help"),
    "targets without their option": (["train", "{X}", "{y}"], "expected targets by --target"),
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
    places |= {"link": files / "link", "hard": files / "hard"}
    places["link"].symlink_to(places["X"])
    places["hard"].hardlink_to(places["X"])
    before = {path.name: path.read_bytes() for path in files.iterdir()}
    status, _, err = run(capsys, *(argument.format(**places) for argument in arguments))
    assert status == 2
    assert {path.name: path.read_bytes() for path in files.iterdir()} == before
    assert message in err
    assert err.count("\n") == 1
    assert not (files / "p.npy").exists()


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (MemoryError("8 TiB"), 2, "fastgd: error: not enough memory (8 TiB)\n"),
        (MemoryError(), 2, "fastgd: error: not enough memory (no more is free)\n"),
        (OSError(28, "No space left on device", "m"), 2, "No space left on device: 'm'\n"),
        (gd.DivergenceError("diverged"), 1, "fastgd: diverged\n"),
        (ZeroDivisionError("division by zero"), 3, "this is a fault of fastgd's own; please report the lines above\n"),
        (KeyError("name"), 3, "Traceback"),
    ],
    ids=repr,
)
def test_every_error_has_its_status(error, status, message, capsys, monkeypatch):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(gd.Trainer, "fit", fail)
    found, _, err = run(capsys, "train", *SMALL)
    assert found == status
    assert message in err
    assert ("Traceback" in err) == (status == 3)


@pytest.mark.filterwarnings("always")
def test_a_warning_is_a_line(capsys, monkeypatch):
    monkeypatch.setattr("fastgd.cli.machine.describe", lambda: warnings.warn("one\nand more", stacklevel=1) or {})
    assert run(capsys, "info") == (0, "", "fastgd: warning: one and more\n")


def test_help_imports_no_compiler():
    for arguments in (["--help"], ["train", "--help"], ["--version"], ["predict"]):
        code = f"import sys; sys.argv = ['fastgd', *{arguments}]\ntry:\n    from fastgd.cli import main; main()\n"
        code += "except SystemExit: pass\nassert 'numba' not in sys.modules; assert 'numpy' not in sys.modules"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def test_weights_that_are_all_zero_are_reported(capsys, files):
    np.save(files / "w.npy", np.zeros(1000))
    status, out, _ = run(
        capsys, "train", files / "X.npy", "--target", files / "y.npy", "--sample-weight", files / "w.npy", "--quiet",
        "--validation", files / "X.npy", files / "y.npy", "--no-standardize",
        "--no-standardize-targets",
    )  # fmt: skip
    assert status == 0
    assert "no learning rate, as all weights are zero" in out


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


@pytest.mark.parametrize("given", [["half"], ["0.2", "0.3", "0.4"], ["1.5"]])
def test_what_is_no_validation(given, capsys, files):
    status, _, err = run(capsys, "train", files, "--validation", *given)
    assert status == 2
    assert "expected a share of the rows" in err or "expected a fraction" in err


def test_a_comparison_does_not_decide_the_status(capsys, monkeypatch):
    """At the rate that was found, plain Python may diverge from the first weights, or raise an OverflowError."""
    status, out, _ = run(capsys, "train", "--synthetic", "10000x10x2", "--hidden", 64, "--batch-size", 32, "--quiet")
    assert status == 0
    assert float(re.search(r"differ by at most (\S+)", out)[1]) < 1e-4

    def overflow(*_, **__):
        raise OverflowError("too large")

    monkeypatch.setattr("fastgd.reference.algorithm.train", overflow)
    status, out, _ = run(capsys, "train", *SMALL)
    assert status == 0
    assert "pure Python  not compared: too large" in out


def test_rows_of_ones_own_are_not_compared(capsys, files):
    assert "pure Python" not in run(capsys, "train", files, "--quiet")[1]


@pytest.mark.parametrize(
    "options", [["--momentum", 0.9], ["--clip-norm", 1], ["--optimizer", "Adam"], ["--loss", "huber"]], ids=str
)
def test_what_the_reference_does_not_know_is_not_compared(options, capsys):
    status, out, _ = run(capsys, "train", *SMALL, "--learning-rate", 0.001, *options)
    assert status == 0
    assert "pure Python" not in out


@pytest.mark.skipif(sys.platform == "win32", reason="a shell's pipes and redirections")
@pytest.mark.parametrize("redirection", ["| true", "> /dev/full", ">&-", "2>&-", "2> /dev/full"])
def test_the_model_is_saved_whoever_reads(redirection, tmp_path):
    command = f"{sys.executable} -m fastgd train --synthetic 2000x10 --out {tmp_path}/m {redirection}"
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    assert gd.Model.load(tmp_path / "m").in_features == 10


READ = {
    "X": ["{folder}/X.npy", "--target", "{folder}/y.npy"],
    "y": ["{folder}/X.npy", "--target", "{folder}/y.npy"],
    "sample_weight": ["{folder}/X.npy", "--target", "{folder}/y.npy", "--sample-weight", "{folder}/sample_weight.npy"],
    "X of a folder": ["{folder}"],
    "y of a folder": ["{folder}"],
    "sample_weight of a folder": ["{folder}"],
    "held_out_X": ["{folder}", "--validation", "{folder}/held_out_X.npy", "{folder}/held_out_y.npy"],
    "held_out_y": ["{folder}", "--validation", "{folder}/held_out_X.npy", "{folder}/held_out_y.npy"],
}


@pytest.mark.parametrize("through", ["itself", "another spelling", "symbolic link", "hard link"])
@pytest.mark.parametrize("command", ["train", "predict"])
@pytest.mark.parametrize("read", READ)
def test_what_is_read_is_not_overwritten(read, through, command, capsys, tmp_path, monkeypatch):
    """It is told before training."""
    X, y = np.ones((10, 3)), np.ones(10)
    gd.data.ArrayDataset(X, y, y).save(tmp_path)
    np.save(tmp_path / "held_out_X.npy", X)
    np.save(tmp_path / "held_out_y.npy", y)
    file, out = tmp_path / f"{read.split()[0]}.npy", tmp_path / "out"
    arguments = [argument.format(folder=tmp_path) for argument in READ[read]]
    if command == "predict":
        model = file if file.name.startswith(("y", "held")) and "folder" not in read else tmp_path / "m"
        arguments = [model, tmp_path if "folder" in read else file]
    if through == "itself":
        out = file
    elif through == "another spelling":
        out = tmp_path / ".." / tmp_path.name / file.name
    elif through == "symbolic link":
        out.symlink_to(file)
    else:
        out.hardlink_to(file)
    monkeypatch.setattr(gd.Trainer, "fit", lambda *_, **__: pytest.fail("training has begun"))
    before = file.read_bytes()
    status, _, err = run(capsys, command, *arguments, "--out", out)
    assert status == 2
    assert f"--out is {out}, which is read; expected another file" in err
    assert file.read_bytes() == before


@pytest.mark.skipif(sys.platform != "linux", reason="/proc, where nobody may make a file")
@pytest.mark.parametrize("command", [["train", *SMALL], ["predict", "{files}/m", "{files}/X.npy"]], ids=lambda c: c[0])
def test_a_place_where_nothing_can_be_written(command, capsys, files, monkeypatch):
    gd.Model([gd.Linear(10, 2)]).save(files / "m")
    monkeypatch.setattr(gd.Trainer, "fit", lambda *_, **__: pytest.fail("training has begun"))
    monkeypatch.setattr(gd.Model, "predict", lambda *_: pytest.fail("prediction has begun"))
    arguments = [argument.format(files=files) for argument in command]
    status, _, err = run(capsys, *arguments, "--out", "/proc/m")
    assert status == 2
    assert re.fullmatch(r"fastgd: error: .*: '/proc/m'\n", err)


def test_looking_at_the_output_leaves_nothing(capsys, tmp_path):
    (tmp_path / "m").write_bytes(b"old")
    status, _, _ = run(capsys, "train", "none.npy", "--target", "none.npy", "--out", tmp_path / "m")
    assert status == 2
    assert [path.name for path in tmp_path.iterdir()] == ["m"]
    assert (tmp_path / "m").read_bytes() == b"old"


@pytest.mark.skipif(os.name == "nt", reason="a matter of POSIX")
def test_predict_to_stdout(files):
    """The report goes elsewhere."""
    gd.Model([gd.Linear(10, 2)]).save(files / "m")
    command = [sys.executable, "-m", "fastgd", "predict", files / "m", files / "X.npy", "--out", "/dev/stdout"]
    done = subprocess.run(command, capture_output=True, check=True)
    expected = gd.Model.load(files / "m").predict(np.load(files / "X.npy"))
    np.testing.assert_array_equal(np.load(io.BytesIO(done.stdout)), expected)
    assert len(done.stdout) == 128 + 1000 * 2 * 4
    assert b"1000 rows x 2 outputs" in done.stderr


@pytest.mark.parametrize("error", [ZeroDivisionError("by zero"), OverflowError("large"), KeyError("x"), RuntimeError()])
def test_a_fault_of_its_own(error, capsys, monkeypatch):
    def fail(_):
        raise error

    monkeypatch.setattr("fastgd.cli.info.info", fail)
    status, _, err = run(capsys, "info")
    assert status == 3
    assert err.startswith("Traceback (most recent call last):\n")
    assert type(error).__name__ in err
    assert err.endswith("fastgd: this is a fault of fastgd's own; please report the lines above\n")


def test_exit_statuses_are_listed(capsys):
    status, out, _ = run(capsys, "--help")
    assert status == 0
    text = " ".join(out.split())
    assert "Exit status: 0; 1 if training diverged" in text
    for code in ("2 for bad input", "3 for a fault", "130 for Ctrl-C"):
        assert code in text


def command_line(arguments, stdout, unbuffered=False):
    command = [sys.executable, "-m", "fastgd", *map(str, arguments)]
    environment = os.environ | {"PYTHONUNBUFFERED": "1" if unbuffered else ""}
    return subprocess.Popen(command, stdout=stdout, stderr=subprocess.PIPE, text=True, env=environment)


REPORTS = {"train": ["train", *SMALL, "--out"], "info": ["info"], "help": ["--help"]}


@pytest.mark.skipif(os.name == "nt", reason="a matter of POSIX")
@pytest.mark.parametrize("unbuffered", [False, True], ids=["buffered", "unbuffered"])
@pytest.mark.parametrize("command", REPORTS)
def test_a_report_that_nobody_reads(command, unbuffered, tmp_path):
    """As in `fastgd train | true`: what was asked for is done, without a word about the rest."""
    arguments = REPORTS[command] + ([tmp_path / "m"] if command == "train" else [])
    reader, writer = os.pipe()
    os.close(reader)
    with command_line(arguments, writer, unbuffered) as process:
        os.close(writer)
        _, err = process.communicate()
    assert (process.returncode, err) == (0, "")
    if command == "train":
        assert np.isfinite(gd.Model.load(tmp_path / "m").parameters).all()


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full")
@pytest.mark.parametrize("unbuffered", [False, True], ids=["buffered", "unbuffered"])
def test_a_report_on_a_full_disk(unbuffered, tmp_path):
    arguments = [*REPORTS["train"], tmp_path / "m"]
    with open("/dev/full", "wb") as full, command_line(arguments, full, unbuffered) as process:
        _, err = process.communicate()
    assert process.returncode == 0
    assert err == "fastgd: nothing more can be written to stdout: [Errno 28] No space left on device\n"
    assert np.isfinite(gd.Model.load(tmp_path / "m").parameters).all()


@pytest.mark.skipif(os.name == "nt", reason="a matter of POSIX")
def test_neither_stdout_nor_stderr(tmp_path):
    """Started with both closed, as by some daemons."""
    shell = ["sh", "-c", '"$@" >&- 2>&-', "sh", sys.executable, "-m", "fastgd"]
    arguments = ["train", "--synthetic", "2000x10", "--epochs", "2", "--out", str(tmp_path / "m")]
    assert subprocess.run([*shell, *arguments], check=False).returncode == 0
    assert np.isfinite(gd.Model.load(tmp_path / "m").parameters).all()
    assert subprocess.run([*shell, "train", "none.npy"], check=False).returncode == 2


UNEVEN = {
    "rate at the end of training": ["10000x10x2", "--hidden", "64", "--batch-size", "32"],
    "large targets": ["500x5x2", "--hidden", "30,30", "--noise", "1e6", "--learning-rate", "1e-12"],
    "full batch": ["3000x20", "--batch-size", "full", "--noise", "100"],
}


@pytest.mark.parametrize("case", UNEVEN)
def test_pure_python_does_not_diverge(case, capsys):
    status, out, err = run(capsys, "train", "--synthetic", *UNEVEN[case], "--quiet", "--epochs", 1)
    assert (status, err) == (0, "")
    assert "times as fast" in out
    assert float(re.search(r"differ by at most (\S+)", out)[1]) < 1e-4


def test_a_path_that_is_no_text(capsys, tmp_path):
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff")
    try:
        open(path, "wb").close()
    except OSError:
        pytest.skip("the file system takes text alone")
    status, out, err = run(capsys, "train", *SMALL, "--out", path)
    assert (status, err) == (0, "")
    assert "saved        " in out


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
