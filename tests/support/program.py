"""Programs in a process of their own."""

import os
import subprocess
import sys
from pathlib import Path

# Compiles in a third of the time that training takes.
GRADIENT = """
import numpy as np, sys
import fastgd as gd
dtype = sys.argv[1]
model = gd.Model([gd.Linear(5, 4), gd.ReLU(), gd.Linear(4, 1)], dtype=dtype)
loss, gradient = model.loss_and_gradient(*gd.data.synthetic(3, 5, dtype=dtype).arrays())
print(gradient.tobytes().hex())
"""

# Compiles a few kernels in a second, for what does not depend on which.
SMALL_KERNELS = """
import numpy as np, sys
from fastgd import kernels
x, squares = np.arange(12, dtype=sys.argv[1]) / 7, np.empty(3)
kernels.row_squares(x.reshape(3, 4), squares)
sums = [kernels.sum_elements(array) for array in (x, x.astype(np.int64))]
print(kernels.all_within(x, 0.0, 1.0, 0.0), *sums, squares.tobytes().hex())
"""


def program(*arguments, code=GRADIENT, **environment):
    """Run Python where no checkout stands in its way."""
    return subprocess.run(
        [sys.executable, "-W", "always", "-c", code, *arguments],
        env=os.environ | environment,
        cwd=Path(sys.executable).anchor,
        capture_output=True,
        text=True,
        check=True,
    )
