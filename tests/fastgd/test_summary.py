"""What `model.summary()` says, and that it counts right."""

import numpy as np

import fastgd as gd

LAYERS = [gd.Standardize(784), gd.Linear(784, 64), gd.ReLU(), gd.Linear(64, 10, bias=False), gd.StandardizedTargets(10)]
TEXT = """Model, float32: 50,880 parameters in 204 kB
layer                         features   parameters  multiplications a row
----------------------------  ---------  ----------  ---------------------
0 Standardize(784)            784 → 784           0                    784
1 Linear(784, 64)             784 → 64       50,240                 50,176
2 ReLU()                      64 → 64             0                      0
3 Linear(64, 10, bias=False)  64 → 10           640                    640
4 StandardizedTargets(10)     10 → 10             0                     10
all                           784 → 10       50,880                 51,610"""


def test_text():
    summary = gd.Model(LAYERS).summary()
    assert str(summary) == TEXT
    assert repr(summary) == str(summary)


def test_numbers():
    model = gd.Model(LAYERS, dtype="float64")
    summary = model.summary()
    assert summary.n_parameters == model.parameters.size == sum(layer.n_parameters for layer in summary.layers)
    assert summary.n_bytes == model.parameters.nbytes
    assert summary.n_multiplications == sum(layer.n_multiplications for layer in summary.layers)
    assert [layer.layer for layer in summary.layers] == list(model.layers)
    assert "407 kB" in str(summary)


def test_notebook_and_markdown():
    summary = gd.Model([gd.Linear(3, 4), gd.ReLU(), gd.Linear(4, 1)]).summary()
    page = summary._repr_html_()
    assert page.count("<tr>") == 5
    assert "<script" not in page
    lines = summary.to_markdown().splitlines()
    assert lines[2:5] == [
        "| layer | features | parameters | multiplications a row |",
        "| :-- | :-- | --: | --: |",
        "| 0 Linear(3, 4) | 3 → 4 | 16 | 12 |",
    ]


def test_a_summary_needs_nothing_that_was_learnt():
    model = gd.Model([gd.Standardize(2), gd.Linear(2, 1)])
    assert model.layers[0].mean is None
    assert model.summary().layers[0].n_multiplications == 2
    assert np.isfinite(model.parameters).all()
