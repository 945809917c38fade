"""What the tables of figures share: Markdown, markers, and the machine that the figures are of."""

import platform
from pathlib import Path

import numpy as np

from fastgd.cli import machine

#: Where all tables are, and the README that shows some of their lines.
TABLES, README = Path(__file__).with_name("README.md"), Path(__file__).parents[1] / "README.md"
# As they read in the README, and as `machine.describe` names them.
VERSIONS = {"Python": "python", "Numba": "numba", "NumPy": "numpy"}


def markdown(header: list[str], rows: list[list[str]], n_left: int = 1) -> str:
    """A table whose columns are aligned to the right, all but the first n_left."""
    rule = [*["---"] * n_left, *["---:"] * (len(header) - n_left)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (header, rule, *rows))


def rounded(ratio: float) -> str:
    """Two decimals below 10, two significant digits above: a second run would give other ones after these."""
    return f"{ratio:.2f}" if ratio < 10 else f"{float(f'{ratio:.2g}'):,.0f}"


def processor() -> str:
    """The processor's name as Linux knows it, or as Python does."""
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def machine_line() -> str:
    """Where the figures come from."""
    facts = machine.describe()
    versions = ", ".join(f"{name} {facts[key]}" for name, key in VERSIONS.items())
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    versions += f" with {blas['name']} {blas['version']}"
    return f"{processor()}, {facts['processors']} usable cores; {versions}; threads: {facts['threads']}."


def replace_between_markers(name: str, table: str, text: str) -> str:
    """The text with the table between its markers <!-- name --> and <!-- /name -->."""
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    before, found, rest = text.partition(begin)
    _, found_end, after = rest.partition(end)
    if not (found and found_end):
        raise SystemExit(f"expected {begin} and, after it, {end} in the file")
    return f"{before}{begin}\n{table}\n{end}{after}"
