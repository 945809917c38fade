"""The compiler and its cache: what is compiled when, and what happens where nothing can be written."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cases import model_of, rows_for
from numba.core import config

import fastgd as gd
from fastgd import kernels
from fastgd.data.block import read_only
from fastgd.kernels.nn.loss import HalfSquaredError
from fastgd.kernels.optim.optimizers import PlainSGD
from fastgd.kernels.tuning import MOST_LANES

ROOT = Path(gd.__file__).parents[1]
HAS_CHECKOUT = (ROOT / "kernels").is_dir()

TRAIN = """
import numpy as np, sys
import fastgd as gd
dtype = sys.argv[1]
data = gd.data.synthetic(64, 5, dtype=dtype)
for layers in ([gd.Linear(5, 1), gd.ReLU()], [gd.Linear(5, 4), gd.ReLU(), gd.Linear(4, 1)]):
    model = gd.Model(layers, dtype=dtype)
    gd.Trainer(model, optimizer=gd.SGD(0.01)).fit(*data.arrays())
    print(model.parameters.tobytes().hex())
"""


def program(*arguments, code=TRAIN, **environment):
    """Run Python where no checkout stands in its way."""
    return subprocess.run(
        [sys.executable, "-W", "always", "-c", code, *arguments],
        env=os.environ | environment,
        cwd=Path(sys.executable).anchor,
        capture_output=True,
        text=True,
        check=True,
    )


def copy_of_the_package(folder):
    """A checkout without anything else: fastgd beside kernels, nothing installed."""
    source = ROOT / "kernels" if HAS_CHECKOUT else Path(gd.__file__).parent / "kernels"
    ignored = shutil.ignore_patterns("__pycache__", "kernels")
    shutil.copytree(Path(gd.__file__).parent, folder / "fastgd", ignore=ignored)
    shutil.copytree(source, folder / "kernels", ignore=shutil.ignore_patterns("__pycache__"))
    return {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}


# Each differs from the others in its loss, optimiser, layers or settings.
TRAININGS = {
    "plain SGD": ([gd.Linear(5, 2)], {}),
    "deep": ([layer for _ in range(4) for layer in (gd.Linear(5, 5), gd.ReLU())], {"batch_size": 4, "shuffle": True}),
    "an update after each row": ([gd.Linear(5, 16), gd.ReLU(), gd.Linear(16, 1)], {}),
    "an update after each row, poisson": ([gd.Linear(5, 9), gd.Tanh(), gd.Linear(9, 2)], {"loss": "poisson"}),
    "momentum": ([gd.Linear(5, 3, bias=False), gd.Tanh(), gd.Linear(3, 2)], {"optimizer": gd.SGD(0.1, momentum=0.5)}),
    "Adam, Huber": (
        [gd.LeakyReLU(), gd.Linear(5, 2), gd.Sigmoid()],
        {"optimizer": gd.Adam(0.1), "loss": gd.losses.huber(1.0), "batch_size": None, "alpha": 0.1, "l1_ratio": 0.5},
    ),
    "NormalizedSGD, hinge": (
        [gd.Linear(5, 2), gd.Dropout(0.5), gd.Linear(2, 1), gd.Identity()],
        {"optimizer": gd.NormalizedSGD(), "loss": "hinge", "clip_norm": 1.0, "shuffle": True},
    ),
    "a schedule, cross-entropy": (
        [gd.Standardize(5), gd.Linear(5, 2)],
        {"optimizer": gd.RMSprop(gd.schedules.InverseScaling(0.1)), "loss": "cross_entropy", "average_from": 2},
    ),
}


def test_one_specialisation_per_dtype_serves_every_network():
    for dtype in ("float32", "float64"):
        X = rows_for(model_of("neuron", dtype), 20)[0]
        weight = np.ones(20)
        for layers, settings in TRAININGS.values():
            trainer = gd.Trainer(gd.Model(layers, dtype=dtype), **settings)
            y = np.ones((20, 1 if "entropy" in str(settings.get("loss")) else trainer.model.out_features))
            trainer.fit(X, y, sample_weight=weight, validation=(X, y))
            trainer.fit(X.copy(), y)
            trainer.fit(np.asfortranarray(X), y)
            trainer.model.predict(X)
            trainer.model.loss_and_gradient(X, y, settings.get("loss", "half_squared_error"), weight)
    for loop in (
        kernels.train_network,
        kernels.train_network_online,
        kernels.evaluate_network,
        kernels.loss_and_gradient,
        kernels.predict_network,
    ):
        assert len(loop.signatures) == 2


@pytest.mark.parametrize("widths", [(1, 7, 30), (61, 200, 300)], ids=["narrow", "wide"])
def test_one_specialisation_serves_every_neuron_in_an_order(widths, dtype):
    loops = kernels.train_neuron_online_by_4, kernels.train_neuron_online, kernels.train_neuron_batch
    counts = []
    for n_features, n_samples in zip(widths, (6, 40, 9), strict=True):
        X, y = np.ones((n_samples, n_features), dtype), np.ones(n_samples)
        for batch_size in (1, 3, None):
            for weight in (None, y):
                for shuffle in (False, True):
                    model = gd.Model([gd.Linear(n_features, 1, bias=n_samples > 6)], dtype=dtype)
                    optimizer = gd.SGD(1e-3 if weight is None else gd.schedules.InverseScaling(1e-3))
                    trainer = gd.Trainer(model, optimizer=optimizer, batch_size=batch_size, shuffle=shuffle)
                    trainer.fit(X, y, sample_weight=weight)
        counts.append([len(loop.signatures) for loop in loops])
    assert counts[0] == counts[1] == counts[2]


def test_one_specialisation_serves_every_optimiser_and_regularisation_of_a_neuron(dtype):
    X, y = np.ones((9, 3), dtype), np.ones(9)
    counts = set()
    for optimizer in (gd.SGD(1e-3), gd.SGD(1e-3, momentum=0.5), gd.Adam(1e-3), gd.Adagrad(1e-3), gd.RMSprop(1e-3)):
        for settings in ({}, {"alpha": 0.1, "clip_value": 1.0, "max_norm": 2.0}):
            trainer = gd.Trainer(
                gd.Model([gd.Linear(3, 1)], dtype=dtype), optimizer=optimizer, batch_size=4, **settings
            )
            trainer.fit(X, y)
            counts.add(len(kernels.train_neuron_batch.signatures))
    assert len(counts) == 1


def test_a_second_process_loads_what_the_first_compiled(tmp_path):
    environment = {"NUMBA_CACHE_DIR": str(tmp_path), "NUMBA_DEBUG_CACHE": "1"}
    first = program("float64", **environment).stdout
    second = program("float64", **environment).stdout
    assert "data saved to" in first
    assert "data saved to" not in second
    assert "data loaded from" in second
    assert first.splitlines()[-1] == second.splitlines()[-1]


EDITS = {
    "nn/loss.py": ("* error, error", "* error, error + error"),
    "gemm/small.py": ("broadcast(element(a, i))", "broadcast(2 * element(a, i))"),
    "nn/linear.py": ("a, n_samples, accumulate, sums", "a, n_samples - 1, accumulate, sums"),
    "nn/activation.py": ("else x[i]", "else x[i] + x[i]"),
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
        assert results[-1][1] != results[-2][1], helper


@pytest.mark.slow
def test_read_only_installation_without_a_home(tmp_path):
    """No directory to cache in, root or not: one warning, and the same numbers."""
    environment = copy_of_the_package(tmp_path)
    # A file where the cache's folder would be: even root cannot write into it.
    (tmp_path / "kernels" / "__pycache__").write_text("")
    nowhere = {"HOME": "/proc/none", "XDG_CACHE_HOME": "/proc/none", "NUMBA_CACHE_DIR": ""}
    run = program("float32", **environment, **nowhere)
    assert run.stdout == program("float32").stdout
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
@pytest.mark.parametrize("suffix", ["nbc", "nbi"])
def test_a_damaged_cache_is_compiled_over(suffix, tmp_path):
    """One damage a file, by turns; every later process would end with it, or run damaged machine code."""
    environment = {"NUMBA_CACHE_DIR": str(tmp_path), "NUMBA_DEBUG_CACHE": "1"}
    first = program("float64", **environment).stdout.splitlines()[-1]
    files = sorted(tmp_path.glob(f"*/*.{suffix}"))
    assert len(files) >= len(DAMAGES)
    for number, file in enumerate(files):
        damage = list(DAMAGES.values())[number % len(DAMAGES)]
        content = file.read_bytes()
        file.write_bytes(damage(content) if len(content) > 400 else content[:7])
    damaged, mended = (program("float64", **environment) for _ in range(2))
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
    full = program("float32", code=LIMITED + TRAIN, **environment)
    later = program("float32", **environment)
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
    first = program("float32", **environment)
    for path in (*cache.rglob("*"), cache):
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = sorted(cache.rglob("*"))
    second, other = (program(dtype, code=WITHOUT_RIGHTS + TRAIN, **environment) for dtype in ("float32", "float64"))
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
    assert Path(found).parent == expected / "fastgd"


def test_without_a_compiler_there_is_a_clear_message():
    with pytest.raises(subprocess.CalledProcessError) as caught:
        program(code="import fastgd; fastgd.Model", NUMBA_DISABLE_JIT="1")
    assert "ImportError: NUMBA_DISABLE_JIT is set" in caught.value.stderr


@pytest.mark.slow
def test_eight_processes_start_at_once_on_an_empty_cache(tmp_path):
    """Half of them in each dtype: Numba would number the files of both alike."""
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    for _ in range(2):
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", TRAIN, dtype], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
            for dtype in ("float32", "float64") * 4
        ]
        results = [process.communicate() for process in processes]
        assert [process.returncode for process in processes] == [0] * 8, results
        assert len({out for out, _ in results[::2]}) == 1
        assert len({out for out, _ in results[1::2]}) == 1


def patterns(dtype):
    """How batches of one feature are taken, with what a call that was not finite may leave in the scratch."""
    return {
        "in batches by fours": kernels.By4(np.full(1 + MOST_LANES, np.nan, dtype)),
        "in batches row by row": kernels.RowByRow(np.full(1 + MOST_LANES, np.nan, dtype)),
        "in batches, converted": kernels.Converted(*np.full((2, 4 * MOST_LANES), np.nan, dtype)),
    }


@pytest.mark.parametrize("loop", ["online_by_4", "online", *patterns("float32")])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1])
@pytest.mark.parametrize("n_samples", [4, pytest.param(8, marks=pytest.mark.slow)])
@pytest.mark.parametrize("is_weighted", [pytest.param(False, marks=pytest.mark.slow), True])
def test_finite_checks_survive_the_fast_arithmetic(loop, value, n_samples, is_weighted, dtype):
    """Flags that let the compiler assume there is no NaN would make these silent; so would a ReLU at minus infinity."""
    X = np.ones((n_samples, 1), dtype)
    X[-1] = value
    y, none = np.zeros((n_samples, 1), dtype), np.empty(0, dtype)
    neuron = kernels.ReLUNeuron(1, X.dtype.type(0))
    loss, regularization, rates = HalfSquaredError(), kernels.NoRegularization(), np.zeros(1)
    weights = kernels.Weighted(read_only(np.ones(n_samples, dtype))) if is_weighted else kernels.Equal()
    rows = kernels.Rows(read_only(X), read_only(y), weights)
    parameters, progress = np.array([-1], dtype), kernels.Progress.zeros()
    if loop.startswith("in batches"):
        pattern = patterns(dtype)[loop]
        states = np.empty((0, 1), dtype)
        own, average = np.empty(0), np.empty(0)
        vectors = kernels.Vectors(parameters, np.zeros(1, dtype), none, states, own, average, none)
        rule = kernels.update_rule(PlainSGD(), regularization, np.array([[0, 1, 1]]), X.dtype, keeps_gradient=True)
        progress.begin_epoch(n_samples)
        kernels.train_neuron_batch(pattern, neuron, vectors, loss, rule, rates, rows, 2, 4, progress)
    else:
        kernel = getattr(kernels, f"train_neuron_{loop}")
        weight = np.full(1 + MOST_LANES, np.nan, dtype)
        kernel(neuron, parameters, weight, loss, regularization, rates, rows, progress)
    assert np.isfinite(progress.loss_sum[0]) == np.isfinite(value)


SINGLE = """
import numpy as np
from fastgd import kernels
from fastgd.kernels.codegen.function_pointer import settings_vector
from fastgd.kernels.optim.optimizers import Adam, PlainSGD
f, g, h = np.ones(64, np.float32), np.ones(64, np.float32), np.ones((8, 8), np.float32)
mask, panel = np.ones(64, np.bool_), kernels.products(np.float32, 8, 8).panel
vectors = kernels.Vectors(f, g, f, np.zeros((2, 64), np.float32), np.empty(0), np.empty(0), f)
adam, nothing = Adam(0.9, 0.999, 1e-8, 0.0, False), PlainSGD()
CALLS = {
    kernels.gemm: (h, h, np.ones((8, 8), np.float32), f[:8], False, panel, kernels.ALONE, 0),
    kernels.gemv: (f, 8, f[:8], f[:1], f.copy().reshape(64, 1)[:8], True),
    kernels.gemm_nt_small: (f, 8, f, f[:8], h, False),
    kernels.gemm_small: (f, (8, 1), f, 8, True, h),
    kernels.ger: (f[:8], f[:8], True, h),
    kernels.transpose: (f, 8, 8, np.ones((16, 16), np.float32), True, g[:8], (0, 8), kernels.ALONE, panel),
    kernels.relu_forward: (g, 0, (0, 0, 0, 0), mask),
    kernels.relu_backward: (f, mask, 0, g),
    kernels.OPTIMIZERS[PlainSGD].update: (vectors, settings_vector(nothing), 0.1, 1, (0, 64)),
    kernels.OPTIMIZERS[Adam].update: (vectors, settings_vector(adam), 0.1, 1, (0, 64)),
}
for kernel, arguments in CALLS.items():
    kernel(*arguments)
    dispatcher = kernel._dispatcher
    print("KERNEL", kernel.py_func.__name__, dispatcher.inspect_llvm(dispatcher.signatures[0]))
"""


@pytest.mark.slow
@pytest.mark.skipif(bool(config.BOUNDSCHECK), reason="no vectors are made where every index is checked")
def test_float32_loops_stay_float32(tmp_path):
    """float32 × int64 is float64 in Numba: a stray integer would halve the speed of a float32 loop."""
    output = program(code=SINGLE, NUMBA_CACHE_DIR=str(tmp_path)).stdout
    codes = output.split("KERNEL")[1:]
    assert len(codes) == 10
    for code in codes:
        assert re.search(r"<\d+ x float>", code), code.split()[0]
        assert not re.search(r"<\d+ x double>", code), code.split()[0]


LOOPS = """
import re
import numpy as np
import fastgd as gd
from fastgd import kernels
rows = {"float32": (8, 4), "uint8": (8, 4), "wide": (200, 4), "online": (8, 1), "online, wide": (200, 1)}
for name, (n_features, batch_size) in rows.items():
    X = np.ones((16, n_features), "uint8" if name == "uint8" else "float32")
    model = gd.Model([gd.Linear(n_features, 1), gd.ReLU()], dtype="float32")
    gd.Trainer(model, batch_size=batch_size).fit(X, np.ones(16))
for loop in (kernels.train_neuron_batch, kernels.train_neuron_online_by_4, kernels.train_neuron_online):
    own = loop.py_func.__name__
    for code in loop.inspect_asm().values():
        print("LOOP", own, *{name for name in re.findall(r"_ZN6fastgd\\w+", code) if own not in name})
"""


@pytest.mark.slow
def test_the_loops_of_a_neuron_call_no_other_function(tmp_path):
    """A call for each batch, with forty arguments, made small batches of narrow rows an eighth slower."""
    output = program(code=LOOPS, NUMBA_CACHE_DIR=str(tmp_path)).stdout
    loops = output.split("LOOP")[1:]
    assert len(loops) == 5
    assert all(len(loop.split()) == 1 for loop in loops), output
