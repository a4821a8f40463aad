"""Asks a judge what it thinks of a run: outside the sandbox, with the same key and address as trials.

A judge that is away, or says nothing that can be read, is an outage of the trial's surroundings: its failure
to answer is never a verdict on the agent.
"""

import json
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Annotated

import anthropic
from anthropic import AsyncAnthropic
from anthropic.types import Message
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from outerloop.evals.expect.base import Opinion
from outerloop.evals.expect.judged import Agreement, Judge, prompt_text
from outerloop.runtime.errors import OutageError, TrialNotRunError, UserError
from outerloop.runtime.provider import ask, unpaid
from outerloop.trace import quote
from outerloop.trace.model import Trace
from outerloop.trial.modelproxy import Payer, nobody_pays
from outerloop.trial.usage import Usage

ATTEMPTS = 2  # for an answer that can be read
_MOST_TOKENS = 1_000
_SECONDS = 120.0
_RUN_CHARS = 40_000


class _Verdict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    why: Annotated[str, Field(description="At most two sentences: what in the run decides it.")]
    holds: Annotated[bool, Field(description="Whether the run does all that the rubric asks.", strict=True)]


@dataclass(slots=True)
class Asked:
    """Opinions by the judge's id, and what they cost in tokens."""

    opinions: dict[str, Opinion] = field(default_factory=dict[str, Opinion])
    models: set[str] = field(default_factory=set[str])
    input_tokens: int = 0
    output_tokens: int = 0


@asynccontextmanager
async def client_of(url: str, key: str) -> AsyncIterator[AsyncAnthropic]:
    """A client for judges."""
    async with AsyncAnthropic(base_url=url, api_key=key, timeout=_SECONDS, max_retries=3) as client:
        yield client


async def opinions(
    judges: Iterable[Judge], trace: Trace, client: AsyncAnthropic, payer: Payer | None = None
) -> Asked:
    """What each judge says of the run; `payer`, if there is one, is asked before each call.

    Raises:
        TrialNotRunError: when one does not answer, or there is no money for its call.
    """
    asked = Asked()
    for judge in judges:
        asked.opinions[judge.sha256] = await _opinion(judge, trace, client, payer, asked)
    return asked


async def agreement(
    judge: Judge, labelled: Sequence[tuple[Trace, bool]], client: AsyncAnthropic
) -> Agreement:
    """How far the judge agrees with people, who said of each trace whether the rubric holds.

    Raises:
        TrialNotRunError: when it does not answer.
    """
    counts = {(people, said): 0 for people in (True, False) for said in (True, False)}
    for trace, holds in labelled:
        said = await opinions([judge], trace, client)
        counts[holds, said.opinions[judge.sha256].holds] += 1
    return Agreement(
        judge_sha256=judge.sha256,
        both_hold=counts[True, True],
        people_only=counts[True, False],
        judge_only=counts[False, True],
        neither=counts[False, False],
    )


async def _opinion(
    judge: Judge, trace: Trace, client: AsyncAnthropic, payer: Payer | None, asked: Asked
) -> Opinion:
    wrong, request = "", _request(judge, trace)
    for _ in range(ATTEMPTS):
        message = await _paid(judge, request, client, payer)
        asked.models.add(judge.model)
        asked.input_tokens += message.usage.input_tokens
        asked.output_tokens += message.usage.output_tokens
        given = next((block.input for block in message.content if block.type == "tool_use"), None)
        try:
            verdict = _Verdict.model_validate(given)
        except ValidationError as error:
            wrong = f"{error.errors()[0]['msg']} ({message.stop_reason})"
        else:
            return Opinion(verdict.holds, quote.one_line(verdict.why, 400))
    raise TrialNotRunError(f"the judge {judge.model} gave no verdict: {wrong}")


async def _paid(
    judge: Judge, request: MessageCreateParamsNonStreaming, client: AsyncAnthropic, payer: Payer | None
) -> Message:
    try:
        settle = await payer.begin(json.dumps(request).encode()) if payer else nobody_pays
    except OutageError as error:  # whoever pays is away
        raise TrialNotRunError(str(error)) from error
    if settle is None:
        raise TrialNotRunError(f"there was no money left for a call of the judge {judge.model}")
    spent: Usage | None = None
    try:
        message = await ask(client, request, f"judge {judge.sha256[:12]}", setting="`model` of a judge")
        spent = Usage(message.usage.input_tokens, message.usage.output_tokens)
    except (OutageError, UserError, anthropic.APIStatusError) as error:
        spent = Usage() if unpaid(error) else None
        raise TrialNotRunError(f"the judge {judge.model} did not answer: {error}") from error
    finally:
        settle(spent)
    return message


def _request(judge: Judge, trace: Trace) -> MessageCreateParamsNonStreaming:
    schema = _Verdict.model_json_schema()
    run = quote.run(trace, _RUN_CHARS)
    return {
        "model": judge.model,
        "max_tokens": _MOST_TOKENS,
        "system": prompt_text(judge.prompt),
        "messages": [{"role": "user", "content": f"## Rubric\n\n{judge.rubric}\n\n## The run\n\n{run}"}],
        "tools": [{"name": "verdict", "description": "Say it.", "input_schema": schema}],
        "tool_choice": {"type": "tool", "name": "verdict"},
    }
