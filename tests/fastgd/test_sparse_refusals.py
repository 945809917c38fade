"""What sparse rows cannot be trained with."""

import numpy as np
import pytest
from sparse_cases import csr

import fastgd as gd

NOT_FOR_SPARSE_ROWS = {
    "centred": (
        [gd.Standardize(4), gd.Linear(4, 1)],
        {},
        "expected .* with_mean='nonzero'., or dense rows",
    ),
    "by quartiles": ([gd.RobustStandardize(4), gd.Linear(4, 1)], {}, "subtracts the medians"),
    "an activation first": ([gd.ReLU(), gd.Linear(4, 1)], {}, "expected a Linear first"),
    "normalised": ([gd.Linear(4, 1)], {"optimizer": gd.NormalizedSGD()}, "NormalizedSGD sees all features"),
}


@pytest.mark.parametrize("case", NOT_FOR_SPARSE_ROWS)
def test_what_sparse_rows_cannot_be_trained_with(case):
    layers, options, message = NOT_FOR_SPARSE_ROWS[case]
    X, _ = csr(10, 4)
    model = gd.Model(layers)
    before = model.parameters.copy()
    with pytest.raises(ValueError, match=f"X is sparse, and .*{message}"):
        gd.Trainer(model, **options).fit(X, np.zeros(10))
    np.testing.assert_array_equal(model.parameters, before)


def test_a_search_refuses_rows_that_are_too_wide():
    X, _ = csr(10, 4)
    X.resize((10, 2**21))
    model = gd.Model([gd.Linear(2**21, 1, init="zeros")])
    with pytest.raises(ValueError, match=r"X is sparse and has 2097152 features, .* expected a number or a schedule"):
        gd.Trainer(model, optimizer=gd.SGD("auto")).fit(X, np.zeros(10))
