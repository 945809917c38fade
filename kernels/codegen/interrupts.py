"""Ctrl-C, put off while something runs that must not be cut in two."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def interrupts_deferred() -> Iterator[None]:
    """Inside, SIGINT is only noted; its handler is called at the end, in most programs to raise KeyboardInterrupt.

    Only the main thread ever gets the signal: in any other one, nothing is to do.
    """
    handler = signal.getsignal(signal.SIGINT)
    # One that is no function ignores the signal, ends the process, or is not Python's to change.
    if threading.current_thread() is not threading.main_thread() or not callable(handler):
        yield
        return
    arrived = []

    def note(number: int, frame: Any) -> None:
        arrived.append(number)

    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if arrived:
            signal.raise_signal(signal.SIGINT)
