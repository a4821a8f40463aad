"""Tables in terminals of any width: what a person copies stays whole."""

import io

import pytest
from rich.cells import cell_len
from rich.console import Console

from outerloop.cli.tables import laid_out, needed

NAMES = ("mode", "state", "failing caught", "last seen", "title", "example")
TRACE = "92bcd3db4c97e62446fed8712eb0903a"
TITLE = "get_order fails: 注文番号 … expected the form A-1234, and says so again and again"
ROWS = (
    ("21671e63", "drafting", "10/10", "2026-11-30 18:25:09", TITLE, TRACE),
    ("bc931a76", "closed", "9/9", "2026-11-30 18:25:15", "no answer", ""),
)


def printed(width: int, rows: tuple[tuple[str, ...], ...] = ROWS) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=width, highlight=False, color_system=None).print(laid_out(NAMES, rows, width))
    return out.getvalue().splitlines()


@pytest.mark.parametrize("width", [80, 100, 120, 160, 200, 400])
def test_nothing_that_a_person_copies_is_broken_and_nothing_is_wider_than_the_terminal(width: int) -> None:
    lines = printed(width)
    assert max(map(cell_len, lines)) <= width
    for whole in ("21671e63", "drafting", "10/10", "2026-11-30 18:25:09", TRACE):
        assert any(whole in line for line in lines), whole


def test_columns_where_they_fit_else_a_row_after_the_other() -> None:
    least = needed(NAMES, ROWS)
    assert len(printed(400)) == 3
    assert " ".join(" ".join(printed(least)[:2]).split()).startswith("failing mode state caught")
    narrow = printed(least - 1)
    assert narrow[0].split() == ["mode", "21671e63"]
    assert sum(line.startswith("example") for line in narrow) == 1  # what is empty is left out


def test_a_word_that_no_terminal_holds_is_folded() -> None:
    long = "x" * 300
    lines = printed(80, (("1", "open", "", "", long, ""),))
    assert "".join(line.split()[-1] for line in lines if "xx" in line) == long


@pytest.mark.parametrize("width", [40, 80])
def test_a_column_that_reads_like_markup_is_a_column(width: int) -> None:
    out = io.StringIO()
    made = laid_out(["[/b]", "b"], [["x" * 30, "y" * 30]], width)
    Console(file=out, width=width, color_system=None).print(made)
    assert "[/b]" in out.getvalue()
