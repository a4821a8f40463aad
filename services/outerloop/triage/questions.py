"""What a model is asked of traces and modes: recorded text as data, and its answer made fit to keep. Pure."""

import hashlib
import json
import re
from collections.abc import Sequence
from string import Template
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from outerloop.trace import quote
from outerloop.trace.signal import Signal
from outerloop.triage import prompts
from outerloop.triage.core.transcript import Step, Transcript

MOST_SIGNS = 5
_RUN_CHARS = 40_000
# Rules are one text, and a long one; a run's texts are many.
_POLICY_TEXT = (20_000,)
_RUN_TEXT = (4_000, 1_000, 300)
_LINE_CHARS = 300
_CAUSE_CHARS = 80
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")


class Verdict(BaseModel):
    """Your verdict on the run."""

    model_config = ConfigDict(extra="forbid")

    verdict: Literal["good", "bad", "unsure"]
    reason: str = Field(description="one sentence: what the record shows", max_length=2000)
    cause: str = Field(default="", description="what went wrong, if anything did", max_length=300)
    step: int | None = Field(default=None, description="the number of the first step that went wrong")


class Naming(BaseModel):
    """The failure mode's name and description."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=300)
    description: str = Field(min_length=1, max_length=1000)


def prompt_of(*names: str) -> str:
    """Which question it is: a hash over the texts of these prompts. With another text it is another judge."""
    return hashlib.sha256("\n".join(map(prompts.load, names)).encode()).hexdigest()[:12]


def of_run(transcript: Transcript, causes: Sequence[str]) -> str:
    """Judge this run: the agent's rules, the run's numbered steps, and the causes that are known."""
    rules = transcript.policy
    known = [{"cause": cause} for cause in causes]
    steps = [{"step": number} | said for number, (_, said) in enumerate(_steps(transcript), 1)]
    return Template(prompts.load("judge_task.md")).substitute(
        policy=quote.recorded("rules", [{"rules": rules}], _RUN_CHARS, _POLICY_TEXT)
        if rules
        else "(not recorded)",
        run=quote.recorded(f"trace {transcript.trace.trace_id}", steps, _RUN_CHARS, _RUN_TEXT),
        causes=quote.recorded("known causes", known, _RUN_CHARS) if known else "(none yet)",
    )


def of_mode(title: str, signals: Sequence[Signal]) -> str:
    """Name this mode: its title, and the most telling signs of some of its failures."""
    signs = [{"kind": s.kind, "subject": s.subject, "detail": s.detail} for s in signals[:MOST_SIGNS]]
    return Template(prompts.load("describe_task.md")).substitute(
        title=quote.recorded("title", [{"title": title}], _RUN_CHARS),
        signals=quote.recorded("signs", signs, _RUN_CHARS) if signs else "(none kept)",
    )


def cause_of(said: str) -> str:
    """A cause as it names a mode: words alone, in small letters."""
    return " ".join(_WORD.findall(said.lower()))[:_CAUSE_CHARS].strip() or "unnamed"


def line(said: str) -> str:
    """What a model said, as one line that hides nothing."""
    return quote.one_line(said, _LINE_CHARS)


def span_at(transcript: Transcript, step: int | None) -> str:
    """The span of a step by its number, from 1; the root where there is no such step."""
    steps = _steps(transcript)
    return steps[step - 1][0] if step and 1 <= step <= len(steps) else transcript.trace.root.span_id


def _steps(transcript: Transcript) -> list[tuple[str, dict[str, object]]]:
    """What was said and done, in order, each with the span that shows it."""
    trace = transcript.trace
    root = trace.root
    steps = [(step.span_id or root.span_id, _said(step)) for step in transcript.steps]
    if not transcript.user and trace.request:  # the root alone tells what was asked
        steps.insert(0, (root.span_id, {"user": trace.request}))
    if root.failed:
        error = f"{root.error_type} {root.status_message}".strip() or "error"
        steps.append((root.span_id, {"error": error}))
    return steps


def _said(step: Step) -> dict[str, object]:
    if step.call is None:
        return {"user" if step.role == "user" else "agent": step.text}
    call = step.call
    arguments = json.dumps(call.arguments, ensure_ascii=False)
    return {"tool": call.name, "arguments": arguments, "result": call.result, "failed": call.failed}
