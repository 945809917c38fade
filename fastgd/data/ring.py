"""Blocks that are made ahead of their use, in a thread of their own."""

import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

# A thread that is asked to end does so once it has made its block. One that takes longer waits for something else, and
# ends by itself whenever it comes back.
_SECONDS_TO_END = 1.0


class _Made(NamedTuple):
    """A block, or the error that came in its place, and where its place goes back to."""

    block: Any
    error: BaseException | None
    place: Any
    free_places: list[Any]


class Ring:
    """Has blocks made in order by a background thread, into a few places that are used again and again.

    Which thread makes a block changes nothing of it, and a place is free again once its block has been used.

    Parameters
    ----------
    tasks : iterator
        What is to be made, one task a block. Each is taken under a lock, when a place for its block is free.
    make : callable
        make(task, place) -> block
    places : sequence
        Where the background thread makes blocks: at least 2, for it to make one while one is used.
    own_places : sequence
        Where the thread that uses the blocks makes some too while it would wait; none where `make` does not bear two
        calls at once.
    """

    def __init__(
        self,
        tasks: Iterator[Any],
        make: Callable[[Any, Any], Any],
        places: Sequence[Any],
        own_places: Sequence[Any] = (),
    ) -> None:
        self._tasks = tasks
        self._make_block = make
        self._free, self._own_free = list(places), list(own_places)
        self._made: dict[int, _Made] = {}
        self._n_begun = 0
        self._is_over = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="fastgd reader", daemon=True)

    def start(self) -> bool:
        """Begin to make blocks; False where the system gives no thread."""
        try:
            self._thread.start()
        except RuntimeError:
            return False
        return True

    def blocks(self) -> Iterator[Any]:
        """The blocks in order; each holds until the next is asked for. An error in a block's making is raised here."""
        for number in itertools.count():
            if not self._wait_for(number):
                return
            made = self._made.pop(number)
            if made.error is not None:
                raise made.error
            yield made.block
            with self._changed:
                made.free_places.append(made.place)
                self._changed.notify_all()

    def close(self) -> bool:
        """Let the thread end. False where it is still at work, and may write into its place until it comes back."""
        with self._changed:
            self._is_over = True
            self._changed.notify_all()
        # The garbage collector may be what closes, in any thread.
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join(_SECONDS_TO_END)
        return not self._thread.is_alive()

    def _wait_for(self, number: int) -> bool:
        """Wait until a block is made, or make another meanwhile; False where there are no more."""
        while True:
            with self._changed:
                while True:
                    if number in self._made:
                        return True
                    task = self._next_task(self._own_free)
                    if task is not None:
                        break
                    if self._is_over and number >= self._n_begun:
                        return False
                    self._changed.wait()
            self._make(*task, self._own_free)

    def _next_task(self, free_places: list[Any]) -> tuple[int, Any, Any] | None:
        """Number, task and place of the next block to make, if there is a place for it; only with the lock."""
        if self._is_over or not free_places:
            return None
        try:
            task = next(self._tasks)
        except StopIteration:
            self._is_over = True
            self._changed.notify_all()
            return None
        self._n_begun += 1
        return self._n_begun - 1, task, free_places.pop()

    def _make(self, number: int, task: Any, place: Any, free_places: list[Any]) -> None:
        block = error = None
        try:
            block = self._make_block(task, place)
        except BaseException as raised:
            # Ctrl-C in the thread that uses the blocks must not wait for those before.
            if free_places is self._own_free and not isinstance(raised, Exception):
                raise
            error = raised
        with self._changed:
            self._made[number] = _Made(block, error, place, free_places)
            self._is_over = self._is_over or error is not None
            self._changed.notify_all()

    def _work(self) -> None:
        while True:
            with self._changed:
                while (task := self._next_task(self._free)) is None:
                    if self._is_over:
                        return
                    self._changed.wait()
            self._make(*task, self._free)
