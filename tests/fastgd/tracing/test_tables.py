"""What a trace looks like: in a terminal, in Markdown, LaTeX and HTML."""

import html.parser
import re

import numpy as np
import pytest
from cases import built, rows_for

import fastgd as gd
from fastgd.losses import LOSSES
from fastgd.reference import article, exact
from fastgd.reference.comparison import as_reference
from fastgd.tables import Table, number, numbers
from fastgd.tracing import Trace

STEP = """update 3: row 2, loss 1/2, α = 1/10000000
pass      layer                       formula                    value
--------  --------------------------  -------------------------  -------------------------------
forward   input                       o1 = x                     (0, 2000, 3000)
          0 Linear(3, 1, bias=False)  o2 = w2 · o1               (0)
          1 ReLU(tolerance=0.0)       o3 = o2 if o2 >= 0 else 0  (0)
                                      mask: o2 >= 0              (1)
          half_squared_error          y                          (1)
                                      loss = ½ (o3 - y)²         1/2
backward  half_squared_error          δ4 = o3 - y                (-1)
          1 ReLU(tolerance=0.0)       δ3 = δ4 if mask else 0     (-1)
          0 Linear(3, 1, bias=False)  δ2 = δ3 · w2               (-1/200, 3/11600, -1/5800)
                                      δw2 = δ3 · o1              (0, -2000, -3000)
update    0 Linear(3, 1, bias=False)  w2                         (1/200, -3/11600, 1/5800)
                                      ŵ2 = w2 - α δw2            (1/200, -17/290000, 137/290000)"""


@pytest.fixture(scope="module")
def worked():
    return exact.trace(article.layers(), article.X, article.Y, article.LEARNING_RATE)


@pytest.fixture(scope="module")
def network():
    """Batches of two weighted rows through biases and two layers, by the reference: no kernel is needed to be shown."""
    model = built([gd.Linear(3, 12), gd.ReLU(0.0), gd.Linear(12, 2)])
    X, y, v = rows_for(model, 4)
    return exact.trace(as_reference(model), X.tolist(), y.tolist(), 0.1, 2, v.tolist())


def test_text(worked):
    assert str(worked[2:]) == str(worked[2]) == STEP
    assert repr(worked) == str(worked)
    assert str(worked).count("update ") == 6
    assert repr(worked[2]) == "Step(update 3, row 2, loss 1/2, learning rate 1/10000000)"


def test_text_of_a_network(network):
    lines = str(network[:1]).splitlines()
    assert lines[0].startswith("update 1: rows 0 to 1, loss ")
    formulas = [
        "o1 = x", "o2 = w2 · o1 + b2", "o3 = o2 if o2 >= 0 else 0", "mask: o2 >= 0", "o4 = w4 · o3 + b4", "y", "v",
        "loss = mean of v (Σ ½ (o4 - y)²)", "δ5 = v (o4 - y) / 2", "δ4 = δ5 · w4", "δw4 = Σ δ5 · o3", "δb4 = Σ δ5",
        "δ3 = δ4 if mask else 0", "δ2 = δ3 · w2", "δw2 = Σ δ3 · o1", "δb2 = Σ δ3", "w2", "ŵ2 = w2 - α δw2", "b2",
        "b̂2 = b2 - α δb2", "w4", "ŵ4 = w4 - α δw4", "b4", "b̂4 = b4 - α δb4",
    ]  # fmt: skip
    begin = lines[1].index("formula")
    end = lines[1].index("value")
    # The accent of b̂ is a character of its own.
    found = [line.replace("b̂", "b")[begin:end].strip() for line in lines[3:]]
    assert [line for line in found if line] == [formula.replace("b̂", "b") for formula in formulas]
    # Two rows of twelve numbers, and twelve rows of three.
    assert sum("… 5 more" in line for line in lines) > 4
    assert sum("… 5 rows more" in line for line in lines) == 3


def test_markdown(worked):
    lines = worked[2:].to_markdown().splitlines()
    assert lines[0] == "**update 3: row 2, loss 1/2, α = 1/10000000**"
    assert lines[2:5] == [
        "| pass | layer | formula | value |",
        "| :-- | :-- | :-- | :-- |",
        "| forward | input | o1 = x | (0, 2000, 3000) |",
    ]
    assert len(lines) == len(STEP.splitlines()) + 1
    assert len(worked.to_markdown().split("\n\n**")) == 3


class _Page(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.open, self.cells, self.names = [], [], set()
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.open.append(tag)
        self.names |= {tag, *(name for name, _ in attributes)}

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "td" in self.open:
            self.cells.append(data)


def test_html(worked):
    text = worked[2:]._repr_html_()
    assert worked[2]._repr_html_() == text
    assert len(text.encode()) < 20_000
    page = _Page(text)
    assert page.names == {"p", "b", "table", "thead", "tbody", "tr", "th", "td", "style"}
    assert "(1/200, -17/290000, 137/290000)" in page.cells
    assert "o3 = o2 if o2 >= 0 else 0" in page.cells


FORMULAS = ["log Σ_k exp(o3_k) - Σ_k q_k o3_k", "-5e-05", "½ e² where |e| <= delta", "≈ 0.5", "1 / (1 + exp(-o2))"]


def table_of(formulas):
    return Table("100 % of {a} & b_c", ("x",), [(each,) for each in formulas], frozenset({0}))


def test_latex(worked, network):
    for text in (worked.to_latex(), network.to_latex()):
        assert text.count("\\begin{tabular}") == text.count("\\end{tabular}")
        assert not re.search("[αδŵ·½²≥]", text)
    assert r"$\hat{w}_{2} = w_{2} - \alpha \delta w_{2}$" in worked.to_latex()
    assert r"(\frac{1}{200}, -\frac{17}{290000}, \frac{137}{290000})" in worked.to_latex()
    assert r"o_{3} = o_{2}~\mathrm{if}~o_{2} \geq 0~\mathrm{else}~0" in worked.to_latex()
    text = table_of(FORMULAS).to_latex()
    assert r"100 \% of \{a\} \& b\_c" in text
    assert r"$\log \sum _k \exp (o_{3,k}) - \sum _k q_k o_{3,k}$" in text
    assert r"$-5 \cdot 10^{-5}$" in text


@pytest.mark.slow
def test_latex_can_be_set(worked, network):
    from matplotlib.mathtext import MathTextParser

    losses = [kind.formula for kind in LOSSES.values()]
    for table in (*worked.tables, *network.tables, table_of([*FORMULAS, *losses])):
        formulas = re.findall(r"\$([^$]+)\$", table.to_latex())
        assert len(formulas) >= len(table.rows)
        for formula in set(formulas):
            # tfrac is LaTeX's own, and not matplotlib's.
            MathTextParser("path").parse(f"${formula.replace('tfrac', 'frac')}$")


def test_long_traces_say_what_they_leave_out(worked):
    trace = Trace([*worked] * 7)
    assert str(trace).endswith("… 11 steps more: trace[10:]")
    assert "… 11 steps more: trace[10:]" in trace._repr_html_()
    assert trace.to_markdown().count("**update") == 21
    assert trace[1:3][1] is trace[2]
    assert [step.update for step in trace[-2:]] == [2, 3]


def test_long_fractions_are_shown_as_numbers(worked):
    layers = article.layers()
    for epoch in range(4):
        trace = exact.trace(layers, article.X, article.Y, article.LEARNING_RATE, n_updates=3 * epoch)
    assert "≈ " in str(trace)
    assert trace[2].update == 12


def test_zero_has_no_sign():
    assert number(-0.0) == "0"
    assert number(np.float32(0.1)) == "0.1"
    assert numbers(np.array([True, False])) == "(1, 0)"
    assert numbers(np.arange(100)) == "(0, 1, 2, 3, 4, 5, 6, … 93 more)"
