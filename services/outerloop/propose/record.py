"""What a session may take, what it did, and how it ended."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from outerloop.runtime.prices import Usage


@dataclass(frozen=True, slots=True)
class Limits:
    """Dollars and tokens of all calls together, calls of the model, tokens of one answer."""

    usd: float
    tokens: int = 2_000_000
    steps: int = 30
    max_tokens: int = 16_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One call of the model and what was answered to it.

    `content` and `reply` are the model's blocks and ours, as they are on the wire: with the first message,
    all steps make up the conversation. `reply` is None while the tools are at work. Tokens, dollars and
    seconds are the call's.
    """

    number: int
    content: list[dict[str, Any]]
    stop_reason: str
    reply: list[dict[str, Any]] | None
    usage: Usage
    usd: float
    seconds: float


class Ended(StrEnum):
    """What ended a session without a change."""

    MODEL = "model"  # it called give_up
    SILENCE = "silence"  # it stopped calling tools
    STEPS = "steps"
    BUDGET = "budget"
    PROVIDER = "provider"  # the provider would not go on: a refusal, a full context window


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposed:
    """A change that waits in the working tree."""

    diagnosis: str
    cause: str
    risk: str
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
