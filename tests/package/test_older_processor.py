"""A processor of the x86 family that neither converts half precision nor multiplies and adds at once."""

import os
import subprocess
import sys

import pytest
from llvmlite.binding import get_process_triple

OLDER = {"NUMBA_CPU_NAME": "x86-64-v2", "NUMBA_CPU_FEATURES": "+sse2,+sse4.2"}

HALVES = """
import numpy as np
import fastgd as gd

rng = np.random.default_rng(0)
halves, y = rng.standard_normal((300, 11)).astype("float16"), rng.standard_normal(300, np.float32)
for batch_size in (1, 16):
    for shuffle in (False, True):
        results = []
        for X in (halves, halves.astype("float32")):
            model = gd.Model([gd.Linear(11, 1)], seed=0)
            gd.Trainer(model, optimizer=gd.SGD(0.01), batch_size=batch_size, shuffle=shuffle).fit(X, y, epochs=2)
            results.append(model.parameters)
        assert np.isfinite(results[0]).all()
        np.testing.assert_array_equal(*results)
"""

PRODUCTS = """
import numpy as np
import fastgd as gd
from fastgd import kernels

X, y = np.random.default_rng(0).standard_normal((2, 64, 50))
model = gd.Model([gd.Linear(50, 40), gd.ReLU(), gd.Linear(40, 50)], dtype="float64", seed=0)
first, _, last = model.layers
hidden = np.maximum(X @ first.weight.T + first.bias, 0)
np.testing.assert_allclose(model.predict(X), hidden @ last.weight.T + last.bias, rtol=0, atol=1e-13)
(code,) = kernels.gemm._dispatcher.inspect_llvm().values()
assert "llvm.fmuladd" in code
assert "llvm.fma." not in code
"""

FUNCTIONS = """
import numpy as np
from fastgd import kernels

z = np.linspace(-30, 30, 100_001).astype("float32")
exact = z.astype("float64")
for run, formula in (
    (kernels.tanh_forward, np.tanh(exact)),
    (kernels.sigmoid_forward, 1 / (1 + np.exp(-exact))),
):
    out = z.copy()
    run(out, 0, (0, 0, 0, 0), np.empty(z.size, np.bool_))
    assert (np.abs(out - formula) / np.spacing(np.abs(formula).astype("float32"))).max() <= 3
    (code,) = run._dispatcher.inspect_llvm().values()
    assert "llvm.fma." not in code
"""


@pytest.mark.slow
@pytest.mark.skipif(not get_process_triple().startswith("x86_64"), reason="compiles for an x86")
@pytest.mark.parametrize("program", [HALVES, PRODUCTS, FUNCTIONS], ids=["halves", "products", "functions"])
def test_older_processor(program, tmp_path):
    environment = os.environ | OLDER | {"NUMBA_CACHE_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
