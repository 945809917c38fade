"""Imports are light, in any order and from any thread."""

import pickle
import subprocess
import sys

import pytest
from modules import FOLDERS, MODULES, ROOT

import fastgd as gd


def python_prints(code):
    """The words that a fresh process prints."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()


def test_import_is_light():
    """What training does not need is not imported with the package."""
    loaded = set(python_prints("import sys, fastgd; fastgd.Trainer; print(*sys.modules)"))
    assert "numba" in loaded
    others = {"tqdm", "safetensors", "matplotlib", "argparse", "pytest", "sklearn", "dask"}
    assert not loaded & (others | {"fastgd.callbacks", "fastgd.plot", "fastgd.export.c", "fastgd.export.onnx"})


@pytest.mark.parametrize("use", ["pass", "fastgd.__version__", "fastgd.__doc__", "hasattr(fastgd, '_repr_html_')"])
def test_import_alone_waits_for_no_compiler(use):
    loaded = python_prints(f"import sys, fastgd; {use}; print(*sys.modules)")
    assert "fastgd" in loaded
    assert "numba" not in loaded


def test_a_cluster_needs_scikit_learn_for_estimators_alone():
    pytest.importorskip("distributed")
    code = """
import sys
sys.modules["sklearn"] = None
import fastgd.dask
fastgd.dask.fit
try:
    fastgd.dask.GDRegressor
except ImportError as error:
    print("fastgd[sklearn]" in str(error))
"""
    assert python_prints(code) == ["True"]


@pytest.mark.slow
def test_every_module_can_be_the_first_to_be_imported():
    code = """
import importlib, operator, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
    assert operator.attrgetter(name.partition(".")[2])(sys.modules["fastgd"]) is sys.modules[name]
    for loaded in [each for each in sys.modules if each.partition(".")[0] == "fastgd" and ".kernels" not in each]:
        del sys.modules[loaded]
"""
    names = [f"fastgd.{path.stem}" for path in MODULES if not path.stem.startswith("__")]
    names += sorted({".".join(path.parent.relative_to(ROOT).parts) for path in FOLDERS})
    subprocess.run([sys.executable, "-c", code, *names], check=True)


USES = {
    "attribute": "import fastgd as gd; print(gd.Model.__name__, gd.data.synthetic(3, 2).n_samples)",
    "from": "from fastgd import Model, data; print(Model.__name__, data.synthetic(3, 2).n_samples)",
    "module": "import fastgd.data; print(fastgd.Model.__name__, fastgd.data.synthetic(3, 2).n_samples)",
    "star": "from fastgd import *; print(Model.__name__, data.synthetic(3, 2).n_samples)",
    "dir": "import fastgd; print('Model' in dir(fastgd) and 'Model', len(fastgd.data.synthetic(3, 2).arrays()[0]))",
    "pickle": (
        "import pickle, fastgd as gd; gd.Model; pickle.dumps(gd.Model([gd.Linear(2, 1)])); import copy;"
        "print(type(copy.deepcopy(gd.Model([gd.Linear(3, 1)]))).__name__, gd.Linear(3, 1).in_features)"
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("use", USES)
def test_names_are_there_when_they_are_used(use):
    assert python_prints(USES[use]) == ["Model", "3"]


def test_a_pickle_is_loaded_without_an_import():
    """As a worker process does."""
    model = pickle.dumps(gd.Model([gd.Linear(3, 1)]))
    assert python_prints(f"import pickle; print(pickle.loads({model!r}).in_features)") == ["3"]


def test_a_name_that_is_none_of_fastgds():
    with pytest.raises(AttributeError, match="module 'fastgd' has no attribute 'Conv'"):
        _ = gd.Conv
    with pytest.raises(AttributeError, match="module 'fastgd' has no attribute '_conv'"):
        _ = gd._conv
    with pytest.raises(ImportError, match="cannot import name 'Conv' from 'fastgd'"):
        from fastgd import Conv  # noqa: F401


def test_the_first_use_in_several_threads():
    code = """
import threading, gc
import fastgd
start, found = threading.Barrier(8), []
def use(name):
    start.wait()
    found.append(getattr(fastgd, name).__name__)
names = ["Model", "Trainer", "data", "SGD", "ReLU", "losses", "Linear", "callbacks"]
threads = [threading.Thread(target=use, args=(name,)) for name in names]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(len(found), gc.isenabled())
"""
    assert python_prints(code) == ["8", "True"]
