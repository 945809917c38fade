"""Whether files are still those that were opened."""

import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any

_EXPECTED = "expected files that stay as they are as long as fastgd reads them"


class Stamps:
    """Sizes of files and when they were last written, as they are when this is made.

    What was pickled takes those of the files where it is used next.

    Raises OSError for a file that is not there.
    """

    def __init__(self, paths: Iterable[str | os.PathLike]) -> None:
        self._known: dict[Path, tuple[int, int] | None] = {path: _stamp(path) for path in map(Path, paths)}

    def require_same(self, paths: Iterable[Path] | None = None) -> None:
        """Raise an error that names a file which has changed or vanished.

        paths : those to look at; by default all, and of others that were not there, none
        """
        for path in self._known if paths is None else paths:
            if path not in self._known:
                continue
            known, found = self._known[path], _found(path)
            if known is None:
                self._known[path] = found
            elif found != known:
                sizes = f" from {known[0]} bytes to {found[0]}" if found[0] != known[0] else ""
                raise ValueError(f"{path} has changed{sizes} since it was opened; {_EXPECTED}")

    def __getstate__(self) -> dict[str, Any]:
        return {"_known": dict.fromkeys(self._known)}


def _stamp(path: Path) -> tuple[int, int]:
    found = os.stat(path)
    # What is no file, as a pipe, changes as it is read.
    return (found.st_size, found.st_mtime_ns) if stat.S_ISREG(found.st_mode) else (0, 0)


def _found(path: Path) -> tuple[int, int]:
    try:
        return _stamp(path)
    except FileNotFoundError:
        raise FileNotFoundError(f"{path} is gone; {_EXPECTED}") from None
