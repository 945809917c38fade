"""Where output goes, whoever reads, and what an interruption leaves."""

import io
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from command_line import SMALL, run

import fastgd as gd


@pytest.mark.skipif(sys.platform == "win32", reason="a shell's pipes and redirections")
@pytest.mark.parametrize(
    "redirection",
    [
        "| true",
        *(pytest.param(each, marks=pytest.mark.slow) for each in ("2> /dev/full", "> /dev/full", ">&-", "2>&-")),
    ],
)
def test_the_model_is_saved_whoever_reads(redirection, tmp_path):
    command = f"{sys.executable} -m fastgd train --synthetic 2000x10 --out {tmp_path}/m {redirection}"
    # Unbuffered, nothing would be left for the interpreter's end.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    shell = ["bash", "-c", f"set -o pipefail; {command}"]
    done = subprocess.run(shell, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    assert gd.Model.load(tmp_path / "m").in_features == 10


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


def command_line(arguments, stdout, unbuffered=False):
    command = [sys.executable, "-m", "fastgd", *map(str, arguments)]
    environment = os.environ | {"PYTHONUNBUFFERED": "1" if unbuffered else ""}
    return subprocess.Popen(command, stdout=stdout, stderr=subprocess.PIPE, text=True, env=environment)


REPORTS = {"train": ["train", *SMALL, "--out"], "info": ["info"], "help": ["--help"]}


@pytest.mark.skipif(os.name == "nt", reason="a matter of POSIX")
@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full")
@pytest.mark.parametrize("unbuffered", [False, True], ids=["buffered", "unbuffered"])
def test_a_report_on_a_full_disk(unbuffered, tmp_path):
    arguments = [*REPORTS["train"], tmp_path / "m"]
    with open("/dev/full", "wb") as full, command_line(arguments, full, unbuffered) as process:
        _, err = process.communicate()
    assert process.returncode == 0
    assert err == "fastgd: nothing more can be written to stdout: [Errno 28] No space left on device\n"
    assert np.isfinite(gd.Model.load(tmp_path / "m").parameters).all()


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="a matter of POSIX")
def test_neither_stdout_nor_stderr(tmp_path):
    """Started with both closed, as by some daemons."""
    shell = ["sh", "-c", '"$@" >&- 2>&-', "sh", sys.executable, "-m", "fastgd"]
    arguments = ["train", "--synthetic", "2000x10", "--epochs", "2", "--out", str(tmp_path / "m")]
    assert subprocess.run([*shell, *arguments], check=False).returncode == 0
    assert np.isfinite(gd.Model.load(tmp_path / "m").parameters).all()
    assert subprocess.run([*shell, "train", "none.npy"], check=False).returncode == 2


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
