"""What an attempt, or one candidate of it, came to; stored as JSON when its session ends."""

from dataclasses import dataclass
from json import loads
from typing import Any


@dataclass(frozen=True, slots=True)
class Written:
    """A patch against `base`, and what it cost."""

    base: str
    patch: str
    diagnosis: str
    usd: float


@dataclass(frozen=True, slots=True)
class NoChange:
    """Why there is no patch, and what that cost; `final`: the model says that no other try will bring one."""

    reason: str
    usd: float
    final: bool = False


def outcome_of(text: str) -> Written | NoChange:
    """An outcome as it was stored."""
    said: dict[str, Any] = loads(text)
    return Written(**said) if "patch" in said else NoChange(**said)
