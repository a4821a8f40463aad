"""Which lessons an attempt is told."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from outerloop.contracts.v1.decision_pb2 import (
    OBSTACLE_CONFLICT,
    OBSTACLE_HELD_OUT,
    OBSTACLE_NOT_REPRODUCED,
    OBSTACLE_PRIOR_EVAL,
    VERDICT_REJECT,
    VERDICT_SHIP,
    DecisionReached,
    EvalOutcome,
    Obstacle,
)
from outerloop.propose.lessons import choose, from_decision, words_of
from outerloop.store.changes import ChangeRecord
from outerloop.store.changes import State as ChangeState
from outerloop.store.lessons import LessonRecord, Origin, State, Tally

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CHANGE = ChangeRecord(
    change_id="c1",
    agent="helpdesk",
    mode_id="m1",
    eval_id="e1",
    attempt=1,
    state=ChangeState.PROPOSED,
    base_commit="b",
    patch="--- a/prompts/policy.md\n+++ b/prompts/policy.md\n@@ -1 +1,2 @@\n x\n+Do not call refund_order.\n",
    diagnosis="refund_order was called too late.\n\nCause: c\nRisk: r",
    model="m",
    usd=0.1,
    at=NOW,
)
REJECTED = DecisionReached(
    decision_id="d1",
    change_id="c1",
    verdict=VERDICT_REJECT,
    obstacle=OBSTACLE_PRIOR_EVAL,
    reason="an earlier eval does not pass any more",
    outcomes=[
        EvalOutcome(
            title="Refunds in time",
            trials=5,
            passed=0,
            held=False,
            reasons=["expected a call of refund_order"],
        ),
        EvalOutcome(title="Ids", trials=5, passed=5, held=True, reasons=["x"]),
    ],
)


def lesson(number: int, **fields: object) -> LessonRecord:
    found = from_decision(CHANGE, REJECTED)
    assert found is not None
    return replace(found, lesson_id=f"l{number}", **fields)  # type: ignore[arg-type]  # fields of the record


def test_a_rejection_teaches_what_was_tried_and_what_stopped_it() -> None:
    found = lesson(1)
    assert "Do not call refund_order." in found.text
    assert "refund_order was called too late." in found.text
    assert '"Refunds in time" passed 0 of 5: expected a call of refund_order' in found.text
    assert '"Ids"' not in found.text
    assert {"refund_order", "refunds", "policy"} & set(found.words) == {"refund_order", "refunds"}
    assert from_decision(CHANGE, REJECTED) == from_decision(CHANGE, REJECTED)


def test_of_variants_that_nobody_was_shown_one_bit_is_told() -> None:
    held_out = DecisionReached()
    held_out.CopyFrom(REJECTED)
    held_out.obstacle = OBSTACLE_HELD_OUT
    held_out.reason = "variants of it that nobody was shown do not"
    found = from_decision(CHANGE, held_out)
    assert found is not None
    assert "nobody was shown" in found.text
    assert "Refunds in time" not in found.text


def test_what_shipped_teaches_nothing() -> None:
    shipped = DecisionReached(decision_id="d2", change_id="c1", verdict=VERDICT_SHIP)
    assert from_decision(CHANGE, shipped) is None


@pytest.mark.parametrize("obstacle", [OBSTACLE_CONFLICT, OBSTACLE_NOT_REPRODUCED])
def test_what_is_no_word_on_the_change_teaches_nothing(obstacle: Obstacle) -> None:
    moved = DecisionReached(decision_id="d2", change_id="c1", verdict=VERDICT_REJECT, obstacle=obstacle)
    assert from_decision(CHANGE, moved) is None


def test_lessons_of_the_mode_come_first_then_those_that_speak_of_the_same_tools() -> None:
    own = lesson(1)
    near = lesson(2, mode_id="m2", words=words_of("refund_order refunds window"))
    far = lesson(3, mode_id="m3", words=words_of("track_shipment carrier"))
    general = lesson(4, mode_id="", origin=Origin.PERSON, words=())
    retired = lesson(5, state=State.RETIRED)
    about = words_of("refund_order: the refund window is 30 days")
    chosen = choose([far, retired, near, general, own], {}, "m1", about)
    assert [each.lesson_id for each in chosen] == ["l1", "l4", "l2"]


def test_evidence_ranks_lessons_and_leaves_out_those_that_do_harm() -> None:
    helps = lesson(1)
    neutral = lesson(2)
    harms = lesson(3)
    young = lesson(4)
    tallies = {
        "l1": Tally(shipped_with=9, tried_with=10, shipped_without=3, tried_without=10),
        "l3": Tally(shipped_with=1, tried_with=10, shipped_without=8, tried_without=10),
        "l4": Tally(shipped_with=0, tried_with=2, shipped_without=8, tried_without=10),
    }
    chosen = choose([harms, young, neutral, helps], tallies, "m1", ())
    assert [each.lesson_id for each in chosen] == ["l1", "l2", "l4"]
