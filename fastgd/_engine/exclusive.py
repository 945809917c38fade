"""One call at a time: what a trainer has while one of its calls trains."""

import contextlib
import threading
from collections.abc import Iterator
from typing import NamedTuple


class _Call(NamedTuple):
    """A call that trains: its name, the thread that makes it, and what tells it from all others."""

    name: str
    thread: int
    identity: object


class Exclusive:
    """Calls of which no two may go on at once. A copy begins with none."""

    def __init__(self) -> None:
        self._calls: dict[str, _Call] = {}

    @contextlib.contextmanager
    def call(self, name: str) -> Iterator[None]:
        """Nothing else trains inside: a RuntimeError where something does."""
        call = _Call(name, threading.get_ident(), object())
        try:
            # In one step, as another thread may be at the same line.
            running = self._calls.setdefault("running", call)
            if running is not call:
                where = "" if running.thread == call.thread else " in another thread"
                raise RuntimeError(
                    f"{name} was called while {running.name} trains{where}; expected one call at a time (a callback "
                    "may train a copy, by copy.deepcopy(trainer))"
                )
            yield
        finally:
            if self._calls.get("running") is call:
                del self._calls["running"]

    def require_none_elsewhere(self, name: str) -> None:
        """Raise a RuntimeError while another thread trains."""
        running = self._calls.get("running")
        if running is not None and running.thread != threading.get_ident():
            raise RuntimeError(
                f"{name} was called while {running.name} trains in another thread; expected it between epochs"
            )

    def __reduce__(self) -> tuple:
        return Exclusive, ()
