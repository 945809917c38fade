"""The modules of the checkout."""

from pathlib import Path

ROOT = Path(__file__).parents[2]

MODULES = sorted((ROOT / "fastgd").glob("*.py"))
FOLDERS = sorted((ROOT / "fastgd").glob("*/**/*.py"))
