"""The screen of `outerloop review`, by its keys."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from textual.widgets import Input, Static

from outerloop.cli import came
from outerloop.cli.cases import Case, proof_of, run_of
from outerloop.cli.reviewing import Reviewing
from outerloop.contracts.v1.eval_pb2 import (
    REVIEW_ACCEPT,
    REVIEW_EDIT,
    REVIEW_MUTE,
    REVIEW_NOT_A_FAILURE,
    REVIEW_REJECT,
)
from outerloop.evals.expect.answer import Answered
from outerloop.evals.expect.tools import ToolCalled
from outerloop.evals.model import FORMAT, Eval, Provenance
from outerloop.runtime.errors import UserError
from outerloop.store.evals import EvalRecord, Reproduction, State
from samples import Call, run, trace

FAILED = Call("get_order", {"id": "1"}, "bad id", failed=True)
RUN = trace(run(1, "Please cancel my order [red]A-1[/red]", FAILED, answer="Sorry."))


def case(name: str) -> Case:
    at = datetime(2026, 11, 23, tzinfo=UTC)
    eval_ = Eval(
        format=FORMAT,
        id=name,
        agent="shop",
        mode_id="m",
        title=name,
        input={},
        expect=(ToolCalled(tool="get_order", arguments={"id": "A-1"}), Answered()),
        provenance=Provenance(drafted_by="rules", drafted_at=at, source_traces=(RUN.trace_id,)),
    )
    record = EvalRecord(
        eval_id=name,
        agent="shop",
        mode_id="m",
        title=f"{name} fails: bad [bold]id\x1b[2J",
        state=State.DRAFTED,
        eval_yaml=eval_.to_yaml(),
        cassette_jsonl="",
        content_sha256="c",
        failing_caught=3,
        failing=4,
        healthy_passed=9,
        healthy=9,
        reviewer="",
        at=at,
        span_id=RUN.tool_calls[0].span_id,
        similar=5,
        traffic=20,
        mutants_killed=6,
        mutants=7,
        survivors=("refusal: it refuses",),
        reproduction=Reproduction.REPRODUCED,
        base_commit="a" * 40,
        base_trials=6,
    )
    return Case(record, RUN)


class Sent:
    """What was said of which eval."""

    def __init__(self) -> None:
        self.verdicts: list[tuple[str, int, str, str, str]] = []

    async def __call__(
        self, record: EvalRecord, verdict: int, *, who: str, reason: str, eval_yaml: str = ""
    ) -> came.Sent:
        if reason == "refuse me":
            raise UserError("Kafka says no")
        self.verdicts.append((record.eval_id, verdict, who, reason, eval_yaml))
        return came.Sent(record, REVIEW_ACCEPT, who, reason, record.at)


def shown(app: Reviewing, where: str = "#case") -> str:
    return str(app.query_one(where, Static).render())


async def test_a_case_shows_all_that_a_verdict_needs() -> None:
    app = Reviewing([case("e1")], "ada", send=Sent())
    async with app.run_test(size=(120, 60)):
        text = shown(app)
    assert "e1 fails: bad [bold]id" in text  # data, and no markup
    assert "\x1b" not in text
    assert '▶ called    get_order({"id": "1"}) → FAILED bad id' in text
    assert "asked     Please cancel my order [red]A-1[/red]" in text
    assert '• calls get_order with id = "A-1"' in text
    assert "It fails on 3 of 4 recorded failures (recall 75%, precision 100%)." in text
    assert "It fails 6 of 7 healthy runs that were broken on purpose; it lets pass: refusal" in text
    assert "The release branch fails it: 0 of 6 trials of aaaaaaaaaaaa pass." in text
    assert "25% of the last 20 runs are on a request like this one." in text


async def test_one_key_accepts_and_the_next_case_comes() -> None:
    sent = Sent()
    app = Reviewing([case("e1"), case("e2")], "ada", send=sent)
    async with app.run_test() as pilot:
        await pilot.press("a")
        assert "e2 fails" in shown(app)
        await pilot.press("a")
    assert [v[:4] for v in sent.verdicts] == [
        ("e1", REVIEW_ACCEPT, "ada", ""),
        ("e2", REVIEW_ACCEPT, "ada", ""),
    ]
    assert [each.record.eval_id for each in app.sent] == ["e1", "e2"]
    assert len(app.done) == 2


@pytest.mark.parametrize(
    ("key", "verdict"), [("r", REVIEW_REJECT), ("n", REVIEW_NOT_A_FAILURE), ("m", REVIEW_MUTE)]
)
async def test_what_is_against_it_needs_a_reason(key: str, verdict: int) -> None:
    sent = Sent()
    app = Reviewing([case("e1"), case("e2")], "ada", send=sent)
    async with app.run_test() as pilot:
        await pilot.press(key, "enter")
        assert sent.verdicts == []
        assert "say why" in shown(app, "#said")
        await pilot.press(*"as a test", "enter")  # the letters are no verdicts now
        assert sent.verdicts == [("e1", verdict, "ada", "as a test", "")]
        await pilot.press(key, *"so", "escape", "a")
    assert sent.verdicts[1][:2] == ("e2", REVIEW_ACCEPT)


async def test_an_edit_goes_through_the_editor() -> None:
    sent, texts = Sent(), iter([None, "id: e1\n"])
    app = Reviewing([case("e1"), case("e2")], "ada", send=sent, editor=lambda _: next(texts))
    async with app.run_test() as pilot:
        await pilot.press("e")
        assert "nothing was changed" in shown(app, "#said")
        await pilot.press("e", *"so", "enter")
    assert sent.verdicts == [("e1", REVIEW_EDIT, "ada", "so", "id: e1\n")]


async def test_what_cannot_be_sent_is_told_and_the_case_stays() -> None:
    app = Reviewing([case("e1")], "ada", send=Sent())
    async with app.run_test() as pilot:
        await pilot.press("r", *"refuse me", "enter")
        assert "Kafka says no" in shown(app, "#said")
        assert "e1 fails" in shown(app)
        assert not app.query_one("#reason", Input).display
    assert app.done == []


async def test_cases_can_be_left_for_later() -> None:
    app = Reviewing([case("e1"), case("e2")], "ada", send=Sent())
    async with app.run_test() as pilot:
        await pilot.press("right")
        assert "e2 fails" in shown(app)
        await pilot.press("right", "left")
        assert "e2 fails" in shown(app)
        await pilot.press("q")
    assert app.done == []


def test_a_run_that_is_not_stored_any_more_is_said_so() -> None:
    (line,) = run_of(replace(case("e1"), failing=None))
    assert line.text == "the failing run is not stored any more"


def test_a_long_run_is_shown_around_what_went_wrong() -> None:
    calls = [Call("look", {"n": n}) for n in range(300)]
    long = trace(run(1, "Please", *calls, FAILED))
    about = replace(case("e1").record, span_id=long.tool_calls[-1].span_id)
    lines = run_of(Case(about, long))
    assert len(lines) < 50
    assert lines[1].text.endswith("of 301 steps are not shown")
    assert [line.wrong for line in lines].index(True) == len(lines) - 2


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"reproduction": Reproduction.NOT_REPRODUCED}, "NOT REPRODUCED"),
        ({"reproduction": Reproduction.UNASKED}, "was not run on it"),
        ({"mutants": 0, "traffic": 0}, "The release branch fails it"),
    ],
)
def test_the_proof_says_what_is_missing(change: dict[str, Any], sentence: str) -> None:
    assert sentence in " ".join(proof_of(replace(case("e1").record, **change)))
