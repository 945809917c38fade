"""The package as it is installed."""

import os
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
from modules import ROOT

import fastgd as gd

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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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
