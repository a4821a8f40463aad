"""What an eval should expect, from the sign of failure and from what healthy runs did. Exact, no model."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from outerloop.draft.core.carry import agreed, asked, carried, named_in_request
from outerloop.draft.core.case import case_of, on_case_of
from outerloop.evals.expect.answer import Answered
from outerloop.evals.expect.behaviour import Finished, NoErrorStatus
from outerloop.evals.expect.changes import StateChanges
from outerloop.evals.expect.composite import AllOf, AnyOf, Expectation, Not
from outerloop.evals.expect.refusal import Refused
from outerloop.evals.expect.tools import Call, NoRepeatedCall, ToolCalled, ToolNotCalled, ToolSucceeds
from outerloop.evals.grade import grade
from outerloop.evals.jsonvalue import canonical
from outerloop.trace.acts import act_of, things_of, writes_of
from outerloop.trace.model import ToolCall, Trace
from outerloop.trace.neighbours import always_called
from outerloop.trace.signal import Signal

# Fewer agreeing neighbours could agree by chance on a tool that the request does not need.
AGREEING = 2
# Ways to look something up that are named in one expectation: a person reads them.
WAYS = 6


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a good run would do.

    `own` are ways to say what the sign is about, the strictest first: one is enough. `beside` is what good
    runs do anyway.
    """

    own: tuple[Expectation, ...]
    beside: tuple[Expectation, ...]


@dataclass(frozen=True, slots=True)
class Tools:
    """The tools that an agent's recorded runs called: those that change state, and those that read."""

    writes: Sequence[str] = ()
    reads: Sequence[str] = ()

    @classmethod
    def of(cls, runs: Sequence[Trace]) -> "Tools":
        """Those that these runs called, the most frequent first."""
        called = Counter(call.name for run in runs for call in run.tool_calls)
        names = [name for name, _ in called.most_common()]
        return cls(writes_of(runs), [name for name in names if act_of(name) == "read"])


# How a good run ends, whatever it was asked.
REFUSES_NOT = Not(of=Refused())
ENDING: tuple[Expectation, ...] = (NoErrorStatus(), Answered(), REFUSES_NOT)


def expectations(
    failing: Trace,
    sign: Signal,
    healthy: Sequence[Trace],
    known: Tools = Tools(),
    ending: Sequence[Expectation] = ENDING,
) -> Wanted:
    """What a good run of `failing`'s request would do, given healthy runs of requests like it.

    `known` are the agent's tools, `ending` is how its good runs end. Of a sign that nothing
    exact says, as of a kind that is not known here, `own` is empty: then only what good runs do anyway can
    tell.
    """
    own = _own(failing, sign)
    named = {own[0].tool} if own and isinstance(own[0], ToolCalled | ToolNotCalled) else set()
    tools = always_called(healthy) if len(healthy) >= AGREEING else []
    called = _needed(
        [_called(tool, failing, healthy) for tool in tools if tool not in named], healthy, known.reads
    )
    if own and isinstance(own[0], ToolCalled) and own[0].tool in tools:
        own = (_called(own[0].tool, failing, healthy), *own)
    succeeds = (e for e in own if isinstance(e, ToolSucceeds))
    changes = _changes(called, tools, known.writes)
    # Who comes to his end has an answer, and no error: a person reads each expectation.
    ends = [e for e in ending if Finished() not in own or not isinstance(e, Answered | NoErrorStatus)]
    beside = (*succeeds, *called, *changes, *ends, *_no_sooner(tools, called, ending))
    return Wanted(own, tuple(e for e in beside if e not in own or isinstance(e, ToolSucceeds)))


def _no_sooner(
    tools: Sequence[str], called: Sequence[Expectation], ending: Sequence[Expectation]
) -> Iterator[Expectation]:
    """Where good runs may refuse: that none does before it has done all that healthy runs do."""
    demanded = {e.tool for e in called if isinstance(e, ToolCalled)}
    if REFUSES_NOT not in ending and not demanded.issuperset(tools):
        done = tuple(ToolCalled(tool=tool) for tool in tools)
        yield AnyOf(of=(REFUSES_NOT, done[0] if len(done) == 1 else AllOf(of=done)))


def _needed(
    called: Sequence[ToolCalled], healthy: Sequence[Trace], reads: Sequence[str]
) -> list[Expectation]:
    """What a good run needs to call of what every healthy run does: what changes something or names the case.

    Of other reads any one that some healthy run did will do, and any that is about the same things: that all
    did the same may be their habit, and another way to look it up as good. To think is nobody's duty.
    """
    needed = [c for c in called if c.arguments or act_of(c.tool) in {"write", "handover"}]
    habits = [c.tool for c in called if not c.arguments and act_of(c.tool) == "read"]
    if not habits:
        return list(needed)
    named = {c.tool for c in needed} | set(habits)
    done = Counter(c.name for t in healthy for c in t.tool_calls if not c.failed and act_of(c.name) == "read")
    about = {thing for tool in habits for thing in things_of(tool)}
    same = [tool for tool in reads if about & things_of(tool)]
    others = [
        tool
        for tool in dict.fromkeys([*(name for name, _ in done.most_common()), *same])
        if tool not in named
    ]
    return [*needed, _any_of([*habits, *others][:WAYS])]


def _any_of(tools: Sequence[str]) -> Expectation:
    calls = tuple(ToolCalled(tool=tool) for tool in tools)
    return calls[0] if len(calls) == 1 else AnyOf(of=calls)


def _changes(
    called: Sequence[Expectation], tools: Sequence[str], writes: Sequence[str]
) -> tuple[Expectation, ...]:
    """That just what every healthy run changes is changed, and nothing else."""
    if not tools or not writes:
        return ()
    made = [e for e in called if isinstance(e, ToolCalled) and e.tool in writes]
    return (
        StateChanges(
            tools=tuple(writes), calls=tuple(Call(tool=e.tool, arguments=e.arguments) for e in made)
        ),
    )


def _called(tool: str, failing: Trace, healthy: Sequence[Trace]) -> ToolCalled:
    """A call of the tool, about what the failing run was asked about as healthy runs call it about theirs.

    Of a deed also what it was done with, where all healthy runs on the very same request agree on that.
    """
    given = [named_in_request(run, tool) for run in healthy]
    here, there = [asked(run) for run in healthy], asked(failing)
    arguments = agreed(tool, failing, healthy) if act_of(tool) == "write" else {}
    for key in sorted(set.intersection(*map(set, given))):
        told = {
            canonical(v): v for v in (carried(g[key], h, there) for g, h in zip(given, here, strict=True))
        }
        if len(told) == 1 and (value := next(iter(told.values()))) is not None:
            arguments[key] = value
    return _as_far_as_they_do(ToolCalled(tool=tool, arguments=arguments), failing, healthy)


def _as_far_as_they_do(call: ToolCalled, failing: Trace, healthy: Sequence[Trace]) -> ToolCalled:
    """The call, without what it is about where not every healthy run's call is about that."""
    held = all(grade(on_case_of(run, [call], failing), run).passed for run in healthy)
    return call if held else ToolCalled(tool=call.tool)


_OF_THE_RUN: dict[str, Expectation] = {
    "repeated_call": NoRepeatedCall(),
    "error_status": NoErrorStatus(),
    "empty_answer": Answered(),
    "abrupt_end": Answered(),
    "truncated": Finished(),  # words that were cut off are an answer, too
    "refusal": Not(of=Refused()),
}


def _own(failing: Trace, sign: Signal) -> tuple[Expectation, ...]:
    if of_the_run := _OF_THE_RUN.get(sign.kind):
        return (of_the_run,)
    shown = next((call for call in failing.tool_calls if call.span_id == sign.span_id), None)
    if sign.kind == "tool_error":
        tool = sign.subject
        # Who does not need the tool need not call it; who calls it must succeed.
        return (ToolCalled(tool=tool), ToolSucceeds(tool=tool), *_never(shown))
    if sign.kind == "evaluation":
        # An evaluator called a finished run bad: what it blames is the last thing that the run did.
        done = [call for call in failing.tool_calls if not call.failed]
        return (_forbidden(failing, done[-1]),) if done else ()
    # Of whatever else: the very thing that was done must not be done again.
    return (_forbidden(failing, shown), *_never(shown)) if shown else ()


def _forbidden(failing: Trace, call: ToolCall) -> ToolNotCalled:
    return ToolNotCalled(tool=call.name, arguments=case_of(failing, call))


def _never(call: ToolCall | None) -> tuple[Expectation, ...]:
    """That a call with just these arguments is not made."""
    return (ToolNotCalled(tool=call.name, arguments=dict(call.arguments)),) if call else ()
