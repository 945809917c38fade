"""Programs in a process of their own."""

import os
import subprocess
import sys
from pathlib import Path

TRAIN = """
import numpy as np, sys
import fastgd as gd
dtype = sys.argv[1]
data = gd.data.synthetic(64, 5, dtype=dtype)
for layers in ([gd.Linear(5, 1), gd.ReLU()], [gd.Linear(5, 4), gd.ReLU(), gd.Linear(4, 1)]):
    model = gd.Model(layers, dtype=dtype)
    gd.Trainer(model, optimizer=gd.SGD(0.01)).fit(*data.arrays())
    print(model.parameters.tobytes().hex())
"""


def program(*arguments, code=TRAIN, **environment):
    """Run Python where no checkout stands in its way."""
    return subprocess.run(
        [sys.executable, "-W", "always", "-c", code, *arguments],
        env=os.environ | environment,
        cwd=Path(sys.executable).anchor,
        capture_output=True,
        text=True,
        check=True,
    )
