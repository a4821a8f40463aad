"""Sessions of the real anthropic SDK with the scripted Messages API, over a real working tree."""

import contextlib
import json
import re
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anthropic
import pytest

from outerloop.dev.messages_api import Dice, Fault, MessagesApi, Reply, serving
from outerloop.evals.expect.answer import Answered
from outerloop.evals.model import Eval, Provenance
from outerloop.propose import prompts
from outerloop.propose.context import Evidence
from outerloop.propose.provider import Claude, Provider, provider_of
from outerloop.propose.purse import Purse
from outerloop.propose.record import Ended, GaveUp, Limits, Past, Proposed, Step
from outerloop.propose.session import Session
from outerloop.propose.settings import ProposeSettings
from outerloop.propose.tools import CheckRun, EvalRun, Toolbox
from outerloop.propose.workspace import Workspace
from outerloop.runtime.errors import OutageError, TrialNotRunError, UserError
from outerloop.runtime.prices import Usage, price_of
from outerloop.trace.model import Trace
from outerloop.trace.signal import Signal
from samples import Call, run, trace

MODEL = "claude-sonnet-5-5"
PRICE = price_of(MODEL)
FINISH = {"diagnosis": "d", "cause": "c", "risk": "r", "confidence": 0.8}
EDIT = {"path": "prompts/policy.md", "old": "Be kind.", "new": "Be exact."}

Turn = list[dict[str, Any]]


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said}


def use(name: str, **arguments: Any) -> dict[str, Any]:
    return {"type": "tool_use", "name": name, "input": arguments}


async def passing() -> CheckRun:
    return CheckRun(passed=True, output="3 passed")


class Bench:
    """A session against a model that says `turns`, one after the other, and then the last for ever."""

    def __init__(self, root: Path, *turns: Turn) -> None:
        (root / "prompts").mkdir(parents=True)
        (root / "prompts/policy.md").write_text("# Policy\n\nBe kind.\n")
        self.workspace = Workspace(root, ["prompts/**"])
        self.turns = list(turns)
        self.requests: list[dict[str, Any]] = []
        self.told: list[Step] = []
        self.steps: list[Step] = []  # each as it was told last
        self.limits = Limits(usd=5.0)
        self.model = MODEL
        self.run_tests: Callable[[], Any] | None = passing
        self.fault: Fault | None = None
        self.toolbox: Toolbox | None = None

    def reply(self, request: dict[str, Any], dice: Dice) -> Reply:
        self.requests.append(request)
        return {"content": self.turns[min(len(self.requests), len(self.turns)) - 1]}

    async def on_steps(self, steps: Sequence[Step]) -> None:
        for step in steps:
            self.told.append(step)
            if step.content is not None:
                self.steps[step.number - 1 :] = [step]

    async def run(self) -> Proposed | GaveUp:
        async with serving(self.reply) as api, self.session(api) as session:
            if self.fault:
                api.inject(self.fault)
            return await session.run("# Task\n\nRepair it.")

    @asynccontextmanager
    async def session(self, api: MessagesApi) -> AsyncIterator[Session]:
        async with anthropic.AsyncAnthropic(
            base_url=api.url, api_key="k", max_retries=0, timeout=2
        ) as client:
            yield self.of(Claude(client))

    def of(self, provider: Provider) -> Session:
        """A session with whoever plays the model."""
        return Session(
            provider=provider,
            model=self.model,
            price=PRICE,
            system=prompts.load("system.md"),
            toolbox=self.toolbox or Toolbox(self.workspace, self.run_tests),
            on_steps=self.on_steps,
            limits=self.limits,
        )

    def results(self, step: int) -> list[tuple[str, bool]]:
        return [(block["content"], block["is_error"]) for block in self.steps[step].reply or ()]


async def test_a_session_looks_edits_tests_and_finishes(tmp_path: Path) -> None:
    bench = Bench(
        tmp_path / "tree",
        [text("Let me look."), use("list_files"), use("search", pattern="kind")],
        [use("read_file", path="prompts/policy.md")],
        [use("edit_file", **EDIT)],
        [use("run_tests")],
        [use("finish", **FINISH)],
    )
    outcome = await bench.run()
    assert isinstance(outcome, Proposed)
    assert (outcome.diagnosis, outcome.cause, outcome.risk) == ("d", "c", "r")
    assert bench.workspace.changed == ("prompts/policy.md",)
    assert (tmp_path / "tree/prompts/policy.md").read_text() == "# Policy\n\nBe exact.\n"
    assert bench.results(0) == [
        ("prompts/policy.md (19 bytes, may be changed)", False),
        ("prompts/policy.md:3: Be kind.", False),
    ]
    assert bench.results(1) == [("# Policy\n\nBe kind.\n", False)]
    assert bench.results(2) == [("edited prompts/policy.md: line 3", False)]
    assert bench.results(3) == [("passed\n3 passed", False)]
    assert bench.results(4) == [("accepted", False)]


async def test_steps_tell_all_of_it(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "tree", [use("edit_file", **EDIT)], [use("finish", **FINISH)])
    outcome = await bench.run()
    assert [step.number for step in bench.steps] == [1, 2]
    assert [step.stop_reason for step in bench.steps] == ["tool_use", "tool_use"]
    assert outcome.steps == 2
    assert outcome.usage == sum((step.usage for step in bench.steps), Usage())
    assert outcome.usage.input > 0
    assert outcome.usd == pytest.approx(sum(step.usd for step in bench.steps))
    assert all(step.seconds > 0 for step in bench.steps)
    # With the first message, the steps make up the conversation.
    first, model, ours = bench.requests[1]["messages"]
    assert first["content"][0]["text"] == "# Task\n\nRepair it."
    assert [block["name"] for block in bench.steps[0].content or ()] == ["edit_file"]
    assert model["content"][0]["id"] == (bench.steps[0].content or [])[0]["id"]
    assert ours["content"][0]["tool_use_id"] == model["content"][0]["id"]


async def test_a_step_is_told_when_it_is_paid_for_although_its_tools_never_end_it(tmp_path: Path) -> None:
    async def run_tests() -> CheckRun:
        raise OutageError("the sandbox is away")

    bench = Bench(tmp_path / "tree", [use("run_tests")])
    bench.run_tests = run_tests
    with pytest.raises(OutageError):
        await bench.run()
    asked, step = bench.told
    assert (asked.content, asked.usd > step.usd) == (None, True)
    assert step.usd > 0
    assert step.reply is None


async def test_a_full_context_ends_the_session(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "tree", [use("read_file", path="prompts/long.md")] * 9)
    (tmp_path / "tree/prompts/long.md").write_text("A rule of the house.\n" * 1_000)
    bench.limits = Limits(usd=50.0, tokens=10_000_000, context=10_000_000)  # nothing is left out
    outcome = await bench.run()
    assert isinstance(outcome, GaveUp)
    assert (outcome.ended, outcome.steps > 1) == (Ended.PROVIDER, True)
    assert "prompt is too long" in outcome.reason


async def test_content_that_the_provider_blocks_ends_the_session_also_at_its_first_call(
    tmp_path: Path,
) -> None:
    bench = Bench(tmp_path / "tree", [use("list_files")])
    bench.fault = Fault(kind="blocked")
    outcome = await bench.run()
    assert isinstance(outcome, GaveUp)
    assert (outcome.ended, outcome.usd) == (Ended.PROVIDER, 0)
    assert "content filtering" in outcome.reason
    assert bench.told[-1].usd == 0


async def test_the_results_of_one_turn_leave_room_for_others(tmp_path: Path) -> None:
    reads = [use("read_file", path="prompts/long.md")] * 60
    bench = Bench(tmp_path / "tree", reads, [use("give_up", reason="no")])
    (tmp_path / "tree/prompts/long.md").write_text("A rule of the house.\n" * 1_000)
    outcome = await bench.run()
    assert isinstance(outcome, GaveUp)
    assert outcome.ended is Ended.MODEL
    results = bench.results(0)
    assert sum(len(said) for said, _ in results) < 170_000
    assert (results[0][1], results[-1][1]) == (False, True)
    assert "make this call again" in results[-1][0]


async def test_what_is_sent_again_is_marked_for_the_cache(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "tree", [use("list_files")], [use("list_files")], [use("give_up", reason="no")])
    await bench.run()
    last = bench.requests[-1]
    assert last["system"][-1]["cache_control"] == {"type": "ephemeral"}
    marked = [i for i, m in enumerate(last["messages"]) if "cache_control" in m["content"][-1]]
    assert marked == [2, 4]
    assert all(request["tools"] == last["tools"] for request in bench.requests)


async def test_most_of_a_long_session_is_read_from_the_cache(tmp_path: Path) -> None:
    bench = long_work(tmp_path / "tree")
    bench.limits = Limits(usd=50.0)  # nothing is left out on the way
    ended = await bench.run()
    sent = ended.usage.total - ended.usage.output
    assert ended.usage.cache_read / sent > 0.6
    assert ended.usage.input / sent < 0.1
    # What a turn adds is written, and what was there is read: nothing is written twice.
    last = bench.steps[-1].usage
    assert ended.usage.cache_write <= last.total


class Killed(BaseException):
    """What ends a session in the middle."""


def long_work(root: Path) -> Bench:
    """A session that reads a lot, edits twice, tests, and finishes; its context has room for a few reads."""
    bench = Bench(
        root,
        [use("read_file", path="prompts/long.md")],
        [use("edit_file", **EDIT)],
        *[[use("read_file", path="prompts/long.md")] for _ in range(4)],
        [use("edit_file", path="prompts/policy.md", old="# Policy", new="# The policy")],
        [use("run_tests")],
        [use("read_file", path="prompts/policy.md"), use("read_file", path="../secret")],
        [use("finish", **FINISH)],
    )
    (root / "prompts/long.md").write_text("A rule of the house.\n" * 500)
    bench.limits = Limits(usd=50.0, context=16_000)
    return bench


def same(one: Any, other: Any) -> bool:
    """Whether two requests are the same but for the ids that the API drew."""
    ids = re.compile(r"toolu_\w+")
    return ids.sub("toolu", json.dumps(one)) == ids.sub("toolu", json.dumps(other))


@pytest.mark.parametrize("after", [1, 2, 3, 4, 9, 14, 15, 19])
async def test_a_session_goes_on_from_wherever_it_was_killed(tmp_path: Path, after: int) -> None:
    whole = long_work(tmp_path / "whole")
    assert isinstance(expected := await whole.run(), Proposed)
    assert any("left out to save room" in json.dumps(request) for request in whole.requests)
    first = long_work(tmp_path / "first")
    stored: dict[int, Step] = {}

    async def store(steps: Sequence[Step]) -> None:
        if len(first.told) >= after:
            raise Killed
        first.told.append(steps[0])
        stored.update({step.number: step for step in steps if step.content is not None})

    first.on_steps = store  # type: ignore[method-assign]
    with contextlib.suppress(Killed):
        await first.run()
    second = long_work(tmp_path / "second")
    second.requests = list(first.requests) if stored.keys() >= {len(first.requests)} else first.requests[:-1]
    async with serving(second.reply) as api, second.session(api) as session:
        past = Past([stored[n] for n in sorted(stored)], sum(step.usd for step in stored.values()))
        ended = await session.run("# Task\n\nRepair it.", past)
    assert isinstance(ended, Proposed)
    # Nothing was asked twice, and what was asked is what an undisturbed session asks.
    assert len(second.requests) == len(whole.requests)
    assert all(same(one, other) for one, other in zip(second.requests, whole.requests, strict=True))
    # (Another server has another cache, so what is read from it differs, and with it the price.)
    assert (ended.steps, ended.usage.total) == (expected.steps, expected.usage.total)
    assert ended.usd == pytest.approx(PRICE.usd(ended.usage))
    for name in ("policy.md", "long.md"):
        read = [(bench.workspace.root / "prompts" / name).read_text() for bench in (second, whole)]
        assert read[0] == read[1]


def refusing(bench: Bench) -> Callable[[dict[str, Any], Dice], Reply]:
    def reply(request: dict[str, Any], dice: Dice) -> Reply:
        said = bench.reply(request, dice)
        return {**said, "stop_reason": "refusal"} if len(bench.requests) > 1 else said

    return reply


@pytest.mark.parametrize("refused", [False, True], ids=["silence", "a refusal"])
async def test_a_session_that_ended_has_ended_also_when_it_was_killed_before_that_was_stored(
    tmp_path: Path, *, refused: bool
) -> None:
    first, again = (
        Bench(tmp_path / name, [use("list_files")], [text("Hm.")], [text("Hm.")]) for name in ("one", "two")
    )
    async with serving(refusing(first) if refused else first.reply) as api, first.session(api) as session:
        ended = await session.run("# Task")
    assert isinstance(ended, GaveUp)
    assert ended.ended is (Ended.PROVIDER if refused else Ended.SILENCE)
    past = Past(tuple(first.steps), sum(step.usd for step in first.steps))
    async with serving(again.reply) as api, again.session(api) as session:
        assert await session.run("# Task", past) == ended
    assert again.requests == []


def done(number: int, name: str, result: str, **given: Any) -> Step:
    """A step that an earlier release has made."""
    call = {"type": "tool_use", "id": f"toolu_{number}", "name": name, "input": given}
    reply = {"type": "tool_result", "tool_use_id": call["id"], "content": result, "is_error": False}
    return Step(number=number, epoch=1, content=[call], stop_reason="tool_use", reply=[reply], usd=0.01)


async def test_a_session_of_a_release_with_other_tools_goes_on(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "tree", [use("finish", **FINISH)])
    past = [
        done(1, "grep", "prompts/policy.md:3", regex="k.nd"),
        done(2, "read_file", "Be kind.", path="prompts/policy.md", tail=3),
        done(3, "edit_file", "edited", **EDIT),
    ]
    async with serving(bench.reply) as api, bench.session(api) as session:
        ended = await session.run("# Task", Past(past, 0.03))
    assert isinstance(ended, Proposed)
    assert bench.workspace.changed == ("prompts/policy.md",)


@pytest.mark.parametrize("given", [EDIT | {"old": "Be mean."}, EDIT | {"count": 2}])
async def test_a_session_whose_edits_do_not_fit_any_more_has_ended(
    tmp_path: Path, given: dict[str, Any]
) -> None:
    bench = Bench(tmp_path / "tree", [use("finish", **FINISH)])
    past = [done(1, "edit_file", "edited", **given), done(2, "finish", "accepted", **FINISH)]
    async with serving(bench.reply) as api, bench.session(api) as session:
        ended = await session.run("# Task", Past(past, 0.02))
    assert isinstance(ended, GaveUp)
    assert (ended.ended, ended.usd, bench.requests) == (Ended.LOST, 0.02, [])
    assert ended.reason.startswith("step 1 of it cannot be made again: ")


async def test_what_its_tools_came_to_is_kept_when_nobody_knows_whether_it_may_go_on(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "tree", [use("run_tests")])

    async def away() -> str:
        if bench.requests:
            raise OutageError("Kafka is away")
        return ""

    async with serving(bench.reply) as api, bench.session(api) as session:
        with pytest.raises(OutageError, match="Kafka"):
            await replace(session, hindrance=away).run("# Task")
    assert len(bench.requests) == 1
    assert bench.results(0) == [("passed\n3 passed", False)]


async def test_a_session_that_is_hindered_waits_and_makes_no_call(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "tree", [use("list_files")])

    async def paused() -> str:
        return "paused by a person"

    async with serving(bench.reply) as api, bench.session(api) as session:
        ended = await replace(session, hindrance=paused).run("# Task")
    assert isinstance(ended, GaveUp)
    assert (ended.ended, ended.reason, bench.requests) == (Ended.SUSPENDED, "paused by a person", [])


async def test_a_call_that_was_lost_counts_as_the_dearest_it_could_have_been(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "tree", [use("give_up", reason="no")])
    async with serving(bench.reply) as api, bench.session(api) as session:
        ended = await session.run("# Task", Past((), 0.4))
    assert 0.4 < ended.usd < 0.5
    bench.limits = Limits(usd=0.5)
    async with serving(bench.reply) as api, bench.session(api) as session:
        ended = await session.run("# Task", Past((), 0.4))
    assert isinstance(ended, GaveUp)
    assert ended.ended is Ended.BUDGET


async def test_giving_up_is_an_outcome(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "tree", [use("give_up", reason="The tool itself is broken.")])
    outcome = await bench.run()
    assert isinstance(outcome, GaveUp)
    assert (outcome.reason, outcome.ended, outcome.steps) == ("The tool itself is broken.", Ended.MODEL, 1)


@pytest.mark.parametrize(
    ("call", "answer"),
    [
        (use("read_file"), "malformed call of read_file: path: Field required."),
        (use("read_file", path="prompts/policy.md", line=3), "line: Extra inputs are not permitted"),
        (use("read_file", path=["a"]), "It takes: path, start_line (optional)"),
        (use("read_file", path="../secret"), "must not have '.', '..'"),
        (use("edit_file", **{**EDIT, "old": "Be cruel."}), "old does not occur in 'prompts/policy.md'"),
        (use("edit_file", path="agent.py", old="a", new="b"), "may not be changed"),
        (use("finish", **FINISH), "no file is changed"),
        (
            use("finish", **{**FINISH, "confidence": 80}),
            "confidence: Input should be less than or equal to 1",
        ),
    ],
)
async def test_a_call_that_cannot_be_done_is_answered_so_that_it_can_be_corrected(
    tmp_path: Path, call: dict[str, Any], answer: str
) -> None:
    bench = Bench(tmp_path / "tree", [call], [use("edit_file", **EDIT)], [use("finish", **FINISH)])
    assert isinstance(await bench.run(), Proposed)
    ((said, is_error),) = bench.results(0)
    assert is_error
    assert answer in said


async def test_finish_must_have_seen_that_the_other_calls_worked(tmp_path: Path) -> None:
    bad = use("edit_file", **{**EDIT, "old": "Be cruel."})
    bench = Bench(
        tmp_path / "tree",
        [use("edit_file", **EDIT), bad, use("finish", **FINISH)],
        [use("finish", **FINISH), use("list_files")],
        [use("list_files"), use("finish", **FINISH)],
    )
    assert isinstance(await bench.run(), Proposed)
    assert [is_error for _, is_error in bench.results(0)] == [False, True, True]
    assert [is_error for _, is_error in bench.results(1)] == [True, False]
    assert "call finish alone" in bench.results(1)[0][0]


async def test_tests_that_fail_or_do_not_run_are_for_the_model_to_judge(tmp_path: Path) -> None:
    runs = iter([CheckRun(passed=False, output="x" * 100_000 + "1 failed"), None])

    async def run_tests() -> CheckRun:
        if run := next(runs):
            return run
        raise TrialNotRunError("no answer within 60 s")

    bench = Bench(tmp_path / "tree", [use("run_tests")], [use("run_tests")], [use("give_up", reason="no")])
    bench.run_tests = run_tests
    await bench.run()
    ((failed, _),) = bench.results(0)
    assert failed.startswith("FAILED\n[")
    assert failed.endswith("1 failed")
    assert len(failed) < 20_000
    assert bench.results(1) == [("the tests did not run: no answer within 60 s", True)]


RUN = trace(run(7, "Where is order 1007?", Call("get_order", {"order_id": "1007"}, "unknown", failed=True)))
EVIDENCE = Evidence(
    title="t",
    signals=tuple(Signal("tool_error", f"tool_{n}", "x" * 700, "") for n in range(60)),
    eval=Eval(
        id="e",
        agent="helpdesk",
        mode_id="m",
        title="t",
        input={},
        expect=(Answered(),),
        provenance=Provenance(
            drafted_by="d", drafted_at=datetime(2026, 1, 1, tzinfo=UTC), source_traces=("t",)
        ),
    ),
    expectations=("ends with an answer",),
    failing=RUN,
    healthy=None,
    files={},
)


async def test_more_of_the_evidence_can_be_asked_for(tmp_path: Path) -> None:
    bench = Bench(
        tmp_path / "tree",
        [use("look_at_trace", trace_id=RUN.trace_id), use("look_at_trace", trace_id="../etc/passwd")],
        [
            use("look_at_trace", trace_id=RUN.trace_id, start_line=99),
            use("show_more", part="signals", start=5),
        ],
        [use("show_more", part="signals", start=99), use("show_more", part="held-out variants")],
        [use("give_up", reason="no")],
    )
    bench.toolbox = Toolbox(bench.workspace, None, evidence=EVIDENCE)
    await bench.run()
    (seen, _), (unknown, refused) = bench.results(0)
    assert seen.startswith(f'<data provenance="trace {RUN.trace_id}">\n{{"request": "Where is order 1007?"}}')
    assert (refused, unknown) == (True, f"no such run: the task names {RUN.trace_id}")
    assert bench.results(1)[0] == ("the run has fewer than 99 lines", True)
    more = bench.results(1)[1][0].splitlines()
    assert more[0].startswith("- tool_error tool_4: ")
    assert re.fullmatch(r"\[\d+ more: start \d+ goes on\]", more[-1])
    assert bench.results(2)[0] == ("signals has 60 items", True)
    assert "Input should be 'signals', 'expectations'" in bench.results(2)[1][0]


async def test_the_eval_can_be_run_and_what_that_costs_is_the_sessions(tmp_path: Path) -> None:
    failing = EvalRun(passed=False, reasons=("expected a call of get_order",), trace=RUN)
    runs = iter([(0.25, failing), (0.125, None), (0.5, EvalRun(passed=True, reasons=(), trace=None))])

    async def run_eval(purse: Purse, on: Trace | None = None) -> EvalRun:
        usd, made = next(runs)
        assert await purse.begin(0.75)
        # What it can cost is on record before it is made, with the model's answer that asked for it.
        assert bench.told[-1].reply is None
        assert bench.told[-1].usd > 0.75
        purse.end(0.75, usd)
        if made:
            return made
        raise TrialNotRunError("the model is away")

    bench = Bench(tmp_path / "tree", *[[use("run_eval")]] * 3, [use("give_up", reason="no")])
    bench.toolbox = Toolbox(bench.workspace, None, run_eval=run_eval)
    ended = await bench.run()
    failed, away, passed = (bench.results(step)[0] for step in range(3))
    assert failed[0].startswith("FAILED: expected a call of get_order\n<data provenance=")
    assert away == ("the run did not happen: the model is away", True)
    assert passed == ("passed\nno trace came", False)
    assert 0.875 < ended.usd < 0.975
    assert ended.usd == pytest.approx(sum(step.usd for step in bench.steps))


async def test_a_recorded_run_can_be_made_again_and_what_differs_now_is_said(tmp_path: Path) -> None:
    now = trace(run(8, "Where is order 1007?", Call("get_order", {"order_id": "A-1007"}, "shipped")))
    made = iter(
        [
            EvalRun(passed=True, reasons=(), trace=RUN),
            EvalRun(passed=True, reasons=(), trace=now),
            EvalRun(passed=False, reasons=("no trace came",), trace=None),
        ]
    )
    asked: list[Trace | None] = []

    async def run_eval(_: Purse, on: Trace | None = None) -> EvalRun:
        asked.append(on)
        return next(made)

    again = [use("run_eval", trace_id=RUN.trace_id)]
    bench = Bench(
        tmp_path / "tree", *[again] * 3, [use("run_eval", trace_id="f" * 32)], [use("give_up", reason="no")]
    )
    bench.toolbox = Toolbox(bench.workspace, None, evidence=EVIDENCE, run_eval=run_eval)
    await bench.run()
    same, otherwise, failed, unknown = (bench.results(step)[0] for step in range(4))
    assert same[0].startswith("it ended well. Both make 1 tool calls, which are alike.\n<data provenance=")
    assert (
        "Their first 0 tool calls are alike. Then the recorded run (span 0000000000000002) calls"
        in otherwise[0]
    )
    assert "the new one calls get_order with" in otherwise[0]
    assert failed == ("FAILED: no trace came\nno trace came", False)
    assert unknown == (f"no such run: the task names {RUN.trace_id}", True)
    assert asked == [RUN] * 3


async def test_a_run_that_could_pass_the_sessions_budget_is_not_paid_for(tmp_path: Path) -> None:
    made: list[float] = []

    async def run_eval(purse: Purse, on: Trace | None = None) -> EvalRun:
        if not await purse.begin(1.0):
            raise TrialNotRunError("there was no money left for a call of its model")
        made.append(1.0)
        purse.end(1.0, 1.0)
        return EvalRun(passed=False, reasons=("no",), trace=None)

    bench = Bench(tmp_path / "tree", *[[use("run_eval"), use("run_eval")]] * 3, [use("give_up", reason="no")])
    bench.limits = Limits(usd=3.5)
    bench.toolbox = Toolbox(bench.workspace, None, run_eval=run_eval)
    ended = await bench.run()
    assert isinstance(ended, GaveUp)
    assert made == [1.0] * 3
    assert 3 < ended.usd <= 3.5
    assert bench.results(1)[1] == (
        "the run did not happen: there was no money left for a call of its model",
        True,
    )


async def test_without_a_test_command_there_is_no_such_tool(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "tree", [use("give_up", reason="no")])
    bench.run_tests = None
    await bench.run()
    assert "run_tests" not in [tool["name"] for tool in bench.requests[0]["tools"]]


async def test_a_model_that_only_talks_is_nudged_once(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "tree", [text("I would edit the policy.")], [text("Really.")])
    outcome = await bench.run()
    assert isinstance(outcome, GaveUp)
    assert (outcome.ended, outcome.steps) == (Ended.SILENCE, 2)
    assert "only by calling tools" in bench.requests[1]["messages"][-1]["content"][0]["text"]


async def test_a_model_that_says_nothing_is_nudged_too(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "tree", [use("list_files")], [], [use("give_up", reason="no")])
    outcome = await bench.run()
    assert isinstance(outcome, GaveUp)
    assert outcome.ended is Ended.MODEL


async def test_a_call_cut_at_the_limit_of_an_answer_is_not_made(tmp_path: Path) -> None:
    long = use("edit_file", **{**EDIT, "new": "x" * 2_000})
    bench = Bench(tmp_path / "tree", [use("list_files"), long], [use("give_up", reason="no")])
    bench.limits = Limits(usd=5.0, max_tokens=100)
    await bench.run()
    assert [is_error for _, is_error in bench.results(0)] == [False, True]
    assert "cut off" in bench.results(0)[1][0]
    assert bench.workspace.changed == ()


async def test_the_step_limit(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "tree", [use("list_files")])
    bench.limits = Limits(usd=5.0, steps=3)
    outcome = await bench.run()
    assert isinstance(outcome, GaveUp)
    assert (outcome.ended, outcome.steps, len(bench.requests)) == (Ended.STEPS, 3, 3)


@pytest.mark.parametrize("limits", [Limits(usd=0.01), Limits(usd=5.0, tokens=10_000)])
async def test_a_call_that_could_pass_the_budget_is_not_made(tmp_path: Path, limits: Limits) -> None:
    bench = Bench(tmp_path / "tree", [use("list_files")])
    bench.limits = limits
    outcome = await bench.run()
    assert isinstance(outcome, GaveUp)
    assert (outcome.ended, outcome.steps, outcome.usd) == (Ended.BUDGET, 0, 0.0)
    assert bench.requests == []


async def test_a_session_ends_before_it_passes_its_budget(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "tree", [use("list_files")])
    bench.limits = Limits(usd=0.06, max_tokens=1_000, steps=1_000)
    outcome = await bench.run()
    assert isinstance(outcome, GaveUp)
    assert outcome.ended is Ended.BUDGET
    assert outcome.steps > 3
    assert 0.02 < outcome.usd <= 0.06


@pytest.mark.parametrize("kind", ["unpaid", "429", "500", "529", "hang"])
async def test_a_provider_that_is_away_is_an_outage(tmp_path: Path, kind: Any) -> None:
    bench = Bench(tmp_path / "tree", [use("list_files")])
    bench.fault = Fault(kind=kind, seconds=30)
    with pytest.raises(OutageError, match="the model provider is away"):
        await bench.run()
    assert bench.steps == []


async def test_no_provider_at_all_is_an_outage(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "tree", [use("list_files")])
    async with serving(bench.reply) as api:
        pass
    async with bench.session(api) as session:
        with pytest.raises(OutageError):
            await session.run("# Task")
    assert bench.told[-1].usd == 0  # it was never reached: hours of that must not use up a budget


async def test_a_malformed_request_is_a_bug_that_says_where(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "tree", [use("list_files")])
    bench.limits = Limits(usd=5.0, max_tokens=-1)
    with pytest.raises(anthropic.BadRequestError) as caught:
        await bench.run()
    assert caught.value.__notes__[0] == "step 1"
    assert bench.told[-1].usd == 0


async def test_an_unknown_model_is_the_settings_fault(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="OUTERLOOP_PROPOSE_MODEL: no price is known for the model 'gpt'"):
        price_of("gpt")
    bench = Bench(tmp_path / "tree", [use("list_files")])
    bench.model = "claude-unknown-9"
    with pytest.raises(UserError, match="OUTERLOOP_PROPOSE_MODEL"):
        await bench.run()
    assert bench.told[-1].usd == 0


@pytest.mark.parametrize(
    "model",
    [
        "eu.anthropic.claude-sonnet-5-5-20260901-v1:0",
        "anthropic.claude-sonnet-5-5",
        "claude-sonnet-5-5@20260901",
    ],
)
def test_a_clouds_name_for_a_model_has_the_models_price(model: str) -> None:
    assert price_of(model) == PRICE


@pytest.mark.parametrize("model", ["claude-sonnet-99", "x/claude-sonnet-5-5", "claude-sonnet-5-5-turbo"])
def test_a_model_that_is_another_has_no_price(model: str) -> None:
    with pytest.raises(UserError, match="no price is known"):
        price_of(model)


@pytest.mark.parametrize(("cloud", "module"), [("bedrock", "botocore"), ("vertex", "google.auth")])
def test_a_cloud_whose_part_of_the_sdk_is_missing_is_said_at_the_start(
    monkeypatch: pytest.MonkeyPatch, cloud: Any, module: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)  # as if it were not installed
    with pytest.raises(
        UserError, match=rf"OUTERLOOP_PROPOSE_PROVIDER: {cloud}: install anthropic\[{cloud}\]"
    ):
        provider_of(ProposeSettings(propose_provider=cloud))


def test_prices_are_by_the_million_and_the_dearest_input_bounds_a_call() -> None:
    assert PRICE.usd(Usage(1_000_000, 0, 0, 0)) == 2.0
    assert PRICE.usd(Usage(0, 100_000, 100_000, 100_000)) == pytest.approx(1.0 + 0.25 + 0.01)
    assert PRICE.most_usd(100_000, 1_000) == pytest.approx(0.26)
    assert price_of("claude-haiku-4-5").output < price_of("claude-opus-4-5").output
