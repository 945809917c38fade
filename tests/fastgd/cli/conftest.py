import pytest

import fastgd as gd


@pytest.fixture
def files(tmp_path):
    data = gd.data.synthetic(1000, 10, 2, (4,), seed=1)
    data.save(tmp_path)
    return tmp_path
