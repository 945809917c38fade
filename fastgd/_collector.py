"""Python's garbage collector, out of the way where it only costs."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collection_paused() -> Iterator[None]:
    """No garbage collection inside.

    Imports and the compiler make a great many objects that stay. Walking over them again and again took a quarter of
    the time of `import fastgd` and a seventh of a kernel's first call.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
