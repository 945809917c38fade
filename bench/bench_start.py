"""Fresh processes: the first update with a warm and with an empty cache, and `import numba` beside it.

Each time here includes the interpreter's own start; `report.py` takes the ratios without it.
"""

import pytest

from bench.cases.start import FIRST_UPDATES, IMPORT_NUMBA, seconds_of


@pytest.mark.parametrize("name", FIRST_UPDATES)
@pytest.mark.parametrize("start", ["import numba", "warm cache", "empty cache"])
def test_start(benchmark, tmp_path_factory, name, start):
    code = IMPORT_NUMBA if start == "import numba" else FIRST_UPDATES[name]
    caches = [str(tmp_path_factory.mktemp("cache"))]
    if start == "warm cache":
        seconds_of(code, caches[0])

    def next_cache():
        if start == "empty cache":
            caches.append(str(tmp_path_factory.mktemp("cache")))
        return (code, caches[-1]), {}

    benchmark.group = f"first update | {name}"
    benchmark.pedantic(seconds_of, setup=next_cache, rounds=3)
