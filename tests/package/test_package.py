"""The package as it is installed, and the house's own rules."""

import ast
import os
import pickle
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

import fastgd as gd

ROOT = Path(__file__).parents[2]
CHECK = """
import importlib.metadata, sys
import fastgd, fastgd.kernels
model = fastgd.Model([fastgd.Linear(2, 1, bias=False, init=[[1, 2]])])
assert model.layers[0].weight.tolist() == [[1, 2]]
try:
    import kernels
    print("a top-level kernels is", kernels.__file__)
except ImportError:
    print("no top-level kernels")
print(fastgd.__file__)
print(fastgd.kernels.__file__)
"""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of what a build needs, so that the build leaves nothing behind here."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    for name in ("fastgd", "kernels"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """A fresh environment that sees the dependencies of this one, but not its fastgd."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True)
    executable = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    purelib = "import sysconfig; print(sysconfig.get_path('purelib'))"
    ours = subprocess.run([sys.executable, "-c", purelib], capture_output=True, text=True, check=True).stdout.strip()
    theirs = subprocess.run([executable, "-c", purelib], capture_output=True, text=True, check=True).stdout.strip()
    # A .pth file adds folders, and runs none of the .pth files in them: an editable fastgd there stays out of sight.
    Path(theirs, "dependencies.pth").write_text(ours)
    return executable


def run(python, *arguments, cwd, **environment):
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    process = subprocess.run(
        [python, *arguments], cwd=cwd, env=clean | environment, capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stderr
    return process.stdout


def pip(python, *arguments, cwd):
    run(python, "-m", "pip", "-q", "--disable-pip-version-check", *arguments, cwd=cwd)


@pytest.fixture(scope="module")
def wheel(checkout, tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(checkout)]
    subprocess.run(build, check=True, capture_output=True, text=True)
    return next(folder.glob("*.whl"))


def test_wheel_holds_the_package_and_no_top_level_kernels(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names} == {"fastgd", f"fastgd-{gd.__version__}.dist-info"}
    for folder, prefix in ((ROOT / "kernels", "fastgd/kernels"), (ROOT / "fastgd", "fastgd")):
        for path in folder.rglob("*.py"):
            assert f"{prefix}/{path.relative_to(folder).as_posix()}" in names
    assert "fastgd/py.typed" in names


def test_every_folder_of_code_is_installed():
    """setuptools takes what it is told, and nothing that is not on the list."""
    with open(ROOT / "pyproject.toml", "rb") as file:
        listed = tomllib.load(file)["tool"]["setuptools"]["packages"]
    found = []
    for folder, prefix in ((ROOT / "fastgd", "fastgd"), (ROOT / "kernels", "fastgd.kernels")):
        folders = {path.parent.relative_to(folder).parts for path in folder.rglob("*.py")}
        found += [".".join((prefix, *parts)) for parts in folders]
    assert sorted(listed) == sorted(found)


def test_wheel(wheel, python, tmp_path):
    pip(python, "install", "--no-deps", "--force-reinstall", str(wheel), cwd=tmp_path)
    out = run(python, "-c", CHECK, cwd=tmp_path)
    assert "no top-level kernels" in out
    assert str(Path("fastgd", "kernels", "__init__.py")) in out
    assert "fastgd" in run(python, "-m", "fastgd", "info", cwd=tmp_path)


@pytest.mark.slow
def test_use_leaves_nothing_in_an_installation(wheel, python, tmp_path):
    """A folder that pip does not know of would outlive it, and Python would take it for fastgd."""
    pip(python, "install", "--no-deps", "--force-reinstall", str(wheel), cwd=tmp_path)
    use = "import fastgd; fastgd.Model([fastgd.Linear(2, 1)]).predict([[1, 2]]); print(fastgd.__path__[0])"
    caches = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "caches"), "NUMBA_CACHE_DIR": ""}
    installed = run(python, "-c", use, cwd=tmp_path, **caches).strip()
    pip(python, "uninstall", "-y", "fastgd", cwd=tmp_path)
    assert not Path(installed).exists()
    assert list(tmp_path.rglob("*.nbc"))


@pytest.mark.slow
def test_plain_install_run_from_the_checkout(wheel, python, checkout):
    """Python finds ./fastgd before the installed one, and must find ./kernels with it."""
    pip(python, "install", "--no-deps", "--force-reinstall", str(wheel), cwd=checkout)
    out = run(python, "-c", CHECK, cwd=checkout)
    assert str(checkout / "kernels") in out
    assert "fastgd" in run(python, "-m", "fastgd", "info", cwd=checkout)


def test_editable(checkout, python, tmp_path):
    pip(python, "install", "--no-deps", "--force-reinstall", "-e", str(checkout), cwd=tmp_path)
    out = run(python, "-c", CHECK, cwd=tmp_path)
    assert "no top-level kernels" in out
    assert str(checkout / "kernels") in out
    assert str(checkout / "kernels") in run(python, "-c", CHECK, cwd=checkout)


@pytest.mark.slow
def test_python_path_alone(checkout, python, tmp_path):
    pip(python, "uninstall", "-y", "fastgd", cwd=tmp_path)
    assert str(checkout / "kernels") in run(python, "-c", CHECK, cwd=tmp_path, PYTHONPATH=str(checkout))
    assert str(checkout / "kernels") in run(python, "-c", CHECK, cwd=checkout, PYTHONPATH=".")


# Who may import whom: only what stands further down.
FLOORS = [
    ["__main__"],
    ["cli", "_public", "sklearn"],
    ["reference", "callbacks"],
    ["trainer"],
    ["_engine"],
    ["recommended"],
    ["metrics"],
    ["model"],
    ["folding", "model_data", "network", "optimizers"],
    ["layer_stack"],
    ["layers", "labels", "regularization"],
    ["standardize"],
    ["moments"],
    ["losses", "schedules", "history"],
    ["data"],
    ["storage"],
    ["_version", "errors", "threads"],
    ["kernels"],
]
FLOOR = {name: floor for floor, names in enumerate(FLOORS) for name in names}
MODULES = sorted((ROOT / "fastgd").glob("*.py"))
# A folder in there stands on one floor.
FOLDERS = sorted((ROOT / "fastgd").glob("*/*.py"))


def imports(path):
    """(package, name) for each module that a file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield (*alias.name.split("."), "")[:2]
        elif isinstance(node, ast.ImportFrom) and node.module:
            package, *rest = node.module.split(".")
            for alias in node.names:
                yield package, rest[0] if rest else alias.name


@pytest.mark.parametrize("path", [*MODULES, *FOLDERS], ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path):
    found = list(imports(path))
    assert not [name for package, name in found if package in ("numba", "llvmlite")]
    assert not [name for package, name in found if package == "kernels"]
    here = path.stem if path.parent.name == "fastgd" else path.parent.name
    if here == "__init__":
        return
    ours = {name for package, name in found if package == "fastgd" and name in FLOOR} - {here}
    assert not [name for name in ours if FLOOR[name] <= FLOOR[here]]


def test_tests_and_benchmarks_do_not_import_each_other():
    """What both need stands in tests/support, which is no test."""
    found = {
        folder: {names for path in (ROOT / folder).rglob("*.py") for names in imports(path)}
        for folder in ("tests", "bench")
    }
    assert not [name for package, name in found["tests"] if package == "bench"]
    assert {name for package, name in found["bench"] if package == "tests"} <= {"support"}


@pytest.mark.parametrize("path", [*MODULES, *FOLDERS], ids=lambda path: str(path.relative_to(ROOT)))
def test_kernels_have_one_door(path):
    """What fastgd takes from kernels, `kernels/__init__.py` exports."""
    folders = {folder.name for folder in (ROOT / "kernels").iterdir() if folder.is_dir()}
    for node in ast.walk(ast.parse(path.read_text())):
        assert not (isinstance(node, ast.ImportFrom) and (node.module or "").startswith("fastgd.kernels."))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            assert not (node.value.id == "kernels" and node.attr in folders)


KERNELS = sorted((ROOT / "kernels").rglob("*.py"))
# Inside kernels, too: only its own folder and what stands further down. codegen and tuning need one
# another, what the processor has and what that is worth.
KERNEL_FLOORS = [["loops"], ["optim"], ["nn"], ["gemm", "rows"], ["parallel"], ["random"], ["codegen", "tuning"]]
KERNEL_FLOOR = {name: floor for floor, names in enumerate(KERNEL_FLOORS) for name in names}
# What the other folders may use of Numba: names that its manual explains.
DOCUMENTED = {("numba", "types"), ("numba", "from_dtype")}


def imported_names(path):
    """(module, name) of each name that a file imports; modules of its own package begin with as many dots."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (("." * node.level + (node.module or ""), alias.name) for alias in node.names)


@pytest.mark.parametrize("path", KERNELS, ids=lambda path: path.relative_to(ROOT / "kernels").as_posix())
def test_the_compiler_stands_behind_one_wall(path):
    """What Numba and llvmlite do not promise to keep is used in codegen and nowhere else."""
    folder = path.relative_to(ROOT / "kernels").parts[0]
    found = [(module, name) for module, name in imported_names(path) if not module.startswith(".")]
    packages = {module.partition(".")[0] for module, _ in found}
    assert packages <= {"numba", "llvmlite", "numpy", "platformdirs", *sys.stdlib_module_names}
    if folder != "codegen":
        compilers = {(module, name) for module, name in found if module.startswith(("numba", "llvmlite"))}
        assert compilers <= DOCUMENTED
        private = {"overloads", "signatures", "targetctx", "typingctx", "library", "codegen"}
        attributes = {node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}
        assert not attributes & private


@pytest.mark.parametrize("path", KERNELS, ids=lambda path: path.relative_to(ROOT / "kernels").as_posix())
def test_kernels_point_down(path):
    own, *rest = path.relative_to(ROOT / "kernels").with_suffix("").parts
    if own == "__init__":
        return
    depth = len(rest)
    for module, _ in imported_names(path):
        dots = len(module) - len(module.lstrip("."))
        if dots > depth:
            folder = module.lstrip(".").partition(".")[0]
            assert KERNEL_FLOOR[folder] > KERNEL_FLOOR[own] or {folder, own} == {"codegen", "tuning"}, (
                f"{path} imports {module}"
            )


def python_prints(code):
    """The words that a fresh process prints."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()


def test_import_is_light():
    """What training does not need is not imported with the package."""
    loaded = set(python_prints("import sys, fastgd; fastgd.Trainer; print(*sys.modules)"))
    assert "numba" in loaded
    assert not loaded & {"tqdm", "safetensors", "matplotlib", "argparse", "pytest", "sklearn", "dask"}


@pytest.mark.parametrize("use", ["pass", "fastgd.__version__", "fastgd.__doc__", "hasattr(fastgd, '_repr_html_')"])
def test_import_alone_waits_for_no_compiler(use):
    loaded = python_prints(f"import sys, fastgd; {use}; print(*sys.modules)")
    assert "fastgd" in loaded
    assert "numba" not in loaded


def test_every_module_can_be_the_first_to_be_imported():
    code = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
    assert getattr(sys.modules["fastgd"], name.partition(".")[2]) is sys.modules[name]
    for loaded in [each for each in sys.modules if each.partition(".")[0] == "fastgd" and ".kernels" not in each]:
        del sys.modules[loaded]
"""
    names = [f"fastgd.{path.stem}" for path in MODULES if not path.stem.startswith("__")]
    names += sorted({f"fastgd.{path.parent.name}" for path in FOLDERS})
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


def test_every_public_name_is_documented():
    for name in gd.__all__:
        if name not in ("__version__", "callbacks", "data", "labels", "losses", "schedules"):
            documented = getattr(gd, name)
            assert documented.__doc__, name
            for member, value in vars(documented).items():
                if callable(value) and not member.startswith("_"):
                    assert value.__doc__, f"{name}.{member}"
