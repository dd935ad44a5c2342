"""The strip of thumbnails: known cells in known colours, on a terminal that can show them and nowhere else."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from rich.text import Text
from small_stores import make_store

from adelecli.cli.rendering import build_table
from adelecli.cli.reports import show_report
from adelecli.cli.strip import can_draw, draw_cells, show_with_strip
from adelecli.reporting.thumbnails import Thumbnail


class Stream(io.StringIO):
    """A stream with an encoding of its own."""

    def __init__(self, encoding: str = "utf-8") -> None:
        super().__init__()
        self._encoding = encoding

    @property
    def encoding(self) -> str:  # type: ignore[override]  # StringIO has none
        return self._encoding


def open_terminal(width: int = 200, **options: object) -> Console:
    """A terminal with 24-bit colour, unless the options say otherwise."""
    given = {"file": Stream(), "force_terminal": True, "color_system": "truecolor", "_environ": {}} | options
    return Console(width=width, **given)  # type: ignore[arg-type]


def paint(*colour: int) -> np.ndarray:
    """Four by three cells of one colour."""
    return np.full((4, 3, 3), colour, np.uint8)


def test_two_cells_make_a_character() -> None:
    """The upper cell is the half block's own colour, the lower one its ground."""
    cells = np.arange(24, dtype=np.uint8).reshape(4, 2, 3)
    console = open_terminal()
    console.print(draw_cells(cells), end="")
    lines = console.file.getvalue().splitlines()
    assert lines[0] == "\x1b[38;2;0;1;2;48;2;6;7;8m▀\x1b[0m\x1b[38;2;3;4;5;48;2;9;10;11m▀\x1b[0m"
    assert lines[1].startswith("\x1b[38;2;12;13;14;48;2;18;19;20m▀")
    assert len(lines) == 2


@pytest.mark.parametrize(
    "options",
    [
        {"force_terminal": False},
        {"color_system": None},
        {"color_system": "standard"},
        {"no_color": True},
        {"file": Stream("ascii")},
    ],
)
def test_a_terminal_that_cannot_show_it_gets_none(options) -> None:
    """A pipe, no colours, sixteen colours, NO_COLOR, an encoding without half blocks."""
    assert can_draw(open_terminal())
    assert not can_draw(open_terminal(**options))


@pytest.mark.parametrize(("width", "beside"), [(120, True), (40, False)])
def test_the_strip_stands_beside_the_table_where_there_is_room(width, beside) -> None:
    """Else below it."""
    console = open_terminal(width, color_system=None)
    table = build_table(("rank", "case"), [("1", "a")] * 4)
    show_with_strip(console, "title", table, [Thumbnail("first", paint(1), paint(2), paint(3))])
    lines = console.file.getvalue().splitlines()
    assert any("rank" in line and "first" in line for line in lines) == beside
    assert any("before" in line and "after" in line and "difference" in line for line in lines)
    assert any("■ added   ■ removed   ■ relabelled" in line for line in lines)


def test_only_the_three_largest_changes_are_asked_for(make_case, make_report) -> None:
    """Of what was corrected; a refused correction has no difference. On a pipe and after a dry run nothing is asked for."""
    asked = []

    def draw(cases):
        asked.append(cases)
        return []

    cases = [make_case(name, "corrected", share) for name, share in (("a", 0.1), ("b", 0.4), ("c", 0.2), ("d", 0.3))]
    cases.append(make_case("q", "quarantined", 0.9))
    show_report(open_terminal(), make_report(*cases), Path("c.zarr"), draw)
    assert [list(one) for one in asked] == [["b", "d", "c"]]
    show_report(open_terminal(force_terminal=False), make_report(*cases), Path("c.zarr"), draw)
    show_report(open_terminal(), make_report(*cases, dry_run=True), Path("c.zarr"), draw)
    assert len(asked) == 1


def test_correct_ends_with_the_strip_on_a_terminal_and_never_with_json_or_quiet(
    adele, replace, make_case, make_report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the store to the cells: vermillion where case b lost its liver."""
    make_store(tmp_path, images=False)
    replace("correct", lambda _: make_report(make_case("b", "corrected", 0.75)))
    words = ("correct", tmp_path, "-o", tmp_path / "cleaned.zarr")
    assert "▀" not in adele(*words).out
    for name, value in {"FORCE_COLOR": "1", "COLORTERM": "truecolor", "TERM": "xterm"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_COLOR", raising=False)
    shown = Text.from_ansi(adele(*words).out)
    halves = [span.style.color.triplet for span in shown.spans if "▀" in shown.plain[span.start : span.end]]
    assert (190, 94, 19) in halves  # four fifths of vermillion over grey
    assert "▀" not in adele(*words, "-q").out
    assert "▀" not in adele(*words, "--json").out
