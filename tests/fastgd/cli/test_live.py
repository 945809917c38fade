"""The curve that `fastgd train --live` draws in the terminal."""

import io
import re
import sys

import pytest
from command_line import SMALL, run

from fastgd.cli import live
from fastgd.history import EpochRecord, History

LIVE = [argument for argument in SMALL if argument != "--quiet"] + ["--live", "--epochs", 3]


class Terminal(io.StringIO):
    """One that shows what it is told."""

    encoding = "utf-8"

    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(live, "_INTERVAL", 0)

    def replace():
        # pytest puts its own stderr in place after fixtures.
        monkeypatch.setattr(sys, "stderr", Terminal())
        return sys.stderr

    return replace


def test_each_picture_takes_the_place_of_the_one_before(terminal, capsys):
    screen = terminal()
    status, _, _ = run(capsys, "train", *LIVE, "--validation", 0.2)
    assert status == 0
    begin, *again = re.split(r"\x1b\[(\d+)A\x1b\[J", screen.getvalue())
    first, *others = [begin, *again[1::2]]
    assert "loss after epoch 1 of 3" in first
    assert [f"loss after epoch {k} of 3" in text for k, text in enumerate(others, 2)] == [True, True]
    assert [int(height) for height in again[::2]] == [first.count("\n"), others[0].count("\n")]
    assert "training" in first
    assert "validation" in first


def test_without_a_terminal_there_are_plain_lines(capsys):
    status, _, err = run(capsys, "train", *LIVE)
    assert status == 0
    assert re.findall(r"^epoch (\d)/3: loss ", err, re.MULTILINE) == ["1", "2", "3"]
    assert "\x1b" not in err


def test_only_what_shows_curves_is_a_terminal(terminal, monkeypatch):
    terminal()
    assert live.can_draw()
    monkeypatch.setattr(Terminal, "encoding", "ascii")
    assert not live.can_draw()
    monkeypatch.setattr(Terminal, "encoding", "utf-8")
    monkeypatch.setenv("TERM", "dumb")
    assert not live.can_draw()
    monkeypatch.setattr(sys, "stderr", None)
    assert not live.can_draw()


def test_curves_fall_where_losses_do():
    history = History()
    for epoch, loss in enumerate([1.0, 0.1, 0.01], 1):
        history.append(EpochRecord(epoch, loss, None, 0.1))
    picture = live.curve(history, 3, 60, 15, has_colors=False)
    rows = picture.splitlines()
    assert len(rows) == 15
    assert max(map(len, rows)) == 60
    ticks = [float(row.partition("┤")[0]) for row in rows if "┤" in row]
    # On a logarithmic scale, from the top.
    assert ticks == pytest.approx([1, 0.316, 0.1, 0.0316, 0.01], rel=0.01)
    dots = [[k for k, c in enumerate(row) if "⠁" <= c <= "⣿"] for row in rows if "training" not in row]
    columns = [min(places) for places in dots if places]
    assert columns == sorted(columns)
    assert "training 0.01" in picture
    assert "\x1b" not in picture
    assert "\x1b[" in live.curve(history, 3, 60, 15, has_colors=True)


def test_what_live_needs_is_said(terminal, monkeypatch, capsys):
    screen = terminal()
    assert run(capsys, "train", *LIVE, "--quiet")[0] == 2
    assert screen.getvalue() == "fastgd: error: --live with --quiet; expected one of them\n"
    monkeypatch.setitem(sys.modules, "plotext", None)
    assert run(capsys, "train", *LIVE)[0] == 2
    assert "--live needs plotext; expected pip install 'fastgd[plot]'" in screen.getvalue()
