"""Python's garbage collector, out of the way where it only costs."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

# A first look at so many new objects takes a millisecond. Without a compiler at work there are never so many.
_MANY = 10_000


@contextmanager
def collection_paused() -> Iterator[None]:
    """No garbage collection inside.

    Imports and the compiler make a great many objects that stay. Walking over them again and again took a quarter of
    the time of `import fastgd` and a seventh of a kernel's first call; walking over them once, at the end, still took a
    twentieth. So if they are many, they are old at once, and looked at when the collector next looks at everything.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            n_young, *_ = gc.get_count()
            # What the caller has frozen would be thawed.
            if n_young > _MANY and gc.get_freeze_count() == 0:
                gc.freeze()
                gc.unfreeze()
            gc.enable()
