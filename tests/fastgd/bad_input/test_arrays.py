"""Every array of real numbers works, and no masked one."""

from decimal import Decimal

import numpy as np
import pytest
from cases import model_of

import fastgd as gd

LAYOUTS = {
    "list": lambda rows: rows.tolist(),
    "Fortran": np.asfortranarray,
    "strided": lambda rows: np.repeat(np.repeat(rows, 2, 0), 3, 1)[::2, ::3],
    "reversed": lambda rows: rows[::-1][::-1],
    "read-only": lambda rows: _frozen(rows),
    "other byte order": lambda rows: rows.astype(rows.dtype.newbyteorder()),
    "unaligned": lambda rows: _unaligned(rows),
    "subclass": lambda rows: rows.view(type("Rows", (np.ndarray,), {})),
}


def _frozen(rows):
    rows = rows.copy()
    rows.flags.writeable = False
    return rows


def _unaligned(rows):
    raw = np.empty(rows.nbytes + 1, np.uint8)
    shifted = raw[1:].view(rows.dtype).reshape(rows.shape)
    shifted[...] = rows
    return shifted


SOURCES = ["float32", "float64", "float16", "int8", "uint8", "int64", "uint16", "bool", "longdouble"]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("shuffle", "source"),
    # Narrow numbers are read where they lie, by loops that compile for seconds.
    [
        *(
            pytest.param(False, source, marks=pytest.mark.slow if source in ("int8", "uint16", "bool") else ())
            for source in SOURCES
        ),
        (True, "float64"),
    ],
)
def test_every_real_array_works(layout, shuffle, source, dtype, rng):
    """The same bits as from an array of the model's dtype, where elements are as long, and the input stays as it is."""
    values = rng.integers(0, 2 if source == "bool" else 5, (20, 5))
    given = LAYOUTS[layout](values.astype(source))
    kept = np.array(given)
    targets = rng.integers(0, 3, 20)
    results = []
    for features in (given, values.astype(dtype)):
        model = model_of("neuron", dtype)
        gd.Trainer(model, optimizer=gd.SGD(0.01), shuffle=shuffle).fit(features, targets)
        results.append(model.parameters)
        np.testing.assert_array_equal(model.predict(features), model.predict(values.astype(dtype)))
    # How wide a SIMD vector is, and with it the order of sums, depends on the size of the rows' elements.
    rounding = 0 if np.asarray(given).itemsize == np.dtype(dtype).itemsize else 16 * np.finfo(dtype).eps
    np.testing.assert_allclose(*results, rtol=0, atol=rounding)
    np.testing.assert_array_equal(np.array(given), kept)


def test_masked_elements():
    X = np.ma.masked_array(np.ones((4, 2)), mask=[[0, 0], [0, 1], [0, 0], [0, 0]])
    trainer = gd.Trainer(gd.Model([gd.Linear(2, 1)]))
    with pytest.raises(TypeError, match="X has masked elements"):
        trainer.fit(X, np.ones(4))
    for rows in ([X[0], X[1]], ([1, 2], (3, np.ma.masked)), [[1, 2], X[1]]):
        with pytest.raises(TypeError, match="X has masked elements"):
            trainer.fit(rows, np.ones(2))
    trainer.fit(np.ma.masked_array(np.ones((4, 2)), mask=False), np.ones(4))
    trainer.fit([X[0], X[2]], np.ones(2))


@pytest.mark.parametrize(("numbers", "hint"), [([1.0, 2, True], True), ([1.0, None, 2.0], False), ([1, "a", 2], False)])
def test_numbers_as_objects(numbers, hint):
    """What makes numbers of them is said where they are, and nothing of classes."""
    trainer, of_numbers = gd.Trainer(gd.Model([gd.Linear(2, 1)])), "; its values are numbers: "
    objects = np.array(numbers, object)
    with pytest.raises(TypeError, match="y has dtype object; expected real numbers") as error:
        trainer.fit(np.ones((3, 2)), objects)
    assert (f"{of_numbers}y.astype(float)" in str(error.value)) is hint
    assert ("classes" in str(error.value)) is not hint
    X = np.column_stack([objects, objects])
    with pytest.raises(TypeError, match="X has dtype object; expected real numbers") as error:
        trainer.fit(X, np.ones(3))
    assert (f"{of_numbers}X.astype(float)" in str(error.value)) is hint
    if hint:
        trainer.fit(X.astype(float), objects.astype(float))
    with pytest.raises(TypeError, match=r"its values are numbers: np\.array\(y, float\)"):
        trainer.fit(np.ones((2, 2)), [Decimal("1.5"), Decimal(2)])
    trainer.fit(np.ones((2, 2)), np.array([Decimal("1.5"), Decimal(2)], float))
