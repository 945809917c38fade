"""Files that change while rows are read."""

import pytest

from fastgd.data.stamps import Stamps


@pytest.fixture
def change_in_a_pass(monkeypatch):
    """Nobody looks whether files have changed: what is changed now is as if it were in the midst of a pass."""
    monkeypatch.setattr(Stamps, "require_same", lambda *_: None)
