"""What a session may take, what it did, and how it ended."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from outerloop.runtime.prices import Usage

Blocks = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Limits:
    """Dollars and tokens of all calls together, calls of the model, tokens of one answer.

    `context`: a request that may be of more tokens than this is compacted first.
    """

    usd: float
    tokens: int = 2_000_000
    steps: int = 30
    max_tokens: int = 16_000
    context: int = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One call of the model and what was answered to it.

    `content` and `reply` are the model's blocks and ours, as they are on the wire: with the first message,
    all steps make up the conversation. `content` is None while the call is being made, and `usd` is then the
    most that it can cost; `reply` is None while the tools are at work. Tokens and seconds are the call's,
    dollars those of the tools too. `epoch` is of the process that made the call.
    """

    number: int
    epoch: int
    content: Blocks | None = None
    stop_reason: str = ""
    reply: Blocks | None = None
    usage: Usage = field(default_factory=Usage)
    usd: float = 0.0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Past:
    """What a session did before this process took it up: steps that stand, in order; `usd`: of all calls.

    The last one may lack its `reply`.
    """

    steps: Sequence[Step] = ()
    usd: float = 0.0


class Ended(StrEnum):
    """What ended a session without a change."""

    MODEL = "model"  # it called give_up
    SILENCE = "silence"  # it stopped calling tools
    STEPS = "steps"
    BUDGET = "budget"
    PROVIDER = "provider"  # the provider would not go on: a refusal, a full context window
    LOST = "lost"  # an edit that it built on does not fit any more: a later release has other tools
    SUSPENDED = "suspended"  # not ended at all: it goes on from its last step, later or elsewhere


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposed:
    """A change that waits in the working tree."""

    diagnosis: str
    cause: str
    risk: str
    confidence: float
    steps: int
    usage: Usage
    usd: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GaveUp:
    """No change, and why."""

    reason: str
    ended: Ended
    steps: int
    usage: Usage
    usd: float
