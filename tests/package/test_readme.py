"""The README's code runs as it stands."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fastgd as gd

README = (Path(__file__).parents[2] / "README.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
# What a block of its own is about, and the extra `test` does not bring.
OTHERS = re.compile(r"^(?:import|from) (skl2onnx|skops)\b", re.MULTILINE)
COMMANDS = re.findall(r"^fastgd (.*?)(?:  +#.*)?$", README, re.MULTILINE)


@pytest.mark.parametrize(
    "block",
    [*BLOCKS[:1], *(pytest.param(block, marks=pytest.mark.slow) for block in BLOCKS[1:])],
    ids=lambda block: block.splitlines()[2][:30],
)
def test_code_block(block, tmp_path):
    for name in OTHERS.findall(block):
        pytest.importorskip(name)
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", block], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    if "# [0.43" in block:
        assert run.stdout == "[0.43 1.   1.3 ]\n"


@pytest.mark.slow
def test_code_passes_a_type_checker(tmp_path):
    """As of an installed package, of which none but the types that it exports are looked at."""
    names = []
    for i, block in enumerate(BLOCKS):
        if all(importlib.util.find_spec(name) for name in OTHERS.findall(block)):
            names.append(f"example{i}.py")
            (tmp_path / names[-1]).write_text(block)
    assert len(names) > len(BLOCKS) / 2
    # scikit-learn has no types.
    options = ["--follow-imports=silent", "--explicit-package-bases", "--disable-error-code=import-untyped"]
    command = [sys.executable, "-m", "mypy", *options, *names]
    run = subprocess.run(
        command,
        cwd=tmp_path,
        env=os.environ | {"MYPYPATH": str(Path(gd.__file__).parents[1])},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout


def test_commands(tmp_path, monkeypatch, capsys):
    from fastgd.cli import main

    monkeypatch.chdir(tmp_path)
    data = gd.data.synthetic(2000, 10)
    data.save(tmp_path)
    np.save("species.npy", np.where(np.load("y.npy") > 1, "setosa", "virginica"))
    pytest.importorskip("pyarrow")
    homes = [f"{k % 5},{40 + k},{('Rome', 'Oslo')[k % 2]}" for k in range(50)]
    Path("prices.csv").write_text(
        "\n".join(["id,price,rooms,size,city", *(f"{k},{k},{home}" for k, home in enumerate(homes))])
    )
    Path("new.csv").write_text("\n".join(["rooms,size,city", *homes]))
    kinds = ["train", "train", "predict", "train", "predict", "predict", *["train"] * 3, "predict", *["info"] * 2]
    kinds += ["train", *["trace"] * 3, "export", "warmup", "info"]
    assert [command.split()[0] for command in COMMANDS] == kinds
    for command in COMMANDS:
        if command == "warmup":
            continue
        command = command.replace("1000000x100", "1000x10")
        assert main(command.split()) == 0, command
    assert np.load("predictions.npy").shape == (2000, 1)
    assert set(np.load("species_found.npy")) == {"setosa", "virginica"}
    assert np.load("shares.npy").shape == (2000, 2)
    assert len(Path("prices_found.csv").read_text().splitlines()) == 51
    assert all(Path(name).exists() for name in ("run.safetensors", "run.png", "model.c"))


def test_figures_are_those_of_the_tables():
    """What `bench/report.py summary` writes from `bench/README.md`."""
    root = Path(__file__).parents[2]
    command = [sys.executable, str(root / "bench/report.py"), "summary", "--dry-run"]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert f"<!-- summary -->\n{found}<!-- /summary -->" in README
