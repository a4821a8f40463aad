"""W3C Trace Context of events: all that is done about a failure mode is one trace.

The id of such a trace follows from the mode, so it reaches from the mode's opening to its release over
people's pauses of days, restarts, and messages that no record caused. Only these are sampled: an event about
one trace of production would cost a span each, and has nothing to tell that its own trace does not.
"""

import hashlib
import re
import secrets
from dataclasses import dataclass
from typing import Self

from google.protobuf.message import Message

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_SAMPLED = 1
# The first event about a mode: its span is the root of the mode's trace.
_ROOT = "outerloop.contracts.v1.ModeOpened"


@dataclass(frozen=True, slots=True)
class Context:
    """Where something stands in a trace: ids in lower-case hex, 16 and 8 bytes."""

    trace_id: str
    span_id: str
    sampled: bool

    @classmethod
    def parse(cls, traceparent: str) -> Self | None:
        """The context in a header, None when it is none."""
        if found := _TRACEPARENT.fullmatch(traceparent):
            return cls(found[1], found[2], bool(int(found[3], 16) & _SAMPLED))
        return None

    def __str__(self) -> str:
        return f"00-{self.trace_id}-{self.span_id}-{int(self.sampled):02x}"


@dataclass(frozen=True, slots=True)
class Step:
    """An event's own place, and what it follows: nothing, at the beginning of a trace."""

    own: Context
    parent: Context | None


def step(message: Message, cause: str = "") -> Step:
    """The place of `message`, which the record with the traceparent `cause` caused ("" for none)."""
    parent = Context.parse(cause)
    mode_id = "" if hasattr(message, "trace_id") else getattr(message, "mode_id", "")
    if not mode_id:
        trace_id = parent.trace_id if parent else secrets.token_hex(16)
        return Step(Context(trace_id, secrets.token_hex(8), bool(parent and parent.sampled)), parent)
    root = root_of(mode_id)
    if message.DESCRIPTOR.full_name == _ROOT:
        return Step(root, None)
    if parent is None or parent.trace_id != root.trace_id:
        parent = root
    return Step(Context(root.trace_id, secrets.token_hex(8), sampled=True), parent)


def root_of(mode_id: str) -> Context:
    """The root of the trace of a mode."""
    digest = hashlib.sha256(f"mode {mode_id}".encode()).hexdigest()
    return Context(digest[:32], digest[32:48], sampled=True)
