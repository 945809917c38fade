import matplotlib
import pytest

matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def figures():
    """Closed in the end."""
    from matplotlib import pyplot

    yield
    pyplot.close("all")
