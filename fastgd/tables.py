"""Tables of text and formulas: for a terminal, and as Markdown, LaTeX and HTML."""

import html
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

# A cell shows so many numbers of a row, and so many rows, and says how many more there are.
_MOST_NUMBERS, _MOST_ROWS = 8, 8
# A longer fraction is shown as a decimal number.
_LONGEST_FRACTION = 24

_STYLE = "text-align:left;vertical-align:top;padding:1px 10px;white-space:pre"
_MONOSPACED = ";font-family:monospace"

_SYMBOLS = {
    "·": r"\cdot ",
    "α": r"\alpha ",
    "∂": r"\partial ",
    "Σ": r"\sum ",
    "½": r"\tfrac{1}{2} ",
    "²": "^2",
    "…": r"\dots ",
    "≈": r"\approx ",
    "→": r"\to ",
    "<=": r"\leq ",
    ">=": r"\geq ",
    "exp": r"\exp ",
    "log": r"\log ",
    "max": r"\max ",
    "tanh": r"\tanh ",
    "_k": "_k",
}
_LETTERS = {"o": "o", "w": "w", "b": "b", "δ": r"\delta", "δw": r"\delta w", "δb": r"\delta b"}
_HATS = {"ŵ": r"\hat{w}", "b̂": r"\hat{b}"}
_TOKENS = re.compile(
    r"(?P<name>δw|δb|ŵ|b̂|[owbδ])(?P<layer>\d+)(?P<index>_k)?"
    r"|(?P<fraction>\d+/\d+)"
    r"|(?P<power>\d[\d.]*e[+-]?\d+)"
    r"|(?P<number>\d[\d.]*)"
    r"|(?P<symbol>[·α∂Σ½²…≈→]|<=|>=|_k)"
    r"|(?P<word>[^\W\d_½²]{2,}(?: [^\W\d_½²]{2,})*|[^\W\d_½²])"
    r"|(?P<other>.)"
)


def number(value: Any) -> str:
    """A number as tables show it: 6 digits of a float, fractions exactly, True and False as 1 and 0."""
    if isinstance(value, Fraction):
        exact = str(value)
        return exact if len(exact) <= _LONGEST_FRACTION else f"≈ {float(value):.10g}"
    # Zero has no sign for a reader.
    return f"{value + 0.0:.6g}"


def numbers(values: np.ndarray) -> str:
    """An array as tables show it: a line in brackets for each row, (1, 2, 3); of a long one, how much more there is."""
    if values.ndim == 0:
        return number(values[()])
    if values.ndim == 1:
        return f"({_listed(values)})"
    n_more = len(values) - _MOST_ROWS
    lines = [numbers(row) for row in (values if n_more <= 0 else values[: _MOST_ROWS - 1])]
    return "\n".join(lines if n_more <= 0 else [*lines, f"… {n_more + 1} rows more"])


def _listed(values: np.ndarray) -> str:
    n_more = len(values) - _MOST_NUMBERS
    shown = list(map(number, values if n_more <= 0 else values[: _MOST_NUMBERS - 1]))
    return ", ".join(shown if n_more <= 0 else [*shown, f"… {n_more + 1} more"])


@dataclass(frozen=True)
class Table:
    """A title, the names of the columns, and rows of cells, whose text may have several lines.

    formulas : the places of the columns that hold formulas or numbers
    right : the places of those whose text ends at the right
    """

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    formulas: frozenset[int] = field(default=frozenset())
    right: frozenset[int] = field(default=frozenset())

    def to_text(self) -> str:
        """For a terminal."""
        rows = [tuple(cell.split("\n") for cell in row) for row in (self.columns, *self.rows)]
        widths = [max(_width(line) for row in rows for line in row[column]) for column in range(len(self.columns))]
        lines = [self.title]
        for place, row in enumerate(rows):
            for k in range(max(map(len, row))):
                cells = [cell[k] if k < len(cell) else "" for cell in row]
                aligned = []
                for column, (cell, width) in enumerate(zip(cells, widths, strict=True)):
                    space = " " * (width - _width(cell))
                    aligned.append(space + cell if column in self.right else cell + space)
                lines.append("  ".join(aligned).rstrip())
            if place == 0:
                lines.append("  ".join("-" * width for width in widths))
        return "\n".join(lines)

    def to_markdown(self) -> str:
        """A pipe table, as GitHub and Jupyter show it."""
        rules = ["--:" if column in self.right else ":--" for column in range(len(self.columns))]
        rows = [self.columns, tuple(rules), *(tuple(map(_markdown, row)) for row in self.rows)]
        return "\n".join([f"**{_markdown(self.title)}**", "", *("| " + " | ".join(row) + " |" for row in rows)])

    def to_latex(self) -> str:
        """A tabular, which needs no package; an accent or a unit in the text needs a LaTeX that takes UTF-8."""
        places = range(len(self.columns))
        lines = [
            f"\\par\\noindent\\textbf{{{_plain_latex(self.title)}}}\\par\\smallskip",
            f"\\noindent\\begin{{tabular}}{{{''.join('r' if column in self.right else 'l' for column in places)}}}",
            "\\hline",
            " & ".join(map(_plain_latex, self.columns)) + " \\\\",
            "\\hline",
        ]
        for row in self.rows:
            cells = [_latex_cell(cell, column in self.formulas) for column, cell in enumerate(row)]
            lines.append(" & ".join(cells) + " \\\\")
        return "\n".join([*lines, "\\hline", "\\end{tabular}"])

    def to_html(self) -> str:
        """A table element without scripts, legible in light and dark."""
        head = "".join(f'<th style="{_STYLE}">{html.escape(name)}</th>' for name in self.columns)
        lines = [f"<p><b>{html.escape(self.title)}</b></p>", f"<table><thead><tr>{head}</tr></thead><tbody>"]
        for row in self.rows:
            cells = []
            for column, cell in enumerate(row):
                style = _STYLE.replace("left", "right") if column in self.right else _STYLE
                style += _MONOSPACED if column in self.formulas else ""
                cells.append(f'<td style="{style}">{html.escape(cell)}</td>')
            lines.append(f"<tr>{''.join(cells)}</tr>")
        return "\n".join([*lines, "</tbody></table>"])


def _width(text: str) -> int:
    """How many characters wide a line is: an accent of its own, as in b̂, takes no room."""
    return sum(not unicodedata.combining(character) for character in text)


def _markdown(cell: str) -> str:
    escaped = re.sub(r"([\\`*_{}<>\[\]|])", r"\\\1", cell)
    return escaped.replace("\n", "<br>")


def _plain_latex(text: str) -> str:
    text = re.sub(r"([&%$#_{}])", r"\\\1", text)
    return re.sub("[·α∂Σ½²…≈δ→]+", lambda found: f"${_formula(found[0])}$", text)


def _latex_cell(cell: str, is_formula: bool) -> str:
    lines = [f"${_formula(line)}$" if is_formula and line else _plain_latex(line) for line in cell.split("\n")]
    if len(lines) == 1:
        return lines[0]
    return "\\begin{tabular}[t]{@{}l@{}}" + " \\\\ ".join(lines) + "\\end{tabular}"


def _formula(text: str) -> str:
    """A formula as LaTeX sets it: names of the article's with their layer's number below, words upright."""
    joined = re.sub(" *~[ ~]*", "~", "".join(map(_token, _TOKENS.finditer(text))))
    return re.sub(" +", " ", joined).strip("~ ")


def _token(found: re.Match[str]) -> str:
    kind, text = found.lastgroup, found[0]
    if found["name"]:
        name = found["name"]
        below = found["layer"] + (",k" if found["index"] else "")
        return f"{(_LETTERS | _HATS)[name]}_{{{below}}}"
    if kind == "fraction":
        above, below = text.split("/")
        return rf"\frac{{{above}}}{{{below}}}"
    if kind == "power":
        digits, exponent = text.split("e")
        return rf"{digits} \cdot 10^{{{int(exponent)}}}"
    if kind in ("symbol", "word") and text in _SYMBOLS:
        return _SYMBOLS[text]
    if kind == "word":
        return text if len(text) == 1 else f"~\\mathrm{{{text.replace(' ', '~')}}}~"
    return {"&": r"\&", "%": r"\%", "_": r"\_", "#": r"\#", " ": " "}.get(text, text)
