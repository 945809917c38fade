"""Is the first update in a fresh process as soon as in another checkout? python -m bench.studies.first_update FOLDER

Seconds of `FIRST_UPDATES` in this checkout and in that of the folder, the least of the rounds, by turns, with machine
code cached and with an empty cache.
"""

import argparse
import contextlib
import os
import tempfile
from collections import defaultdict
from pathlib import Path
from unittest import mock

from bench.cases.start import FIRST_UPDATES, seconds_of
from bench.readme import markdown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", help="of the other checkout")
    parser.add_argument("--rounds", type=int, default=6)
    options = parser.parse_args()
    checkouts = {"there": str(Path(options.folder).resolve()), "here": str(Path(__file__).parents[2])}
    least: defaultdict[tuple, float] = defaultdict(lambda: float("inf"))
    # Python would take the packages of the folder that it is started in.
    with tempfile.TemporaryDirectory() as warm, contextlib.chdir(warm):
        for is_counted in [False, *[True] * options.rounds]:
            for name, code in FIRST_UPDATES.items():
                for place, checkout in checkouts.items():
                    with mock.patch.dict(os.environ, PYTHONPATH=checkout), tempfile.TemporaryDirectory() as empty:
                        for kind, cache in (("cached", f"{warm}/{place}"), ("not cached", empty)):
                            seconds = seconds_of(code, cache)
                            if is_counted:
                                least[name, kind, place] = min(least[name, kind, place], seconds)
    rows = [
        [name, kind, *(f"{least[name, kind, place]:.3f}" for place in checkouts)]
        for name in FIRST_UPDATES
        for kind in ("cached", "not cached")
    ]
    print(markdown(["first update", "machine code", "there, s", "here, s"], rows, n_left=2))


if __name__ == "__main__":
    main()
