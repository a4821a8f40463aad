"""What a command prints: a table for people, JSON for programs."""

import asyncio
import json
import sys
from collections.abc import Coroutine, Mapping, Sequence
from datetime import datetime
from enum import Enum
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console

from outerloop.cli import tables

AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout, for programs")]
T = TypeVar("T")
_LOG = 160  # columns at the least where no terminal is


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a command's work to its end."""
    return asyncio.run(work)


def report(rows: Sequence[Mapping[str, Any]], *, as_json: bool, empty: str) -> None:
    """Print rows that share their columns; `empty` is what to say to people when there are none."""
    if as_json:
        sys.stdout.write(json.dumps(list(rows), default=_plain, ensure_ascii=False) + "\n")
        return
    if not rows:
        say(empty)
        return
    names = [column.replace("_", " ") for column in rows[0]]
    cells = [[_cell(value) for value in row.values()] for row in rows]
    out = console(tables.needed(names, cells))
    out.print(tables.laid_out(names, cells, out.width))


def write(text: str) -> None:
    """Print text for people, on stdout."""
    sys.stdout.write(clean(text) + "\n")


def emit(value: Mapping[str, Any]) -> None:
    """Print one JSON object on a line."""
    sys.stdout.write(json.dumps(value, default=_plain, ensure_ascii=False) + "\n")


def say(sentence: str) -> None:
    """Tell people something, on stderr, so that stdout stays data."""
    sys.stderr.write(clean(sentence) + "\n")


def clean(text: str) -> str:
    """Text without control characters: what came from production must not steer the terminal."""
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)


def console(needed: int = 0) -> Console:
    """Where tables go: as wide as the terminal; in a log, and for a program, as wide as is `needed`."""
    out = Console(highlight=False)
    return out if out.is_terminal else Console(highlight=False, width=max(_LOG, needed))


def _cell(value: Any) -> str:
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, list | tuple):
        return ", ".join(map(_cell, value))
    return clean(value if isinstance(value, str) else str(_plain(value)))


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return str(value) if not isinstance(value, int | float | bool | list | dict | type(None)) else value
