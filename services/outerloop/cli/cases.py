"""A case for review: the failing run with the span that went wrong, the eval in words, and its proof."""

from collections.abc import Sequence
from dataclasses import dataclass

from outerloop.cli.config import common
from outerloop.evals.grade import describe
from outerloop.evals.heldout import HeldOut
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.errors import UserError
from outerloop.store import evals, heldout, spans
from outerloop.store.evals import EvalRecord, Reproduction, State
from outerloop.trace.model import Span, Trace
from outerloop.trace.quote import one_line

_SHOWN = 240  # characters of a value
_EARLIER = 40  # steps of a long run that are shown before and after the one that went wrong


@dataclass(frozen=True, slots=True)
class Case:
    """An eval with the failing run that it was written from; None when that is not stored any more."""

    record: EvalRecord
    failing: Trace | None


@dataclass(frozen=True, slots=True)
class Line:
    """One step of a run; `wrong` marks what the eval is about."""

    text: str
    wrong: bool = False


async def load(agent: str = "", state: State | None = None) -> list[EvalRecord]:
    """Evals, in the order in which they reached their state."""
    db = ClickHouse(common())
    try:
        return await evals.of_agent(db, agent, state)
    finally:
        await db.close()


async def find(eval_id: str) -> EvalRecord:
    """The eval of that id, or whose id begins so.

    Raises:
        UserError: if there is none, or more than one.
    """
    found = [r for r in await load() if r.eval_id.startswith(eval_id)]
    if not found or not eval_id:
        raise UserError(f"there is no eval {eval_id!r}; `outerloop evals list` shows them")
    if len(found) > 1:
        raise UserError(f"{eval_id} is the beginning of {len(found)} evals: give more of the id")
    return found[0]


async def waiting(agent: str = "") -> list[Case]:
    """The cases that wait for a person, the oldest first."""
    return await with_runs(await load(agent, State.DRAFTED))


async def with_runs(records: Sequence[EvalRecord]) -> list[Case]:
    """These evals, each with its failing run."""
    sources = [next(iter(record.eval.provenance.source_traces), "") for record in records]
    db = ClickHouse(common())
    try:
        stored = await spans.traces(db, [source for source in sources if source])
    finally:
        await db.close()
    return [Case(record, stored.get(source)) for record, source in zip(records, sources, strict=True)]


async def held_out_of(record: EvalRecord) -> tuple[HeldOut, ...]:
    """The held-out variants of an eval, for people: no proposer is shown them.

    Raises:
        UserError: if they are not those that the record is of.
    """
    db = ClickHouse(common())
    try:
        return (await heldout.entry_of(db, record)).held_out
    finally:
        await db.close()


def words_of(record: EvalRecord) -> list[str]:
    """What a good run does, a clause each."""
    return [describe(expectation) for expectation in record.eval.expect]


def proof_of(record: EvalRecord) -> list[str]:
    """What speaks for the eval, a sentence each."""
    rates = f"recall {record.recall:.0%}, precision {record.precision:.0%}"
    flake = f"of good runs it is expected to fail {record.flake_rate:.1%}"
    if _imported(record):
        gaps = [f"{record.reason}."] if record.reason else []
        return ["It was imported, and held against no recorded run.", *gaps, _reproduction_of(record)]
    said = [
        f"It fails on {record.failing_caught} of {record.failing} recorded failures ({rates}).",
        f"It passes on {record.healthy_passed} of {record.healthy} healthy runs ({flake}).",
    ]
    if record.mutants:
        alive = f"; it lets pass: {'; '.join(record.survivors)}" if record.survivors else ""
        same = record.mutants_equivalent
        spared = f" ({same} more are as good runs are, and do not count)" if same else ""
        said.append(
            f"It fails {record.mutants_killed} of {record.mutants} healthy runs that were broken on"
            f" purpose{spared}{alive}."
        )
    said.append(_reproduction_of(record))
    if record.variants:
        said.append(
            f"Held out are variants of it, of other cases or in other words ({record.variants}), so that no"
            " proposer sees them (`outerloop evals show --variants`)."
        )
    if record.reason and record.state is State.DRAFTED:
        said.append(f"Noted: {record.reason}.")
    if record.traffic:
        share = record.similar / record.traffic
        said.append(f"{share:.0%} of the last {record.traffic} runs are on a request like this one.")
    return said


def _imported(record: EvalRecord) -> bool:
    return record.mode_id == record.eval_id


def _reproduction_of(record: EvalRecord) -> str:
    trials = f"{record.base_passed} of {record.base_trials} trials of {record.base_commit[:12]} pass"
    match record.reproduction:
        case Reproduction.REPRODUCED:
            return f"The release branch fails it: {trials}."
        case Reproduction.NOT_REPRODUCED:
            then = "" if record.state is State.SET_ASIDE else ", and its mode waits for a person"
            return f"NOT REPRODUCED: {trials}. Accepted, it is kept and never gates a change{then}."
        case Reproduction.UNASKED:
            return "The release branch was not run on it: the gate does before a change is tried."


def run_of(case: Case) -> list[Line]:
    """The failing run step by step, with the offending span marked; long runs around that span."""
    trace = case.failing
    if trace is None:
        gone = "the failing run is not stored any more"
        return [Line("it was imported: there is no failing run" if _imported(case.record) else gone)]
    steps = [span for span in trace.spans if span.operation == "execute_tool" or span.failed]
    shown_by = case.record.span_id
    at = next((n for n, span in enumerate(steps) if span.span_id == shown_by), len(steps) - 1)
    kept = steps[max(0, at - _EARLIER) : at + _EARLIER + 1]
    lines = [Line(f"asked     {one_line(trace.request, _SHOWN * 2)}")]
    if left_out := len(steps) - len(kept):
        lines.append(Line(f"          … {left_out} of {len(steps)} steps are not shown"))
    lines += [Line(_step(span), span.span_id == shown_by) for span in kept]
    wrong_end = not any(line.wrong for line in lines)
    return [*lines, Line(f"answered  {one_line(trace.answer, _SHOWN * 2) or '(nothing)'}", wrong_end)]


def _step(span: Span) -> str:
    if span.operation != "execute_tool":
        said = " ".join(filter(None, (span.error_type, span.status_message))) or "error"
        return (
            f"{'ended' if not span.parent_span_id else 'step':<9} {one_line(f'{span.name}: {said}', _SHOWN)}"
        )
    failed = "FAILED " if span.failed else ""
    call = f"{span.tool}({one_line(span.arguments, _SHOWN)})"
    return f"called    {one_line(call, _SHOWN * 2)} → {failed}{one_line(span.result, _SHOWN)}"
