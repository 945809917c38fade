"""Files: whole or not at all."""

import contextlib
import errno
import os
import stat
import subprocess
import sys
import threading

import numpy as np
import pytest
from command_line import run

import fastgd as gd
from fastgd import atomic_files

posix = pytest.mark.skipif(os.name == "nt", reason="a matter of POSIX")


def constant(value, n_features=2000):
    return gd.Model([gd.Linear(n_features, 4, init=np.full((4, n_features), value), bias=False)])


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def write(path, content=b"new"):
    with atomic_files.atomic_write(path) as file:
        file.write(content)


def test_equal_runs_are_equal_files(tmp_path):
    for name in ("first", "second"):
        trainer = gd.Trainer(gd.Model([gd.Standardize(3), gd.Linear(3, 2)], seed=1), optimizer=gd.Adam())
        trainer.model.save(tmp_path / name)
    contents = [(tmp_path / name).read_bytes() for name in ("first", "second")]
    assert contents[0] == contents[1]
    # What readers of the format align to.
    assert int.from_bytes(contents[0][:8], "little") % 8 == 0


def test_threads_that_save_the_same_file(tmp_path):
    """Whoever loads it finds what one of them saved."""
    path = tmp_path / "m.safetensors"
    constant(0).save(path)
    start, failures = threading.Barrier(5), []

    def save(value):
        start.wait()
        try:
            for _ in range(20):
                constant(value).save(path)
        except OSError as error:
            failures.append(error)

    threads = [threading.Thread(target=save, args=(value,)) for value in range(1, 5)]
    for thread in threads:
        thread.start()
    start.wait()
    while any(thread.is_alive() for thread in threads):
        assert len(set(gd.Model.load(path).parameters)) == 1
    for thread in threads:
        thread.join()
    assert failures == []
    assert names(tmp_path) == ["m.safetensors"]


def test_writers_of_one_file_do_not_share_a_part(tmp_path):
    """The last to end is the one that is found."""
    with atomic_files.atomic_write(tmp_path / "m") as first:
        first.write(b"first")
        with atomic_files.atomic_write(tmp_path / "m") as second:
            second.write(b"second")
        assert (tmp_path / "m").read_bytes() == b"second"
    assert (tmp_path / "m").read_bytes() == b"first"


@posix
def test_mode_of_new_and_old_files(tmp_path):
    before = os.umask(0o027)
    try:
        write(tmp_path / "m")
        assert stat.S_IMODE((tmp_path / "m").stat().st_mode) == 0o640
        (tmp_path / "m").chmod(0o604)
        write(tmp_path / "m", b"newer")
    finally:
        os.umask(before)
    assert (tmp_path / "m").read_bytes() == b"newer"
    assert stat.S_IMODE((tmp_path / "m").stat().st_mode) == 0o604


@posix
def test_a_symbolic_link_stays(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_bytes(b"old")
    (tmp_path / "second").symlink_to("folder/file")
    (tmp_path / "first").symlink_to(tmp_path / "second")
    (tmp_path / "leads nowhere").symlink_to("folder/none yet")
    for link, file in (("first", "file"), ("leads nowhere", "none yet")):
        write(tmp_path / link)
        assert (tmp_path / link).is_symlink()
        assert (tmp_path / "folder" / file).read_bytes() == b"new"
    assert (tmp_path / "second").is_symlink()
    assert names(tmp_path / "folder") == ["file", "none yet"]


@posix
def test_a_pipe_is_written_to(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    found = []
    reader = threading.Thread(target=lambda: found.append((tmp_path / "pipe").read_bytes()), daemon=True)
    reader.start()
    constant(1).save(tmp_path / "pipe")
    assert (tmp_path / "pipe").is_fifo(), "its reader waits for ever"
    reader.join()
    assert names(tmp_path) == ["pipe"]
    (tmp_path / "m").write_bytes(found[0])
    assert (gd.Model.load(tmp_path / "m").parameters == 1).all()


TO_STDOUT = """
import sys
from fastgd import atomic_files
print("first", flush=True)
with atomic_files.atomic_write(sys.argv[1]) as file:
    file.write(b"second")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/stdout as Linux has it")
def test_stdout_is_written_to(tmp_path):
    run = [sys.executable, "-c", TO_STDOUT]
    assert subprocess.run([*run, "/dev/stdout"], stdout=subprocess.PIPE, check=True).stdout == b"first\nsecond"
    (tmp_path / "link").symlink_to("/dev/stdout")
    with open(tmp_path / "out", "wb") as out:
        subprocess.run([*run, tmp_path / "link"], stdout=out, check=True)
        inode = os.fstat(out.fileno()).st_ino
    assert (tmp_path / "out").read_bytes() == b"first\nsecond"
    assert (tmp_path / "out").stat().st_ino == inode


@pytest.mark.parametrize("name", ["m" * 255, "é" * 127 + "m", "-", ".hidden"], ids=["long", "long in bytes", "-", "."])
def test_any_name_that_a_file_may_have(name, tmp_path):
    write(tmp_path / name)
    assert names(tmp_path) == [name]


@pytest.mark.parametrize("path", [str, os.fsencode, lambda path: path], ids=["str", "bytes", "Path"])
def test_paths_of_any_type(path, tmp_path):
    constant(3).save(path(tmp_path / "m"))
    assert (gd.Model.load(path(tmp_path / "m")).parameters == 3).all()


KILLED = """
import sys, time
from fastgd import atomic_files
with atomic_files.atomic_write(sys.argv[1]) as file:
    print("ready", flush=True)
    time.sleep(600)
"""


def test_what_a_killed_process_leaves_is_removed(tmp_path):
    with subprocess.Popen([sys.executable, "-c", KILLED, tmp_path / "m"], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline().strip() == b"ready"
        process.kill()
    (part,) = tmp_path.iterdir()
    assert part.name.startswith(".")
    write(tmp_path / "m")
    assert part.exists(), "another process may still be writing it"
    long_ago = part.stat().st_mtime - 3700
    os.utime(part, (long_ago, long_ago))
    write(tmp_path / "another")
    assert part.exists(), "it is not a part of this file"
    write(tmp_path / "m")
    assert names(tmp_path) == ["another", "m"]


@contextlib.contextmanager
def largest_file(n_bytes):
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def save_rows(folder):
    gd.data.ArrayDataset(np.ones((5000, 4)), np.ones(5000)).save(folder)


SAVING = {
    "model": ("m", lambda folder: constant(2).save(folder / "m")),
    "run": ("m", lambda folder: gd.Trainer(constant(2)).save(folder / "m")),
    "rows": ("X.npy", save_rows),
}


@pytest.mark.parametrize("what", SAVING)
def test_a_file_that_grows_too_large_leaves_the_old_one(what, tmp_path):
    name, save = SAVING[what]
    (tmp_path / name).write_bytes(b"old")
    with largest_file(10_000), pytest.raises(OSError, match=r"too large.*" + name) as caught:
        save(tmp_path)
    assert (caught.value.errno, caught.value.filename) == (errno.EFBIG, str(tmp_path / name))
    assert (tmp_path / name).read_bytes() == b"old"
    assert names(tmp_path) == [name]


@pytest.mark.parametrize("call", ["fsync", "replace", "chmod"])
def test_a_disk_that_fails_leaves_the_old_file(call, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "another name")

    (tmp_path / "m").write_bytes(b"old")
    (tmp_path / "m").chmod(0o600)
    monkeypatch.setattr(os, call, fail)
    with pytest.raises(OSError, match="No space left") as caught:
        write(tmp_path / "m")
    assert caught.value.filename == str(tmp_path / "m")
    assert (tmp_path / "m").read_bytes() == b"old"
    assert names(tmp_path) == ["m"]


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full")
@pytest.mark.parametrize("n_features", [1, 100_000], ids=["small", "large"])
def test_a_full_device(n_features):
    with pytest.raises(OSError, match="No space left on device: '/dev/full'"):
        constant(1, n_features).save("/dev/full")


def test_an_error_of_the_caller_is_its_own(tmp_path):
    (tmp_path / "m").write_bytes(b"old")
    with pytest.raises(FileNotFoundError, match="none"), atomic_files.atomic_write(tmp_path / "m") as file:
        file.write((tmp_path / "none").read_bytes())
    assert (tmp_path / "m").read_bytes() == b"old"
    assert names(tmp_path) == ["m"]


def test_what_is_in_place_is_on_the_disk(tmp_path, monkeypatch):
    """The file before it takes its place, and its folder after."""
    calls, fsync, replace = [], os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (calls.append(os.fstat(fd).st_ino), fsync(fd)))
    monkeypatch.setattr(os, "replace", lambda *paths: (calls.append("replace"), replace(*paths)))
    write(tmp_path / "m")
    expected = [(tmp_path / "m").stat().st_ino, "replace"]
    assert calls == (expected if os.name == "nt" else [*expected, tmp_path.stat().st_ino])


@pytest.mark.parametrize(
    ("path", "error", "message"),
    [
        ("", ValueError, "the path is empty; expected the name of a file"),
        ("{folder}", IsADirectoryError, "is a folder; expected the name of a file to write: '{folder}'"),
        ("{folder}/", IsADirectoryError, "is a folder"),
        ("{folder}/new/", IsADirectoryError, "is a folder"),
        ("{folder}/none/m", FileNotFoundError, "there is no folder {folder}/none: '{folder}/none/m'"),
        ("{folder}/file/m", OSError, "{folder}/file/m"),
    ],
)
def test_where_no_file_can_be(path, error, message, tmp_path):
    (tmp_path / "file").write_bytes(b"old")
    path, message = path.format(folder=tmp_path), message.format(folder=tmp_path)
    for refuse in (constant(1).save, gd.Trainer(constant(1)).save, atomic_files.require_writable):
        with pytest.raises(error) as caught:
            refuse(path)
        assert message in str(caught.value)
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize("name", ["m.ONNX", "m.c"])
def test_a_name_of_another_format_is_refused(name, tmp_path, capsys):
    np.save(tmp_path / "X.npy", np.ones((4, 2)))
    model, path = constant(1), tmp_path / name
    for save in (
        model.save,
        gd.Trainer(model).save,
        gd.callbacks.ModelCheckpoint,
        lambda path: gd.callbacks.Checkpoint(path).on_begin(gd.Trainer(model)),
    ):
        with pytest.raises(ValueError, match=f"{name} is named as an export; expected a name such as"):
            save(path)
    with pytest.raises(TypeError, match="path is 3; expected the name of a file"):
        model.save(3)
    status, _, err = run(capsys, "train", tmp_path / "X.npy", "--target", tmp_path / "X.npy", "--out", path)
    assert status == 2
    assert "is named as an export" in err
    assert names(tmp_path) == ["X.npy"]


def test_a_file_that_is_mapped_elsewhere(tmp_path, monkeypatch):
    """Windows refuses to replace it."""

    def refuse(*_):
        raise PermissionError(errno.EACCES, "Access is denied")

    (tmp_path / "m").write_bytes(b"old")
    monkeypatch.setattr(os, "replace", refuse)
    monkeypatch.setattr(atomic_files, "_REPLACES_OPEN_FILES", False)
    with pytest.raises(PermissionError, match=r"the file is open or mapped elsewhere.*m'"):
        write(tmp_path / "m")
    assert names(tmp_path) == ["m"]


def test_rows_without_weights_take_the_place_of_rows_with_weights(tmp_path):
    X, y = np.ones((10, 3)), np.ones(10)
    gd.data.ArrayDataset(X, y, np.full(10, 2.0)).save(tmp_path)
    assert gd.data.open(tmp_path).has_sample_weight
    gd.data.ArrayDataset(X, y).save(tmp_path)
    assert not gd.data.open(tmp_path).has_sample_weight


def test_a_data_set_takes_its_own_place(tmp_path, rng):
    X, y = rng.random((3000, 3)), rng.random(3000)
    gd.data.ArrayDataset(X, y).save(tmp_path)
    gd.data.open(tmp_path).save(tmp_path)
    np.testing.assert_array_equal(np.load(tmp_path / "X.npy"), X)
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy")[:, 0], y)
