"""What a detector makes of an agent's traces, before and after it was taught, and what it keeps."""

import pytest

from conversations import agent, conversation, user
from outerloop.trace.evaluation import evaluations_of
from outerloop.trace.model import Trace
from outerloop.triage.core.detector import Detector
from outerloop.triage.core.features import read
from outerloop.triage.core.grouping import group_of
from outerloop.triage.core.signals import DETECTOR
from outerloop.triage.core.taught import Example
from samples import Call, evaluation

THINGS = ["a lamp", "two chairs", "the blue rug", "a desk", "my kettle", "an oven", "one shelf", "a bench"]


def good(number: int) -> Trace:
    """The agent refunds what was paid."""
    return _refund(
        number, paid=10 + number % 7, refunded=10 + number % 7, closing="Your refund is on its way."
    )


def bad(number: int) -> Trace:
    """The agent refunds twice what was paid, and no rule sees it."""
    paid = 10 + number % 7
    return _refund(number, paid=paid, refunded=2 * paid, closing="I have refunded you generously, as a gift.")


def broken(number: int) -> Trace:
    """A rule sees that it failed."""
    wish = user(f"Please refund order A-{number}")
    return conversation(number, wish, Call("refund", {"order": f"A-{number}"}, "Error: locked"), agent("Hm."))


def _refund(number: int, paid: int, refunded: int, closing: str) -> Trace:
    order = f"A-{1000 + number}"
    return conversation(
        number,
        user(f"I sent back {THINGS[number % len(THINGS)]}, order {order}. Please refund me"),
        Call("get_order", {"order": order}, f'{{"order": "{order}", "paid": {paid}}}'),
        agent("Shall I refund it?"),
        user("Yes, please do"),
        Call("refund", {"order": order, "amount": refunded}, "refunded"),
        agent(closing),
    )


def example(trace: Trace, *, failed: bool) -> Example:
    return Example(read(trace).run, failed)


@pytest.fixture(scope="module")
def taught() -> Detector:
    detector = Detector("shop")
    detector.remember([*map(good, range(1, 31)), *map(bad, range(101, 131))])
    detector.learn(example(good(n), failed=False) for n in range(1, 31))
    detector.learn(example(bad(n), failed=True) for n in range(101, 131))
    return detector


def test_without_labels_only_rules_decide_and_it_says_so() -> None:
    detector = Detector("shop")
    found = detector.judge_all([good(1), broken(2)])
    assert [(j.failed, j.basis, j.detector, j.precision) for j in found] == [
        (False, "rules", DETECTOR, None),
        (True, "rules", DETECTOR, None),
    ]
    assert found[0].score < 0.5 <= found[1].score
    assert found[1].signals[0].kind == "tool_error"
    assert found[1].span_id == found[1].signals[0].span_id


def test_labels_teach_what_no_rule_sees(taught: Detector) -> None:
    found = taught.judge_all([good(201), bad(202)])
    assert [(j.failed, j.basis) for j in found] == [(False, "learned"), (True, "learned")]
    assert found[0].score < 0.2
    assert found[1].score > 0.8
    assert found[1].learned_from == 60
    assert found[1].precision is not None
    assert found[1].precision >= 0.9
    assert found[1].detector == taught.version
    assert taught.version.startswith(f"{DETECTOR}+60labels/")
    assert (found[1].signals[0].kind, found[1].signals[0].subject) == ("wrong_write", "refund")


def test_rules_decide_beside_what_was_learned(taught: Detector) -> None:
    assert taught.judge(broken(203)).failed


def test_a_rule_that_labels_contradict_decides_no_more() -> None:
    detector = Detector("shop")
    assert detector.judge(broken(1)).failed
    detector.learn(example(broken(n), failed=False) for n in range(2, 8))
    assert not detector.judge(broken(1)).failed


def test_labels_of_one_kind_teach_nothing() -> None:
    detector = Detector("shop")
    detector.learn(example(bad(n), failed=True) for n in range(1, 40))
    assert detector.judge(bad(50)).basis == "rules"


def test_an_evaluator_decides(taught: Detector) -> None:
    said = evaluations_of(evaluation(204, "quality", "fail", said="rude"))
    found = taught.judge(good(204), said)
    assert (found.failed, found.basis, found.signals[0].kind) == (True, "evaluation", "evaluation")


def test_a_later_label_replaces_an_earlier_one() -> None:
    detector = Detector("shop")
    detector.learn([example(good(1), failed=True), example(good(1), failed=False)])
    assert detector.judge(good(1)).learned_from == 1


def test_what_it_knows_survives_as_json(taught: Detector) -> None:
    again = Detector.from_json(taught.to_json())
    traces = [good(201), bad(202), broken(203)]
    assert again.judge_all(traces) == taught.judge_all(traces)


def test_the_order_in_which_labels_came_does_not_matter(taught: Detector) -> None:
    other = Detector("shop")
    other.remember([*map(bad, range(101, 131)), *map(good, range(1, 31))])
    other.learn(example(bad(n), failed=True) for n in reversed(range(101, 131)))
    other.learn(example(good(n), failed=False) for n in reversed(range(1, 31)))
    for one, two in zip(taught.judge_all([good(7), bad(8)]), other.judge_all([good(7), bad(8)]), strict=True):
        assert one.score == pytest.approx(two.score, abs=1e-6)


def test_it_forgets_the_oldest_runs_first() -> None:
    detector = Detector("shop", memory=3)
    detector.remember(map(good, range(1, 6)))
    kept = Detector("shop", memory=3)
    kept.remember(map(good, range(3, 6)))
    assert detector.to_json() == kept.to_json()


def test_the_same_failure_gets_the_same_mode_whatever_was_learned(taught: Detector) -> None:
    new = Detector("shop")
    for trace in (bad(301), broken(302)):
        assert group_of("shop", new.judge(trace).signals[0]) == group_of(
            "shop", taught.judge(trace).signals[0]
        )
    assert group_of("shop", taught.judge(bad(303)).signals[0]) == group_of(
        "shop", taught.judge(bad(304)).signals[0]
    )
