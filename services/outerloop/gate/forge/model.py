"""What a forge is to the gate: pull requests by the branch they come from. Merge requests are the same."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from outerloop.runtime.errors import UserError


class State(StrEnum):
    """Of a pull request. MERGING: it is about to be merged, and a later look tells."""

    OPEN = "open"
    MERGING = "merging"
    MERGED = "merged"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """What people read: one line, and Markdown."""

    title: str
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PullRequest:
    """As the forge has it. `merged_as` is the commit that the base branch got; "" unless merged."""

    number: int
    url: str
    state: State
    text: Text
    merged_as: str = ""


class AlreadyOpenError(UserError):
    """There is an open pull request from this branch to that one."""


class Forge(Protocol):
    """One repository's pull requests.

    Every method raises OutageError while the forge is away or asks to wait, and UserError, naming the setting
    or the permission, when it refuses.
    """

    async def find(self, head: str, base: str) -> PullRequest | None:
        """The pull request from the branch `head` to `base`: the open one, else the newest."""
        ...

    async def create(self, head: str, base: str, text: Text) -> PullRequest:
        """Open one; AlreadyOpenError if there is an open one (one that was closed does not count)."""
        ...

    async def rewrite(self, number: int, text: Text) -> None:
        """Give it this text."""
        ...

    async def comments(self, number: int) -> list[str]:
        """What was said under it, the oldest first, as Markdown."""
        ...

    async def comment(self, number: int, body: str) -> None:
        """Say something under it."""
        ...

    async def close(self, number: int) -> None:
        """Close it; done already is as good."""
        ...


def chosen(found: Sequence[PullRequest]) -> PullRequest | None:
    """Of all pull requests between two branches the one that counts: an open one, else the newest."""
    newest_first = sorted(found, key=lambda pull: pull.number, reverse=True)
    alive = (pull for pull in newest_first if pull.state in {State.OPEN, State.MERGING})
    return next(alive, newest_first[0] if newest_first else None)
