"""Writer: asks a model for the expectations, and sends back what is wrong with them until they are proven.

What the model proposes is held against the recorded runs like any other draft: it must fail on the failure,
and pass on healthy runs. It takes the place of what the rules wrote only if it fails more broken runs.
Every call is paid for, and recorded, whatever its answer is worth.
"""

import json
from collections.abc import Sequence
from string import Template
from typing import Any, cast

from anthropic.types import Message, MessageParam, ToolParam
from pydantic import TypeAdapter, ValidationError

from outerloop.draft import prompts
from outerloop.draft.asking import Asker, Question
from outerloop.draft.core.measure import FALSE_ALARMS, Draft, Failing, Undraftable, measured
from outerloop.draft.evidence import Evidence
from outerloop.draft.record import Opening, Writing
from outerloop.draft.settings import DraftSettings
from outerloop.evals.expect.composite import Expectation
from outerloop.evals.grade import describe, grade, judges
from outerloop.runtime.documents import first_problem
from outerloop.trace import quote
from outerloop.trace.model import Trace
from outerloop.trace.neighbours import MOST, Crowd

PROMPT = "draft/1"  # raise it with any change of a prompt
_SHOWN_HEALTHY = 2
_RUN_CHARS = 8_000
_EXPECT: TypeAdapter[tuple[Expectation, ...]] = TypeAdapter(tuple[Expectation, ...])


def written_by(model: str) -> Writing:
    """That a draft is a model's, by the prompt of today."""
    return Writing(f"outerloop draft {PROMPT}", model, PROMPT)


class Writer:
    """Asks the model of the settings."""

    def __init__(self, settings: DraftSettings, asker: Asker) -> None:
        self._settings = settings
        self._asker = asker

    async def better(
        self, opening: Opening, found: Evidence, made: Draft | Undraftable
    ) -> Draft | Undraftable:
        """The model's draft if it is proven and better than `made`, else `made`.

        Raises:
            OutageError: when the model is away.
            UserError: when the provider does not know it.
        """
        about = Failing(made.exemplar, made.sign) if isinstance(made, Draft) else _exemplar(found)
        if about is None:
            return made
        near = Crowd(found.healthy).like(about.trace)
        alike, mutants = near or found.healthy[:MOST], self._settings.draft_mutants if near else 0.0
        task = _task(opening, about, alike, found, made)
        messages: list[MessageParam] = [{"role": "user", "content": task}]
        async with self._asker.connected() as client:
            for number in range(1, self._settings.draft_model_calls + 1):
                said = await self._asker.ask(client, opening, number, _QUESTION, messages)
                expect, finding = _proposed(said)
                if expect:
                    drafted = measured(about, expect, alike, found.failing, writes=found.writes)
                    finding = _finding(drafted, mutants)
                    if not finding:
                        return drafted if _score(drafted) > _score(made) else made
                messages += _answered(said, finding)
        return made


_TOOL: ToolParam = {
    "name": "propose_eval",
    "description": "Propose what a good run is expected to do. All of it must hold of a run for it to pass.",
    "input_schema": {
        "type": "object",
        "properties": {
            "expect": {
                "type": "array",
                "minItems": 1,
                "items": {"type": "object"},
                "description": "Each is one of: "
                + json.dumps(
                    [
                        {"check": "tool_called", "tool": "NAME", "arguments": {"KEY": "VALUE"}},
                        {"check": "tool_not_called", "tool": "NAME", "arguments": {}},
                        {"check": "state_changes", "tools": ["NAME"], "calls": [{"tool": "NAME"}]},
                        {"check": "tools_in_order", "calls": ["NAME"]},
                        {"check": "no_repeated_call", "most": 2},
                        {"check": "no_error_status"},
                        {"check": "answered"},
                        {"check": "answer_contains", "text": "TEXT"},
                        {"check": "not", "of": {"check": "refused"}},
                        {"check": "any", "of": []},
                    ]
                ),
            }
        },
        "required": ["expect"],
    },
}


def _exemplar(found: Evidence) -> Failing | None:
    return next((f for f in found.exemplars if f.trace.input_messages), None)


def _task(
    opening: Opening,
    about: Failing,
    alike: Sequence[Trace],
    found: Evidence,
    made: Draft | Undraftable,
) -> str:
    """The prompt; whatever comes from production or from people is quoted."""
    rules = [describe(e) for e in made.expect] if isinstance(made, Draft) else [f"nothing: {made.reason}"]
    rejected = [quote.one_line("; ".join(map(describe, expect)), 400) for expect in found.refused]
    return Template(prompts.load("task.md")).substitute(
        title=quote.title(opening.title, 200),
        sign=quote.one_line(f"{about.sign.kind}, {about.sign.subject}: {about.sign.detail}", 400),
        failing=quote.run(about.trace, _RUN_CHARS),
        healthy="\n\n".join(quote.run(t, _RUN_CHARS) for t in alike[:_SHOWN_HEALTHY]) or "none is recorded",
        rules="\n".join(f"- {quote.one_line(words, 300)}" for words in rules),
        rejected="\n".join(f"- rejected: {words}" for words in [*rejected, *found.reasons]) or "nothing yet",
    )


def _outcome(said: Message) -> str:
    expect, finding = _proposed(said)
    return f"{len(expect)} expectations" if expect else finding


def _proposed(said: Message) -> tuple[tuple[Expectation, ...], str]:
    """What the model proposes; or () and what is wrong with it."""
    used = next((block for block in said.content if block.type == "tool_use"), None)
    if used is None or said.stop_reason == "max_tokens":
        return (), "the answer is no whole call of propose_eval"
    value = cast("dict[str, Any]", used.input).get("expect") if isinstance(used.input, dict) else None
    try:
        expect = _EXPECT.validate_python(value)
    except ValidationError as error:
        return (), f"expect: {first_problem(error)}"
    if not expect or judges(expect):
        return (), "expect: only what is exact is taken, and at least one of it"
    return expect, ""


def _finding(made: Draft, mutants: float) -> str:
    """Why it is no eval, "" if it is one; it must fail the share `mutants` of broken runs."""
    if grade(made.expect, made.exemplar).passed:
        return "it passes on the failing run, and must fail on it"
    alarms = made.healthy - made.healthy_passed
    if alarms > FALSE_ALARMS * made.healthy:
        return f"it fails on {alarms} of {made.healthy} healthy runs, each held against its own case"
    return made.too_weak(mutants)


def _score(made: Draft | Undraftable) -> float:
    """How much it tells: the share of broken runs that it fails; nothing tells less than no eval."""
    return -1.0 if isinstance(made, Undraftable) else made.mutation_score


def _answered(said: Message, finding: str) -> list[MessageParam]:
    """The model's turn, and what is wrong with it."""
    content = [block.to_dict(mode="json") for block in said.content]
    back: list[dict[str, Any]] = [
        {"type": "tool_result", "tool_use_id": block.id, "content": finding, "is_error": True}
        for block in said.content
        if block.type == "tool_use"
    ]
    turn = {"role": "assistant", "content": content or [{"type": "text", "text": "(nothing)"}]}
    answer = {"role": "user", "content": back or [{"type": "text", "text": finding}]}
    return cast("list[MessageParam]", [turn, answer])


_QUESTION = Question(PROMPT, "system.md", _TOOL, _outcome)
