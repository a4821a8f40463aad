"""Outcome: what a run changed in the world and how it ended. Like wishes should have like ones."""

from dataclasses import dataclass
from typing import Literal

from outerloop.trace.acts import act_of
from outerloop.trace.model import ToolCall
from outerloop.trace.signal import Signal
from outerloop.triage.core.entities import leaves
from outerloop.triage.core.signs.making import arguments, failed, signal
from outerloop.triage.core.transcript import Transcript

# Left unanswered; handed over to a person; changed something; or only talked.
Ending = Literal["abrupt", "handed_over", "wrote", "talked"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """`writes` are the changes that succeeded, with their place; `effects` every argument of them."""

    ending: Ending
    writes: tuple[tuple[int, ToolCall], ...]
    effects: frozenset[str]
    handover: bool


def outcome_of(seen: Transcript) -> Outcome:
    """The outcome of a run."""
    acted = [(i, call, act_of(call.name)) for i, call in seen.calls if not failed(call)]
    writes = tuple((i, call) for i, call, act in acted if act == "write")
    handed = [call for _, call, act in acted if act == "handover"]
    effects = {f"{c.name}.{key}={value}".lower() for _, c in writes for key, value in leaves(c.arguments)}
    effects |= {call.name for call in handed} | {call.name for _, call in writes if not call.arguments}
    return Outcome(_ending(seen, bool(writes), bool(handed)), writes, frozenset(effects), bool(handed))


def _ending(seen: Transcript, wrote: bool, handed: bool) -> Ending:  # noqa: FBT001 - two facts
    if handed and not wrote:
        return "handed_over"
    last = seen.steps[-1] if seen.steps else None
    if seen.trace.root.failed or (last and last.role != "assistant" and seen.said and not handed):
        return "abrupt"
    return "wrote" if wrote else "talked"


def outcome_sign(seen: Transcript) -> Signal:
    """The outcome as a sign, for a failure that no other sign explains: what was done last."""
    outcome = outcome_of(seen)
    root = seen.trace.root
    last = seen.steps[-1].span_id if seen.steps else root.span_id
    match outcome.ending:
        case "wrote":
            call = outcome.writes[-1][1]
            return signal("wrong_write", call.name, f"with {arguments(call)}", call.span_id)
        case "handed_over":
            handed = [c for _, c in seen.calls if act_of(c.name) == "handover"][-1]
            return signal("wrong_handover", handed.name, arguments(handed), handed.span_id)
        case "abrupt":
            return signal("abrupt_end", root.operation or "run", seen.answer or "no answer", last)
        case "talked":
            return signal("no_action", "answer", seen.answer or "no answer", last)
