"""The tools of a trial, asked by an agent that means no good."""

import json
from typing import Any

import pytest

from outerloop.evals.cassette import Player
from outerloop.evals.expect.tools import NoRepeatedCall, ToolCalled
from outerloop.evals.grade import grade
from outerloop.evals.model import Cassette, Divergence, RecordedCall, Replay
from outerloop.trial.toolstub import ToolStub
from samples import run, trace

HELD = Cassette(calls=(RecordedCall(tool="look", arguments={"id": "\ufffd"}, result="found"),))


def stub() -> ToolStub:
    replay = Replay(ignore_order=True, ignore_case=True)
    return ToolStub(player=Player(HELD, Divergence.NEAREST, replay), live=None)


@pytest.mark.parametrize("levels", [150, 480, 900])
async def test_arguments_without_end_are_an_error_of_the_call_and_of_nothing_else(levels: int) -> None:
    deep: Any = 1
    for _ in range(levels):
        deep = {"a": deep}
    tools = stub()
    answer = await tools.answer("look", {"a": deep})
    assert (answer.is_error, answer.content) == (True, "its arguments are nested too deep")
    (reached,) = tools.reached
    assert (reached.name, reached.arguments, reached.failed) == ("look", {}, True)
    told = grade([NoRepeatedCall(), ToolCalled(tool="look")], trace(run(1, "hi")), tools.reached)
    assert not told.passed


async def test_half_a_surrogate_pair_is_no_text_anywhere() -> None:
    tools = stub()
    answer = await tools.answer("look", json.loads('{"id": "\\ud800"}'))
    assert answer.content == "found"
    await tools.answer("\ud800", {})
    for call in tools.reached:
        (call.name + json.dumps(call.arguments, ensure_ascii=False)).encode()
