"""Where a failure belongs once people have merged and split modes. Pure."""

from collections.abc import Sequence
from typing import Protocol

from outerloop.runtime.envelope import stable_id


class Move(Protocol):
    """A merge, or a split by text (`containing`; "" in a merge)."""

    @property
    def mode_id(self) -> str:
        """The mode that failures leave."""

    @property
    def into_mode_id(self) -> str:
        """The mode that they come to."""

    @property
    def containing(self) -> str:
        """What the detail of the most telling sign must have in it, whatever its case."""


def home_of(mode_id: str, detail: str, moves: Sequence[Move]) -> str:
    """The mode of a failure that would be of `mode_id`; `detail` is its most telling sign's.

    `moves` in the order in which they were ruled. Each mode is left once at most, so that a circle, which
    nobody should rule, ends too.
    """
    left: set[str] = set()
    while mode_id not in left:
        left.add(mode_id)
        mode_id = next((m.into_mode_id for m in moves if m.mode_id == mode_id and _takes(m, detail)), mode_id)
    return mode_id


def split_id(mode_id: str, containing: str) -> str:
    """The id of the mode that is split off a mode by a text: the same split is the same mode."""
    return stable_id("mode", mode_id, "containing", containing.lower())


def _takes(move: Move, detail: str) -> bool:
    return move.containing.lower() in detail.lower()
