"""`fastgd train --checkpoint` and `--resume`."""

import signal

import numpy as np
import pytest
from command_line import run

import fastgd as gd
from fastgd._engine import slices

TRAIN = ["train", "--synthetic", "400x3", "--epochs", 3, "--batch-size", 4, "--learning-rate", 0.01, "--quiet"]


@pytest.fixture
def slices_that_end_it(monkeypatch):
    """After so many slices, SIGTERM comes."""
    monkeypatch.setattr(slices, "_SLICE_SECONDS", 1e-12)
    on_slice = gd.callbacks.Checkpoint.on_slice

    def after(n_slices):
        count = [0]

        def counted(self, trainer):
            on_slice(self, trainer)
            count[0] += 1
            if count[0] == n_slices:
                signal.raise_signal(signal.SIGTERM)

        monkeypatch.setattr(gd.callbacks.Checkpoint, "on_slice", counted)

    return after


def test_sigterm_saves_and_resume_ends_the_run(capsys, tmp_path, slices_that_end_it):
    checkpoint, out, other = (tmp_path / f"{name}.safetensors" for name in ("run", "model", "other"))
    assert run(capsys, *TRAIN, "--out", other)[0] == 0
    slices_that_end_it(130)
    with_checkpoint = [*TRAIN, "--checkpoint", checkpoint, "--every", "1h", "--out", out]
    status, _, err = run(capsys, *with_checkpoint)
    assert (status, err) == (143, f"fastgd: terminated; the same command with --resume goes on from {checkpoint}\n")
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    assert gd.Trainer.load(checkpoint).n_updates == 130
    status, _, err = run(capsys, *with_checkpoint)
    assert status == 2
    assert "which exists; expected --resume to go on from it, or the name of a new file" in err
    status, _, err = run(capsys, *with_checkpoint, "--resume", "--alpha", 0.1, "--seed", 2)
    assert status == 2
    assert "was saved with seed 0 and now 2, alpha 0.0 and now 0.1; expected the options of that run" in err
    for is_over in (False, True):
        status, text, _ = run(capsys, *with_checkpoint, "--resume")
        assert status == 0
        assert "resumed" in text
        assert ("no more to do for --epochs" in text) is is_over
        np.testing.assert_array_equal(gd.Model.load(out).parameters, gd.Model.load(other).parameters)


@pytest.mark.parametrize("has_out", [False, True])
@pytest.mark.parametrize("was_saved", [False, True])
def test_what_ctrl_c_leaves_is_named(has_out, was_saved, capsys, tmp_path, monkeypatch):
    """Where it could not be saved, the reason stands there."""
    checkpoint = tmp_path / "run.safetensors"

    def interrupted(self, trainer):
        raise KeyboardInterrupt

    def on_full_disk(self, path):
        raise OSError("no space left")

    monkeypatch.setattr(gd.callbacks.Checkpoint, "on_slice", interrupted)
    if not was_saved:
        monkeypatch.setattr(gd.Trainer, "save", on_full_disk)
    out = ["--out", tmp_path / "m.safetensors"] if has_out else []
    status, _, err = run(capsys, *TRAIN, "--checkpoint", checkpoint, *out)
    said = f"the same command with --resume goes on from {checkpoint}"
    assert (status, checkpoint.exists()) == (130, was_saved)
    assert err == f"fastgd: interrupted; {said if was_saved else 'The run could not be saved: no space left'}\n"
    assert (tmp_path / "m.safetensors").exists() is has_out


def test_sigterm_says_what_could_not_be_saved(capsys, tmp_path, monkeypatch, slices_that_end_it):
    def on_full_disk(self, path):
        raise OSError("no space left")

    monkeypatch.setattr(gd.Trainer, "save", on_full_disk)
    slices_that_end_it(1)
    status, _, err = run(capsys, *TRAIN, "--checkpoint", tmp_path / "run.safetensors", "--every", "1h")
    assert (status, err) == (143, "fastgd: terminated; The run could not be saved: no space left\n")


def test_what_makes_no_sense(capsys, tmp_path):
    run_path = tmp_path / "run"
    for options, message in (
        (["--resume"], "--resume without --checkpoint; expected --checkpoint RUN.safetensors"),
        (["--every", "10s"], "--every without --checkpoint; expected --checkpoint RUN.safetensors"),
        (["--checkpoint", run_path, "--out", run_path], "are both"),
        (["--checkpoint", run_path, "--every", "soon"], "expected a time as 60s, 10min or 1h, or a number of updates"),
        (["--checkpoint", tmp_path / "none" / "run"], "there is no folder"),
    ):
        status, _, err = run(capsys, *TRAIN, *options)
        assert status == 2
        assert message in err


def test_a_folder_that_is_not_there_is_told_before_anything_is_compiled(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("fastgd.cli.train._compile", lambda *_: pytest.fail("compiled"))
    status, _, err = run(capsys, *TRAIN, "--checkpoint", tmp_path / "none" / "run.safetensors")
    assert status == 2
    assert "there is no folder" in err
