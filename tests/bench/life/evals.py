"""Evals: what a topic's failure becomes, as draft would write it, and the row of an accepted one."""

from datetime import UTC, datetime

from bench.life.behaviour import is_flaky, rate
from bench.life.topics import VARIANTS, Topic
from outerloop.evals.expect.tools import ToolCalled
from outerloop.evals.heldout import HeldOut, Variant
from outerloop.evals.model import Cassette, Divergence, Eval, Provenance, RecordedCall
from outerloop.evals.suite import Entry
from outerloop.store.evals import EvalRecord, State

AGENT = "desk"
STANDARD, COLD = 0.25, 0.40
CLEARLY = 0.02  # below a bar
STANDARD_EVERY = 4  # of the topics; the others are cold: they may lose more, and cost half as many trials
_WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)  # of all: the same topic is the same eval in every life


def margin(topic: Topic) -> float:
    """How far the topic's eval may fall."""
    return COLD if topic.number % STANDARD_EVERY else STANDARD


def eval_id(topic: Topic) -> str:
    """The id of a topic's eval."""
    return f"e-{topic.number:03}"


def entry(topic: Topic) -> Entry:
    """The eval with its recorded world, and variants that the proposer is not shown."""
    tool, _, _ = topic.call
    call = RecordedCall(tool=tool, arguments=topic.arguments(), result='{"ok": true}')
    made = Eval(
        id=eval_id(topic),
        agent=AGENT,
        mode_id=f"m-{topic.number:03}",
        title=f"A {topic.subject} is dealt with",
        input=topic.request(),
        expect=(ToolCalled(tool=tool, arguments=dict(topic.arguments())),),
        divergence=Divergence.NEAREST,
        margin=margin(topic),
        provenance=Provenance(drafted_by="a script", drafted_at=_WHEN, source_traces=()),
    )
    held_out = tuple(_held_out(topic, variant) for variant in range(1, VARIANTS + 1))
    return Entry(made, Cassette(calls=(call,)), held_out)


def _held_out(topic: Topic, variant: int) -> HeldOut:
    """The same of another customer, in other words."""
    tool, _, _ = topic.call
    arguments = topic.arguments(variant)
    asked = Variant(input=topic.request(variant), expect=(ToolCalled(tool=tool, arguments=dict(arguments)),))
    call = RecordedCall(tool=tool, arguments=arguments, result='{"ok": true}')
    return HeldOut(asked, Cassette(calls=(call,)))


def accepted(topic: Topic) -> EvalRecord:
    """The row of the eval, as it is once a person has accepted it."""
    held = entry(topic)
    return EvalRecord(
        eval_id=held.eval.id,
        agent=AGENT,
        mode_id=held.eval.mode_id,
        title=held.eval.title,
        state=State.ACCEPTED,
        eval_yaml=held.eval.to_yaml(),
        cassette_jsonl=held.cassette.to_jsonl(),
        content_sha256=held.content_sha256,
        failing_caught=6,
        failing=6,
        healthy_passed=6,
        healthy=6,
        reviewer="a script",
        at=datetime.now(UTC),
    )


def falls_too_far(topic: Topic, bar: float, evals: int) -> bool:
    """Whether an excuse takes the topic's true rate below the bar that its eval must keep, and clearly so."""
    rule = topic.rule()
    text = topic.request()["messages"][0]["parts"][0]["content"]
    return rate(f"{rule}\n{topic.excuse()}", text, flaky=is_flaky(topic, evals)) < bar - CLEARLY
