"""The player: recorded answers in their order, and the policies for what was not recorded."""

from typing import Any

import pytest

from outerloop.evals.cassette import MOST_DIVERGENCES, Diverged, Player, ToolAnswer
from outerloop.evals.model import Cassette, Divergence, RecordedCall, Replay


def recorded(tool: str, arguments: dict[str, Any], result: str, *, failed: bool = False) -> RecordedCall:
    return RecordedCall(tool=tool, arguments=arguments, result=result, failed=failed)


CASSETTE = Cassette(
    calls=(
        recorded("get", {"id": 1}, "first"),
        recorded("get", {"id": 2, "full": True}, "other", failed=True),
        recorded("get", {"id": 1}, "second"),
        recorded("get", {"id": 3, "full": True, "lang": "en"}, "third"),
    )
)


@pytest.mark.parametrize("policy", Divergence)
def test_the_same_call_gets_its_recorded_answers_in_order_then_the_last_again(policy: Divergence) -> None:
    player = Player(CASSETTE, policy)
    given = [player.answer("get", {"id": 1.0}) for _ in range(3)]
    assert given == [ToolAnswer("first"), ToolAnswer("second"), ToolAnswer("second")]
    assert player.answer("get", {"full": True, "id": 2}) == ToolAnswer("other", is_error=True)
    assert player.divergences == ()


def test_fail_answers_with_an_error_that_says_so() -> None:
    player = Player(CASSETTE, Divergence.FAIL)
    answer = player.answer("get", {"id": True})
    assert answer == ToolAnswer('the recording does not hold this call: get {"id":true}', is_error=True)
    assert player.divergences == (Diverged("get", {"id": True}, Divergence.FAIL),)


def test_live_leaves_the_call_to_the_caller() -> None:
    player = Player(CASSETTE, Divergence.LIVE)
    assert player.answer("put", {"id": 1}) is None
    assert player.divergences == (Diverged("put", {"id": 1}, Divergence.LIVE),)


@pytest.mark.parametrize(
    ("arguments", "result"),
    [
        ({"id": 3, "full": True}, "third"),  # two are equal
        ({"full": True}, "other"),  # one is equal in two recordings; this one has less besides
        ({"id": 9}, "first"),  # none is equal: fewest others, then the first one
    ],
)
def test_nearest_takes_the_most_alike_call_of_the_same_tool(arguments: dict[str, Any], result: str) -> None:
    player = Player(CASSETTE, Divergence.NEAREST)
    answer = player.answer("get", arguments)
    assert answer is not None
    assert answer.content == result
    assert player.divergences == (Diverged("get", arguments, Divergence.NEAREST),)


def test_nearest_fails_for_a_tool_that_was_never_recorded() -> None:
    player = Player(CASSETTE, Divergence.NEAREST)
    answer = player.answer("put", {"id": 1})
    assert answer is not None
    assert answer.is_error
    assert player.divergences[0].answered_by is Divergence.FAIL


def test_a_loop_does_not_fill_the_memory() -> None:
    player = Player(Cassette(), Divergence.FAIL)
    for _ in range(MOST_DIVERGENCES + 5):
        player.answer("get", {})
    assert len(player.divergences) == MOST_DIVERGENCES


@pytest.mark.parametrize(
    ("replay", "recorded_as", "asked"),
    [
        (Replay(ignore=("at", "meta.request_id")), {"id": 1, "at": 7, "meta": {"request_id": "a", "x": 1}},
         {"id": 1, "at": 8, "meta": {"x": 1, "request_id": "b"}}),
        (Replay(ignore=("items.*.at",)), {"items": [{"n": 1, "at": 1}]}, {"items": [{"n": 1}]}),
        (Replay(ignore_case=True), {"name": "Ada", "in": ["X"]}, {"name": "ADA", "in": ["x"]}),
        (Replay(ignore_order=True), {"tags": ["a", {"b": [2, 1]}]}, {"tags": [{"b": [1, 2]}, "a"]}),
    ],
)  # fmt: skip
def test_calls_are_found_as_the_eval_says(replay: Replay, recorded_as: Any, asked: Any) -> None:
    cassette = Cassette(calls=(recorded("get", recorded_as, "it"),))
    player = Player(cassette, Divergence.FAIL, replay)
    assert player.answer("get", asked) == ToolAnswer("it")
    assert player.divergences == ()
    plain = Player(cassette, Divergence.FAIL)
    assert plain.answer("get", asked) != ToolAnswer("it")
    assert player.answer("get", {**asked, "more": 1}) != ToolAnswer("it")


def test_a_read_is_answered_as_of_the_changes_that_were_made() -> None:
    order, refund = {"id": 1}, {"id": 1, "all": True}
    calls = (
        recorded("get", order, "delivered"),
        recorded("refund", refund, "busy", failed=True),
        recorded("get", order, "still delivered"),
        recorded("refund", refund, "done"),
        recorded("get", order, "refunded"),
    )
    player = Player(Cassette(calls=calls), Divergence.FAIL, Replay(changes=("refund",)))

    def said(tool: str, arguments: dict[str, Any]) -> str:
        answer = player.answer(tool, arguments)
        assert answer is not None
        return answer.content

    reads = [said("get", order) for _ in range(3)]
    assert reads == ["delivered", "still delivered", "still delivered"]  # nothing was changed yet
    assert [said("refund", refund), said("get", order)] == ["busy", "still delivered"]
    assert [said("refund", refund), said("get", order)] == ["done", "refunded"]
    assert player.divergences == ()
    assert "does not hold" in said("refund", refund)  # nobody knows what a third one would have done
    assert len(player.divergences) == 1
