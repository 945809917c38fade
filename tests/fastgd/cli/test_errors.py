"""What the command line refuses, its exit statuses, and what it does not overwrite."""

import os
import re
import subprocess
import sys
import warnings

import numpy as np
import pytest
from command_line import SMALL, run

import fastgd as gd

BAD = {
    "no such file": (["train", "none.npy", "--target", "y.npy"], "none.npy"),
    "no targets": (["train", "{X}"], "expected --target"),
    "the features as targets": (["train", "{X}", "--target", "{hard}"], "which holds the features"),
    "X and synthetic": (["train", "{X}", "--target", "{y}", "--synthetic", "10x2"], "expected either X or --synthetic"),
    "targets alone": (["train", "--target", "{y}"], "without X"),
    "lengths": (["train", "{X}", "--target", "{short}"], "X.npy has 1000; expected as many"),
    "NaN": (["train", "{nan}", "--target", "{y}", "--quiet"], "X holds nan (as float64) in row 5, column 1"),
    "suffix": (["train", "{text}", "--target", "{y}"], "expected one of .arrow"),
    "shape": (["train", "--synthetic", "10"], "expected ROWSxFEATURES"),
    "rows": (["train", "--synthetic", "0x10"], "n_samples is 0"),
    "widths": (["train", "--hidden", "6,,5"], "expected widths"),
    "a width of nothing": (["train", "--hidden", "8,0"], "expected widths of at least 1"),
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
    "unknown option": (["train", "{X}", "--layers", "2"], "--layers 2. Did you mean --hidden? See fastgd"),
    "no such rows to judge by": (
        ["train", "{X}", "--target", "{y}", "--validation", "a.csv"],
        "there is no file a.csv",
    ),
    "targets without their option": (["train", "{X}", "{y}"], "expected targets by --target"),
    "unknown command": (["fit"], "invalid choice"),
    "no command": ([], "required"),
    "no model": (["predict", "{X}", "{X}", "--out", "{folder}/p.npy"], "is not a safetensors file"),
    "predictions of another suffix": (["predict", "{model}", "{X}", "--out", "{folder}/p.csv.gz"], "ends in '.gz'"),
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


def test_a_path_that_is_no_text(capsys, tmp_path):
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff")
    try:
        open(path, "wb").close()
    except OSError:
        pytest.skip("the file system takes text alone")
    status, out, err = run(capsys, "train", *SMALL, "--out", path)
    assert (status, err) == (0, "")
    assert "saved        " in out


@pytest.mark.slow
def test_divergence(capsys, tmp_path):
    status, _, err = run(
        capsys, "train", *SMALL, "--hidden", "8", "--learning-rate", 1e5, "--epochs", 50, "--out", tmp_path / "m"
    )
    assert status == 1
    assert "diverged" in err
    assert err.count("\n") == 1
    assert np.isfinite(gd.Model.load(tmp_path / "m").parameters).all()
