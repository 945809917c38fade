"""A twentieth of the sets of `random_sets.py`: a rate that nobody has chosen wrecks no model."""

import pytest

pytest.importorskip("sklearn")

from bench.studies import random_sets
from bench.studies.quality_models import SETTINGS


@pytest.mark.parametrize("name", ["default", "SGD auto", "Adam auto"])
@pytest.mark.parametrize("first", range(0, 50, 10))
def test_no_model_is_wrecked(benchmark, name, first):
    def losses():
        return {seed: random_sets.judge(seed, SETTINGS[name])[0] for seed in range(first, first + 10)}

    benchmark.group = f"random sets from {first}"
    found = benchmark.pedantic(losses)
    assert [seed for seed, loss in found.items() if loss is None or loss > 1 + random_sets.TOLERANCE] == []
