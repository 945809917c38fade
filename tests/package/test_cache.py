"""The compiler's cache, and what happens where there is none."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from program import SMALL_KERNELS, program

import fastgd as gd

ROOT = Path(gd.__file__).parents[1]
HAS_CHECKOUT = (ROOT / "kernels").is_dir()


def copy_of_the_package(folder):
    """A checkout without anything else: fastgd beside kernels, nothing installed."""
    source = ROOT / "kernels" if HAS_CHECKOUT else Path(gd.__file__).parent / "kernels"
    ignored = shutil.ignore_patterns("__pycache__", "kernels")
    shutil.copytree(Path(gd.__file__).parent, folder / "fastgd", ignore=ignored)
    shutil.copytree(source, folder / "kernels", ignore=shutil.ignore_patterns("__pycache__"))
    return {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}


@pytest.mark.slow
def test_a_second_process_loads_what_the_first_compiled(tmp_path):
    environment = {"NUMBA_CACHE_DIR": str(tmp_path), "NUMBA_DEBUG_CACHE": "1"}
    first = program("float64", code=SMALL_KERNELS, **environment).stdout
    second = program("float64", code=SMALL_KERNELS, **environment).stdout
    assert "data saved to" in first
    assert "data saved to" not in second
    assert "data loaded from" in second
    assert first.splitlines()[-1] == second.splitlines()[-1]


# What a user adds in a module of their own.
LOSS_OF_A_MODULE = """
from typing import NamedTuple
import numpy as np
import fastgd as gd
from fastgd import losses
from fastgd.kernels.codegen.jit import inlined_kernel
from fastgd.kernels.nn.loss import POINTWISE

class LogCosh(NamedTuple):
    pass

@inlined_kernel
def log_cosh(loss, out, target):
    error = np.float64(out) - np.float64(target)
    return np.log(np.cosh(error)), type(out)(1 * np.tanh(error))

POINTWISE[LogCosh] = log_cosh
losses.LOSSES["log_cosh"] = losses.Kind(LogCosh, "log cosh(z - y)", curvature=1.0)
model = gd.Model([gd.Linear(5, 1)], dtype="float64")
gd.Trainer(model, "log_cosh", gd.SGD(0.01)).fit(*gd.data.synthetic(64, 5, dtype="float64").arrays())
print(model.parameters.tobytes().hex())
"""

# Another, by the same kernel.
LOSS_OF_THE_PACKAGE = """
import fastgd as gd
model = gd.Model([gd.Linear(5, 1)], dtype="float64")
gd.Trainer(model, "half_squared_error", gd.SGD(0.01)).fit(*gd.data.synthetic(64, 5, dtype="float64").arrays())
"""


@pytest.mark.slow
def test_what_a_module_adds_concerns_that_module_alone(tmp_path):
    """Others load what they have, without it; and it is compiled anew when its formula is another."""
    module, environment = tmp_path / "loss_of_a_module.py", {"NUMBA_CACHE_DIR": str(tmp_path), "NUMBA_DEBUG_CACHE": "1"}
    module.write_text(LOSS_OF_A_MODULE)

    def added():
        return program(code="import loss_of_a_module", PYTHONPATH=str(tmp_path), **environment).stdout

    def others():
        return program(code=LOSS_OF_THE_PACKAGE, **environment).stdout

    others()
    first = added()
    for run in (others(), added()):
        assert "data loaded from" in run
        assert "data saved to" not in run
    edited = LOSS_OF_A_MODULE.replace("1 * np.tanh", "2 * np.tanh")
    module.write_text(edited)
    other = added()
    assert "data saved to" in other
    assert other.splitlines()[-1] != first.splitlines()[-1]
    # What comes from no file, as in a notebook, cannot be told from another formula, and is not kept.
    for code, run in ((LOSS_OF_A_MODULE, first), (edited, other)):
        assert program(code=code, **environment).stdout.splitlines()[-1] == run.splitlines()[-1]


EDITS = {
    "nn/loss.py": ("* error, error", "* error, error + error"),
    "gemm/small.py": ("horizontal_sum((s0 + s1) + (s2 + s3))", "2 * horizontal_sum((s0 + s1) + (s2 + s3))"),
    "nn/linear.py": ("a, n_samples, accumulate, sums", "a, n_samples - 1, accumulate, sums"),
    "nn/activation.py": ("select_not_less(z, zero, z, zero)", "select_not_less(z, zero, z + z, zero)"),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    "files", [("nn/linear.py", "gemm/small.py"), ("nn/loss.py", "nn/activation.py")], ids=" and ".join
)
def test_an_edited_kernel_file_is_noticed_by_every_kernel_that_uses_it(tmp_path, files):
    """Numba's own stamp is of the caller's file alone."""
    environment = copy_of_the_package(tmp_path) | {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    results = [program("float64", **environment).stdout.split()]
    assert program("float64", **environment).stdout.split() == results[0]
    for helper in files:
        path, (old, new) = tmp_path / "kernels" / helper, EDITS[helper]
        source = path.read_text()
        assert old in source
        path.write_text(source.replace(old, new))
        results.append(program("float64", **environment).stdout.split())
        assert results[-1] != results[-2], helper


@pytest.mark.slow
def test_read_only_installation_without_a_home(tmp_path):
    """No directory to cache in, root or not: one warning, and the same numbers."""
    environment = copy_of_the_package(tmp_path)
    # A file where the cache's folder would be: even root cannot write into it.
    (tmp_path / "kernels" / "__pycache__").write_text("")
    nowhere = {"HOME": "/proc/none", "XDG_CACHE_HOME": "/proc/none", "NUMBA_CACHE_DIR": ""}
    run = program("float32", code=SMALL_KERNELS, **environment, **nowhere)
    assert run.stdout == program("float32", code=SMALL_KERNELS).stdout
    assert run.stderr.count("RuntimeWarning: fastgd cannot write its compilation cache") == 1
    assert run.stderr.count("Warning") == 1
    assert "NUMBA_CACHE_DIR" in run.stderr


DAMAGES = {
    "empty": lambda content: b"",
    "cut": lambda content: content[:-40],
    "another file": lambda content: b"garbage",
    "one bit": lambda content: content[:-400] + bytes([content[-400] ^ 1]) + content[-399:],
}


@pytest.mark.slow
def test_a_damaged_cache_is_compiled_over(tmp_path):
    """One damage a file, by turns; every later process would end with it, or run damaged machine code."""
    environment = {"NUMBA_CACHE_DIR": str(tmp_path), "NUMBA_DEBUG_CACHE": "1"}
    first = program("float64", code=SMALL_KERNELS, **environment).stdout.splitlines()[-1]
    files = sorted(tmp_path.glob("*/*.nbc"))
    assert len(files) >= len(DAMAGES)
    for number, file in enumerate(files):
        damage = list(DAMAGES.values())[number % len(DAMAGES)]
        content = file.read_bytes()
        file.write_bytes(damage(content) if len(content) > 400 else content[:7])
    damaged, mended = (program("float64", code=SMALL_KERNELS, **environment) for _ in range(2))
    for run in (damaged, mended):
        assert run.stdout.splitlines()[-1] == first
        assert "Warning" not in run.stderr
    assert damaged.stdout.count("data saved to") == len(files)
    assert "data saved to" not in mended.stdout


LIMITED = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="limits the size of files")
def test_a_full_disk_costs_the_cache_alone(tmp_path):
    """One warning, and the same numbers, now and later."""
    environment = {"NUMBA_CACHE_DIR": str(tmp_path)}
    full = program("float32", code=LIMITED + SMALL_KERNELS, **environment)
    later = program("float32", code=SMALL_KERNELS, **environment)
    assert full.stdout == later.stdout
    assert full.stderr.count("RuntimeWarning: fastgd cannot write its compilation cache in ") == 1
    assert full.stderr.count("Warning") == 1
    assert later.stderr == ""


# Root may write anywhere, without this capability no more than its files' modes say.
WITHOUT_RIGHTS = """
import ctypes
libc = ctypes.CDLL(None)
CAP_DAC_OVERRIDE, header, data = 1, (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
assert libc.capget(header, data) == 0
data[0] &= ~(1 << CAP_DAC_OVERRIDE)
assert libc.capset(header, data) == 0
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="takes rights away")
def test_a_cache_of_another_user_is_read(tmp_path):
    """Without a warning, as long as all that is needed is there."""
    cache = tmp_path / "cache"
    environment = {"NUMBA_CACHE_DIR": str(cache), "NUMBA_DEBUG_CACHE": "1"}
    first = program("float32", code=SMALL_KERNELS, **environment)
    for path in (*cache.rglob("*"), cache):
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = sorted(cache.rglob("*"))
    second, other = (
        program(dtype, code=WITHOUT_RIGHTS + SMALL_KERNELS, **environment) for dtype in ("float32", "float64")
    )
    assert sorted(cache.rglob("*")) == before
    assert "data loaded from" in second.stdout
    assert second.stdout.splitlines()[-1] == first.stdout.splitlines()[-1]
    assert "Warning" not in second.stderr
    assert other.stderr.count("RuntimeWarning: fastgd cannot write its compilation cache in ") == 1


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere caches have another place")
@pytest.mark.parametrize("value", ["", "{folder}/caches"], ids=["empty", "set"])
def test_the_cache_is_among_the_users(value, tmp_path):
    code = "from fastgd import kernels; print(kernels.cache_directory())"
    home, named = tmp_path / "home", value.format(folder=tmp_path)
    found = program(code=code, HOME=str(home), XDG_CACHE_HOME=named, NUMBA_CACHE_DIR="").stdout.strip()
    expected = Path(named) if named else home / ".cache"
    assert Path(found) == expected / "fastgd"


def test_without_a_compiler_there_is_a_clear_message():
    with pytest.raises(subprocess.CalledProcessError) as caught:
        program(code="import fastgd; fastgd.Model", NUMBA_DISABLE_JIT="1")
    assert "ImportError: NUMBA_DISABLE_JIT is set" in caught.value.stderr


@pytest.mark.slow
def test_several_processes_start_at_once_on_an_empty_cache(tmp_path):
    """Half of them in each dtype: none loses what another has compiled."""
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    for _ in range(2):
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", SMALL_KERNELS, dtype],
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            for dtype in ("float32", "float64") * 2
        ]
        results = [process.communicate() for process in processes]
        assert [process.returncode for process in processes] == [0] * 4, results
        assert len({out for out, _ in results[::2]}) == 1
        assert len({out for out, _ in results[1::2]}) == 1
    for dtype in ("float32", "float64"):
        environment = {"NUMBA_CACHE_DIR": str(tmp_path), "NUMBA_DEBUG_CACHE": "1"}
        assert "data saved to" not in program(dtype, code=SMALL_KERNELS, **environment).stdout
