"""What `help` shows of all that users call: a docstring with an example, which does what it says."""

import doctest
import importlib
import inspect

import pytest
from modules import FOLDERS, MODULES, ROOT

import fastgd as gd
import fastgd.dask
import fastgd.sklearn

PUBLIC = [gd, gd.callbacks, gd.dask, gd.data, gd.losses, gd.plot, gd.replicas, gd.schedules, gd.sklearn]
# Their methods are called too, and not only by fastgd itself.
CALLED = gd.Model, gd.Trainer, gd.History


def called_by_users():
    for module in PUBLIC:
        for name in module.__all__:
            thing = getattr(module, name)
            if inspect.ismodule(thing) or not callable(thing):
                continue
            yield f"{module.__name__}.{name}", thing
            if thing in CALLED:
                for method in vars(thing):
                    if not method.startswith("_") and callable(getattr(thing, method)) and method != "append":
                        yield f"{module.__name__}.{name}.{method}", getattr(thing, method)


def test_what_users_call_has_an_example():
    assert [name for name, thing in called_by_users() if ">>> " not in (inspect.getdoc(thing) or "")] == []


def modules_with_examples():
    for path in [*MODULES, *FOLDERS]:
        if ">>> " in path.read_text():
            yield ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::fastgd.UsageWarning")
@pytest.mark.parametrize("name", list(modules_with_examples()))
def test_examples_do_what_they_say(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert doctest.testmod(importlib.import_module(name)).failed == 0
