"""Every message of the contracts, built once as its service would: the tests are the usage examples."""

import re
from datetime import UTC, datetime

import pytest
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from outerloop.contracts.v1.change_pb2 import ChangeAbandoned, ChangeProposed
from outerloop.contracts.v1.decision_pb2 import (
    OBSTACLE_PRIOR_EVAL,
    VERDICT_REJECT,
    ClaimShown,
    DecisionReached,
    EvalOutcome,
)
from outerloop.contracts.v1.detector_pb2 import DetectorChosen
from outerloop.contracts.v1.eval_pb2 import (
    REPRODUCTION_REPRODUCED,
    REVIEW_EDIT,
    EvalAccepted,
    EvalDrafted,
    EvalImported,
    EvalLinked,
    EvalRetired,
    EvalReviewed,
    EvalUndraftable,
    Proof,
)
from outerloop.contracts.v1.failure_pb2 import FailureDetected, ModeOpened, Signal
from outerloop.contracts.v1.label_pb2 import QUALITY_BAD, TraceLabelled
from outerloop.contracts.v1.loop_pb2 import LessonNoted, LoopPaused
from outerloop.contracts.v1.mode_pb2 import RULING_SPLIT, ModeEscalated, ModeRuled
from outerloop.contracts.v1.release_pb2 import FINDING_ROLLED_BACK, EvalReopened, ReleaseWatched
from outerloop.contracts.v1.replay_pb2 import ReplayRequested
from outerloop.contracts.v1.topic_pb2 import RETENTION_WEEK, Topic
from outerloop.contracts.v1.trace_pb2 import TraceSettled
from outerloop.contracts.v1.trial_pb2 import TrialFinished, TrialRequested
from outerloop.runtime.envelope import Delivery, headers_for, key_of, stable_id, unpack
from outerloop.runtime.errors import PoisonError
from outerloop.runtime.topics import (
    OTLP_LOGS,
    OTLP_SPANS,
    TopicSpec,
    dead_letter_topic,
    message_types,
    spec_of,
    topic_of,
    topics,
)
from outerloop.runtime.tracecontext import step

TRACE = "0af7651916cd43dd8448eb211c80319c"
MODE, EVAL, CHANGE = (stable_id(kind, "helpdesk", 1) for kind in ("mode", "eval", "change"))
DECISION, TRIAL = (stable_id(kind, CHANGE) for kind in ("decision", "trial"))
SHA = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
BASE, CANDIDATE, SUITE = "4dffda6" + "0" * 33, "a3e20b9" + "0" * 33, "b06a541" + "0" * 33
NOON = Timestamp(seconds=int(datetime(2026, 11, 23, 12, tzinfo=UTC).timestamp()))
PATCH = """\
diff --git a/prompts/policy.md b/prompts/policy.md
index 3b18e51..a042389 100644
--- a/prompts/policy.md
+++ b/prompts/policy.md
818606d9-6db3-5473-89a8-12d388319435 -1 +1,2 @@
 Be kind.
+Order ids have the form A-1007.
"""
SIGNAL = Signal(
    kind="tool_error", subject="get_order", detail="invalid order id '1007'", span_id="b7ad6b7169203331"
)
CLAIM = ClaimShown(
    kind="prior",
    name=EVAL,
    state="blocked",
    bar=0.725,
    passed=2,
    trials=6,
    log_e_above=-4.1,
    log_e_below=9.2,
)
PROOF = Proof(
    failing_caught=4,
    failing=5,
    healthy_passed=5,
    healthy=5,
    mutants_killed=11,
    mutants=12,
    reproduction=REPRODUCTION_REPRODUCED,
    base_commit=BASE,
    base_passed=1,
    base_trials=8,
)
OUTCOME = EvalOutcome(
    eval_id=EVAL,
    title="get_order fails: invalid order id",
    trials=5,
    passed=4,
    held=True,
    reasons=["expected a call of get_order: it was never called"],
    divergences=1,
)
EXAMPLES: list[Message] = [
    LoopPaused(agent="*", paused=True, by="ada", reason="a migration until noon", at=NOON),
    LessonNoted(
        lesson_id=stable_id("lesson", "helpdesk", 1),
        agent="helpdesk",
        mode_id=MODE,
        text="The policy is read aloud on the phone: keep it short.",
        retired=True,
        by="ada",
        reason="it is not read aloud any more",
        noted_at=NOON,
    ),
    Topic(
        name="outerloop.mode.opened.v1",
        key="agent",
        partitions=12,
        retention=RETENTION_WEEK,
        purpose="a mode opened",
        writer="triage",
    ),
    SIGNAL,
    PROOF,
    OUTCOME,
    TraceSettled(
        trace_id=TRACE,
        agent="helpdesk",
        agent_version="1.4.2",
        spans=19,
        started_at=NOON,
        revision="19-A1B2-0",
    ),
    FailureDetected(
        failure_id=stable_id("failure", "helpdesk", TRACE),
        agent="helpdesk",
        agent_version="1.4.2",
        trace_id=TRACE,
        mode_id=MODE,
        signals=[SIGNAL],
        occurred_at=NOON,
        detector="rules/1",
    ),
    ModeOpened(
        mode_id=MODE,
        agent="helpdesk",
        title="get_order fails: invalid order id …",
        fingerprint="tool_error|get_order|invalid order id *",
        trace_ids=[TRACE],
        opened_at=NOON,
    ),
    EvalDrafted(
        eval_id=EVAL,
        agent="helpdesk",
        mode_id=MODE,
        title="get_order fails",
        content_sha256=SHA,
        proof=PROOF,
    ),
    EvalUndraftable(agent="helpdesk", mode_id=MODE, reason="no healthy run to compare with"),
    EvalReviewed(
        eval_id=EVAL,
        agent="helpdesk",
        review=REVIEW_EDIT,
        reviewer="ada",
        reason="seen it happen",
        content_sha256=SHA,
        reviewed_at=NOON,
        eval_yaml="id: e\n",
    ),
    EvalImported(
        eval_id="imported-0123456789abcdef",
        agent="helpdesk",
        eval_yaml="id: e\n",
        cassette_jsonl='{"tool": "get_order", "arguments": {}, "result": "shipped"}\n',
        lost=["promptfooconfig.yaml:18: assert llm-rubric: asks a model"],
        imported_by="ada",
        imported_at=NOON,
    ),
    EvalLinked(agent="helpdesk", mode_id=MODE, eval_id=EVAL, eval_mode_id=MODE, reason="it fails on 5 of 5"),
    EvalRetired(
        eval_id=EVAL,
        agent="helpdesk",
        mode_id=MODE,
        retired_by="ada",
        reason="we sell no lamps any more",
        retired_at=NOON,
    ),
    EvalAccepted(
        eval_id=EVAL,
        agent="helpdesk",
        mode_id=MODE,
        content_sha256=SHA,
        accepted_by="ada",
        accepted_at=NOON,
    ),
    ChangeProposed(
        change_id=CHANGE,
        agent="helpdesk",
        mode_id=MODE,
        eval_id=EVAL,
        attempt=2,
        base_commit=BASE,
        patch=PATCH,
        diagnosis="The policy does not say which form an order id has.",
        model="claude-sonnet-5-5",
        proposed_at=NOON,
    ),
    ChangeAbandoned(
        agent="helpdesk", mode_id=MODE, eval_id=EVAL, attempts=4, reason="four attempts were rejected"
    ),
    DecisionReached(
        decision_id=stable_id("decision", CHANGE),
        agent="helpdesk",
        change_id=CHANGE,
        mode_id=MODE,
        eval_id=EVAL,
        verdict=VERDICT_REJECT,
        obstacle=OBSTACLE_PRIOR_EVAL,
        reason="1 earlier eval does not hold any more",
        outcomes=[OUTCOME],
        claims=[CLAIM],
        alpha=0.0067,
        ledger_index=1,
        series=stable_id("hearing", CHANGE),
        base_commit=BASE,
        candidate_commit=CANDIDATE,
        suite_commit=SUITE,
        shipped_commit=CANDIDATE,
        certificate_sha256=SHA,
        decided_at=NOON,
    ),
    CLAIM,
    TrialRequested(
        trial_id=TRIAL,
        series=DECISION,
        agent="helpdesk",
        eval_id=EVAL,
        eval_sha256=SHA,
        number=4,
        variant=1,
        base_commit=BASE,
        suite_commit=SUITE,
        change_id=CHANGE,
        tree=CANDIDATE,
        attempt=1,
        requested_at=NOON,
        request_id=stable_id(TRIAL, 1),
        terms_sha256=SHA,
    ),
    TrialFinished(
        trial_id=TRIAL,
        series=DECISION,
        agent="helpdesk",
        eval_id=EVAL,
        number=4,
        attempt=1,
        passed=True,
        not_run="the model was away",
        finished_at=NOON,
    ),
    ReleaseWatched(
        decision_id=DECISION,
        agent="helpdesk",
        mode_id=MODE,
        eval_id=EVAL,
        shipped_commit=CANDIDATE,
        finding=FINDING_ROLLED_BACK,
        subject=MODE,
        reason="3 of 40 traces show it since the release, and 1 of 400 did before",
        traces=40,
        failures=3,
        rollback_commit=BASE,
        found_at=NOON,
    ),
    EvalReopened(
        eval_id=EVAL,
        agent="helpdesk",
        mode_id=MODE,
        commit=BASE,
        reason="the base fails it: 1 of 12 trials pass",
        passed=1,
        trials=12,
        reopened_at=NOON,
    ),
    DetectorChosen(
        agent="helpdesk",
        version="rules/2+60labels/0a1b2c3d",
        reason="it finds what we had labelled",
        chosen_by="ada",
        chosen_at=NOON,
    ),
    ReplayRequested(
        request_id=stable_id("replay", TRACE),
        agent="helpdesk",
        trace_ids=[TRACE],
        requested_by="ada",
        requested_at=NOON,
    ),
    TraceLabelled(
        trace_id=TRACE,
        agent="helpdesk",
        quality=QUALITY_BAD,
        why="it cancelled without asking",
        labelled_by="ada",
        labelled_at=NOON,
    ),
    ModeRuled(
        ruling_id=stable_id("ruling", MODE),
        agent="helpdesk",
        mode_id=MODE,
        ruling=RULING_SPLIT,
        into_mode_id=stable_id("mode", "helpdesk", 2),
        containing="refund window",
        title="refunds after the window",
        why="two rules are broken, not one",
        ruled_by="ada",
        ruled_at=NOON,
    ),
    ModeEscalated(
        mode_id=MODE,
        agent="helpdesk",
        title="get_order fails: invalid order id",
        traces_before=900,
        failures_before=9,
        traces_now=100,
        failures_now=20,
        hours=24,
        escalated_at=NOON,
    ),
]
DECLARED = [message for message in EXAMPLES if spec_of(message)]


def name(message: Message) -> str:
    return message.DESCRIPTOR.name


def record(message: Message, **headers: str) -> Delivery:
    made = headers_for(
        message, event_id=stable_id(name(message), 1), source="test", context=step(message).own
    )
    return Delivery(
        topic_of(message).name, 3, 14, key_of(message), message.SerializeToString(), made | headers
    )


def test_every_message_of_the_contracts_has_its_example() -> None:
    assert sorted(map(name, EXAMPLES)) == sorted(kind.DESCRIPTOR.name for kind in message_types())


@pytest.mark.parametrize("message", EXAMPLES, ids=name)
def test_an_example_says_something_in_every_field(message: Message) -> None:
    assert {field.name for field, _ in message.ListFields()} == set(message.DESCRIPTOR.fields_by_name)


@pytest.mark.parametrize("message", EXAMPLES, ids=name)
def test_a_message_passes_through_bytes(message: Message) -> None:
    assert type(message).FromString(message.SerializeToString()) == message


@pytest.mark.parametrize("message", DECLARED, ids=name)
def test_a_message_passes_through_its_envelope(message: Message) -> None:
    delivery = record(message)
    assert unpack(delivery, type(message)) == message
    assert delivery.headers["ce_type"] == message.DESCRIPTOR.full_name
    assert delivery.headers["ce_source"] == "outerloop/test"
    assert delivery.headers["content-type"] == "application/protobuf"
    assert datetime.fromisoformat(delivery.headers["ce_time"]).tzinfo == UTC
    assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]", delivery.headers["traceparent"])


@pytest.mark.parametrize("message", DECLARED, ids=name)
def test_a_declared_topic_is_whole(message: Message) -> None:
    spec = topic_of(message)
    assert re.fullmatch(r"outerloop\.[a-z]+\.[a-z]+\.v1", spec.name)
    assert spec.key in message.DESCRIPTOR.fields_by_name
    assert key_of(message) == str(getattr(message, spec.key)).encode() != b""
    assert spec.partitions >= 1
    assert spec.retention in {"week", "forever"}
    assert spec.purpose
    assert spec.writer in {"ingest", "triage", "draft", "propose", "gate", "person"}
    assert spec.message == message.DESCRIPTOR.full_name


def test_topics_are_unique_and_listed_once() -> None:
    names = [topic_of(message).name for message in DECLARED]
    assert len(set(names)) == len(names)
    assert set(topics()) == {*names, OTLP_SPANS, OTLP_LOGS}
    assert all(isinstance(spec, TopicSpec) and spec.name == key for key, spec in topics().items())
    assert dead_letter_topic("outerloop.mode.opened.v1", "draft") == "outerloop.mode.opened.v1.draft.dlq"


def test_a_message_inside_of_others_has_no_topic() -> None:
    assert spec_of(Signal) is None
    with pytest.raises(TypeError, match=r"outerloop\.contracts\.v1\.Signal declares no topic"):
        topic_of(SIGNAL)


def test_ids_follow_from_their_cause() -> None:
    assert stable_id("mode", "helpdesk", 1) == "818606d9-6db3-5473-89a8-12d388319435"
    assert stable_id("a", "bc") != stable_id("ab", "c")


@pytest.mark.parametrize(
    ("value", "headers", "says"),
    [
        (b"\xff\xff", {}, "is not a outerloop.contracts.v1.ModeOpened"),
        (b"", {}, "has no agent"),
        (None, {}, "has no agent"),
        (ModeOpened(mode_id=MODE).SerializeToString(), {}, "has no agent"),
        (
            b"",
            {"ce_type": "outerloop.contracts.v1.EvalDrafted"},
            "carries outerloop.contracts.v1.EvalDrafted",
        ),
    ],
    ids=["garbage", "empty", "tombstone", "no key", "another type"],
)
def test_what_is_not_the_message_is_poison(value: bytes | None, headers: dict[str, str], says: str) -> None:
    delivery = Delivery("outerloop.mode.opened.v1", 3, 14, None, value, headers)
    with pytest.raises(PoisonError, match=re.escape(f"outerloop.mode.opened.v1[3]@14 {says}")):
        unpack(delivery, ModeOpened)
