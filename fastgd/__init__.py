"""Gradient descent for linear and ReLU networks, with compiled kernels."""

from importlib import import_module as _import_module
from importlib.util import find_spec as _find_spec
from pathlib import Path as _Path
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

from fastgd._engine.garbage_collection import collection_paused as _collection_paused
from fastgd._version import __version__  # noqa: F401 (part of what is exported)

# The kernels stand beside this folder in a checkout and inside it in an installation. Without this line, a checkout
# whose kernels are not installed, or are installed elsewhere, would not find its own.
if not (_Path(__file__).parent / "kernels").is_dir():
    __path__.append(str(_Path(__file__).parents[1]))

if _TYPE_CHECKING:
    from fastgd._public import *  # noqa: F403 (its names are in its __all__)


# What training does without, and the modules that have it.
_IMPORTED_WHEN_USED = {"trace": "tracing"}


def __getattr__(name: str) -> _Any:
    """Import what the package exports when it is first used: importing Numba takes most of a second.

    `fastgd --help`, and whoever wants no more than the version, never waits for it.
    """
    if name.startswith("_") and name != "__all__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with _collection_paused():
        # A module that is imported by others while they are imported must not import them all.
        if name.islower() and _find_spec(f"{__name__}.{name}"):
            return _import_module(f"{__name__}.{name}")
        if name in _IMPORTED_WHEN_USED:
            return getattr(_import_module(f"{__name__}.{_IMPORTED_WHEN_USED[name]}"), name)
        public = _import_module(f"{__name__}._public")
    found = {each: getattr(public, each) for each in public.__all__ if hasattr(public, each)}
    globals().update(found, __all__=public.__all__)
    if name not in globals():
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return globals()[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *__getattr__("__all__")})
