"""Which of a session's steps stand, and what a long conversation keeps."""

import copy
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from outerloop.propose.compaction import KEPT_TURNS, compact
from outerloop.propose.memory import next_epoch, repeated, standing
from outerloop.store.sessions import StepRecord, StepState

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DONE, ANSWERED, ASKED = StepState.DONE, StepState.ANSWERED, StepState.ASKED


def row(step: int, epoch: int, state: StepState = DONE) -> StepRecord:
    return StepRecord(
        agent="a",
        change_id="c",
        session_id="s",
        step=step,
        epoch=epoch,
        state=state,
        stop_reason="",
        content="[]",
        results="[]",
        input_tokens=1,
        output_tokens=1,
        cache_read_tokens=0,
        cache_write_tokens=0,
        usd=0.1,
        seconds=1,
        at=NOW,
    )


@pytest.mark.parametrize(
    ("rows", "expected", "twice"),
    [
        ([], [], 0),
        ([row(1, 1), row(2, 1), row(3, 1, ASKED)], [(1, 1), (2, 1)], 0),
        ([row(1, 1), row(2, 1, ANSWERED)], [(1, 1), (2, 1)], 0),
        # Taken up after the second step: whose call was lost counts for nothing.
        ([row(1, 1), row(2, 1, ASKED), row(2, 2), row(3, 2)], [(1, 1), (2, 2), (3, 2)], 0),
        # The first one lived on for two steps after the second one had taken it up.
        (
            [row(1, 1), row(2, 1), row(3, 1), row(4, 1), row(3, 2)],
            [(1, 1), (2, 1), (3, 2)],
            1,
        ),
        # A third one builds on the second one's third step.
        (
            [row(1, 1), row(2, 1), row(3, 1), row(3, 2), row(4, 2), row(4, 3, ANSWERED)],
            [(1, 1), (2, 1), (3, 2), (4, 3)],
            2,
        ),
        # A gap: what comes after it was built on what is not there.
        ([row(1, 1), row(3, 1)], [(1, 1)], 0),
        ([row(1, 1, ANSWERED), row(2, 1)], [(1, 1)], 0),
    ],
)
def test_the_steps_that_stand(rows: list[StepRecord], expected: list[tuple[int, int]], twice: int) -> None:
    assert [(step.step, step.epoch) for step in standing(rows)] == expected
    assert repeated(rows) == twice


def test_who_takes_a_session_up_is_later_than_all_before_also_than_one_whose_clock_is_ahead() -> None:
    ahead = time.time_ns() + 3_600 * 10**9
    rows = [row(1, ahead), row(2, ahead, ASKED)]
    assert next_epoch([]) >= time.time_ns() - 10**9
    rows += [row(2, next_epoch(rows))]
    assert [each.step for each in standing(rows)] == [1, 2]


def turn(
    number: int, name: str, result: str, *, is_error: bool = False, **given: Any
) -> list[dict[str, Any]]:
    identifier = f"toolu_{number}"
    call = {"type": "tool_use", "id": identifier, "name": name, "input": given}
    answer = {"type": "tool_result", "tool_use_id": identifier, "content": result, "is_error": is_error}
    said = {"type": "text", "text": f"Thought {number}: " + "x" * 500}
    return [{"role": "assistant", "content": [said, call]}, {"role": "user", "content": [answer]}]


LONG = "A line of the file.\n" * 300


def conversation() -> list[dict[str, Any]]:
    return [
        {"role": "user", "content": [{"type": "text", "text": "# Task\n" + LONG}]},
        *turn(1, "read_file", LONG, path="prompts/policy.md"),
        *turn(
            2,
            "edit_file",
            "edited prompts/policy.md: line 3",
            path="prompts/policy.md",
            old="a" * 900,
            new="b",
        ),
        *turn(3, "edit_file", "old does not occur: " + LONG, is_error=True, path="x", old="a", new="b"),
        *turn(4, "run_tests", "FAILED\nfirst run " + LONG),
        *turn(5, "search", LONG, pattern="kind"),
        *turn(6, "run_tests", "FAILED\nsecond run " + LONG),
        *turn(7, "read_file", LONG, path="prompts/other.md"),
        *turn(8, "read_file", LONG, path="tools/a.yaml"),
        *turn(9, "list_files", LONG),
    ]


def result(messages: list[dict[str, Any]], number: int) -> str:
    return str(messages[2 * number]["content"][0]["content"])


def test_compaction_keeps_what_later_steps_need() -> None:
    messages = conversation()
    before = copy.deepcopy(messages)
    saved = compact(messages, 10**9)
    assert saved > 1_000
    changed = [i for i, (old, new) in enumerate(zip(before, messages, strict=True)) if old != new]
    # A read, a search and a run of tests that a later one supersedes: nothing else.
    assert changed == [2, 8, 10]
    assert result(messages, 1) == (
        "[left out to save room: the 6000 characters that read_file(path='prompts/policy.md') gave;"
        " call it again to see them]"
    )
    assert "second run" in result(messages, 6)
    assert len(messages) == len(before)
    assert messages[-2 * KEPT_TURNS :] == before[-2 * KEPT_TURNS :]


def test_compaction_keeps_the_last_verdict_of_each_kind_of_run() -> None:
    first, rest = conversation()[:1], conversation()[1:]
    runs = [
        *turn(11, "run_eval", "FAILED: the first " + LONG),
        *turn(12, "run_eval", "FAILED: the second " + LONG, trace_id=""),
        *turn(13, "run_eval", "it ended well, otherwise " + LONG, trace_id="abc"),
        *turn(14, "run_eval", "the run did not happen " + LONG, is_error=True),
    ]
    messages = [*first, *runs, *rest]
    compact(messages, 10**9)
    assert ["left out" in result(messages, number) for number in (1, 2, 3, 4)] == [True, False, False, False]


def test_compaction_is_by_delta_and_the_oldest_go_first() -> None:
    messages = conversation()
    compact(messages, 1_000)
    once = copy.deepcopy(messages)
    assert "left out" in result(messages, 1)
    assert "left out" not in result(messages, 4)
    compact(messages, 10**9)
    assert result(messages, 1) == result(once, 1)  # it stays as it was left out
    again = copy.deepcopy(messages)
    assert compact(messages, 10**9) == 0
    assert messages == again


def test_nothing_is_changed_in_place() -> None:
    messages = conversation()
    kept = list(messages)
    before = copy.deepcopy(messages)
    compact(messages, 10**9)
    assert kept == before
