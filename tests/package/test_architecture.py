"""The house's own rules: who may import whom, and what is documented."""

import ast
import sys

import pytest
from modules import FOLDERS, MODULES, ROOT

import fastgd as gd

# Who may import whom: only what stands further down. A folder stands on one floor.
FLOORS = [
    ["__main__", "dask"],
    ["cli", "_public", "sklearn"],
    ["reference", "callbacks", "plot"],
    ["trainer"],
    ["tracing"],
    ["_engine"],
    ["recommended"],
    ["metrics"],
    ["model"],
    ["evaluation"],
    ["class_predictions", "export", "folding", "model_data", "network", "optimizers", "summary"],
    ["layer_stack"],
    ["layers", "labels", "regularization", "replicas"],
    ["activations", "standardize"],
    ["leave_one_out", "learn_scales"],
    ["moments"],
    ["losses", "schedules", "history"],
    ["data"],
    ["storage"],
    ["_version", "atomic_files", "errors", "tables", "threads"],
    ["kernels"],
]
FLOOR = {name: floor for floor, names in enumerate(FLOORS) for name in names}


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
    here = path.relative_to(ROOT / "fastgd").with_suffix("").parts[0]
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


# What Numba's compiled functions have.
OF_DISPATCHERS = {"overloads", "signatures", "targetctx", "typingctx", "library", "codegen", "typeof_pyval", "compile"}


def attributes_of(path):
    """The names of the attributes that a file uses, but for those of modules of Python's own."""
    nodes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)]
    of_modules = {
        node for node in nodes if isinstance(node.value, ast.Name) and node.value.id in sys.stdlib_module_names
    }
    return {node.attr for node in nodes if node not in of_modules}


@pytest.mark.parametrize("path", [*MODULES, *FOLDERS], ids=lambda path: str(path.relative_to(ROOT)))
def test_fastgd_knows_nothing_of_the_compiler(path):
    assert not attributes_of(path) & OF_DISPATCHERS


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
        assert not attributes_of(path) & OF_DISPATCHERS


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


def test_every_public_name_is_documented():
    for name in gd.__all__:
        if name not in ("__version__", "callbacks", "data", "labels", "losses", "plot", "schedules"):
            documented = getattr(gd, name)
            assert documented.__doc__, name
            for member, value in vars(documented).items():
                if callable(value) and not member.startswith("_"):
                    assert value.__doc__, f"{name}.{member}"
