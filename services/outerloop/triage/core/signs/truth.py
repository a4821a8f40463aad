"""Signs that what the agent did or said does not rest on what it knew."""

from collections.abc import Iterator

from outerloop.trace.acts import act_of
from outerloop.trace.signal import Signal
from outerloop.triage.core.entities import entities_of_rules
from outerloop.triage.core.signs.making import failed, signal
from outerloop.triage.core.transcript import Transcript

_LEAST = 3  # characters: shorter values are counts and flags, which an agent may well choose itself


def invented_argument(seen: Transcript) -> Iterator[Signal]:
    """A change with a particular in it that neither user, rules nor any tool had named before."""
    known = set(entities_of_rules(seen.policy))
    for i, step in enumerate(seen.steps):
        if step.call and act_of(step.call.name) == "write" and not failed(step.call):
            new = sorted(e for e in seen.asked[i] - known if len(e) >= _LEAST)
            if new:
                detail = f"has {', '.join(new)}, which nothing before it says"
                yield signal("invented_argument", step.call.name, detail, step.call.span_id)
        if step.role != "assistant":
            known |= seen.particulars[i]


def invented_answer(seen: Transcript) -> Iterator[Signal]:
    """The agent's last words name particulars that nothing before them did."""
    if not seen.answer:
        return
    known = set(entities_of_rules(seen.policy))
    for i, step in enumerate(seen.steps[:-1]):
        known |= seen.asked[i] if step.role == "assistant" else seen.asked[i] | seen.particulars[i]
    new = sorted(e for e in seen.particulars[-1] - known if len(e) >= _LEAST)
    if new:
        where = seen.steps[-1].span_id
        yield signal("invented_answer", "answer", f"says {', '.join(new)}, which nothing shows", where)
