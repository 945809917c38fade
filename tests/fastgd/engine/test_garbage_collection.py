"""The garbage collector while kernels are compiled, and after it."""

import gc
import weakref

import pytest

from fastgd._engine.garbage_collection import collection_paused

# To collect all that a session of tests has made takes seconds.
pytestmark = pytest.mark.slow


class Knot:
    def __init__(self):
        self.self = self


@pytest.fixture
def collections():
    """The generations that are collected."""
    made = []

    def note(phase, info):
        if phase == "start":
            made.append(info["generation"])

    gc.collect()
    gc.callbacks.append(note)
    yield made
    gc.callbacks.remove(note)


@pytest.mark.parametrize("n_objects", [100, 50_000])
def test_many_new_objects_are_old_at_once(n_objects, collections):
    with collection_paused():
        assert not gc.isenabled()
        knot = weakref.ref(Knot())
        kept = [[] for _ in range(n_objects)]
    assert gc.isenabled()
    assert collections == []
    assert gc.get_freeze_count() == 0
    assert (kept in gc.get_objects(generation=0)) == (n_objects == 100)
    assert knot() is not None
    gc.collect()
    assert knot() is None


def test_what_is_frozen_stays_so():
    gc.freeze()
    n_frozen = gc.get_freeze_count()
    try:
        with collection_paused():
            kept = [[] for _ in range(50_000)]
        # What is frozen may still end, as whatever runs beside this lets go of it.
        assert n_frozen - 1000 < gc.get_freeze_count() <= n_frozen
        assert len(kept) == 50_000
    finally:
        gc.unfreeze()


def test_a_collector_that_is_off_stays_off():
    gc.disable()
    try:
        with collection_paused():
            kept = [[] for _ in range(50_000)]
        assert not gc.isenabled()
        assert kept in gc.get_objects(generation=0)
    finally:
        gc.enable()


def test_it_is_on_again_after_an_error():
    with pytest.raises(ZeroDivisionError), collection_paused():
        1 / 0  # noqa: B018
    assert gc.isenabled()
