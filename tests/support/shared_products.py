"""Small networks on many threads."""

import sys

from fastgd import kernels


def share_every_product(monkeypatch, workers):
    """All that can be shared is shared by so many threads from now on."""
    monkeypatch.setattr(sys.modules[kernels.products.__module__], "WORTH_SHARING_OPERATIONS", 0)
    monkeypatch.setattr(kernels.tuning, "WORTH_A_THREAD", 1)
    monkeypatch.setattr("fastgd.network.most_threads", lambda: workers)
