"""Asks a model, within a daily budget that all workers share, and reads the one tool call that is its answer.

A call is on record before it is made, with the most that it may cost, and what is on record is read after
that. So workers that ask at the same moment see each other, and one too many withdraws. Who dies in a call
leaves it on record, paid for in full. Nothing is tried again within a call: each attempt may cost.
"""

import logging
import time
import uuid
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Generic, TypeVar

import anthropic
from anthropic import AsyncAnthropic
from anthropic.types import Message
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming
from pydantic import BaseModel, ValidationError

from outerloop.runtime import metrics
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.errors import OutageError, UserError
from outerloop.runtime.prices import price_of
from outerloop.runtime.provider import ask, unpaid, usage_of
from outerloop.store import judge_calls, verdicts
from outerloop.store.judge_calls import ASKING, JudgeCall
from outerloop.store.spending import today
from outerloop.triage.core.sampling import allowance

log = logging.getLogger(__name__)

SETTING = "OUTERLOOP_TRIAGE_MODEL"
MAX_TOKENS = 1_000
# After which a call is given up, and one of which nothing more was heard is held to be dead.
CALL_SECONDS = 120.0
_DEAD_AFTER = timedelta(seconds=3 * CALL_SECONDS)
# For so long another worker may go by what it had found still to be asked.
_REMEMBERED = timedelta(days=1)
# What the API adds to what we send (the prompt that explains tools), generously.
_OVERHEAD_TOKENS = 1_000

F = TypeVar("F", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Question:
    """`what` is judge or describe, `about` a trace or a mode, `prompt` the version of the text."""

    what: str
    agent: str
    about: str
    prompt: str
    system: str
    text: str
    tool: str


@dataclass(frozen=True, slots=True)
class Answer(Generic[F]):
    """What came of a question: `given` is None where the model did not answer as it was asked to."""

    given: F | None
    call: JudgeCall


class Asker:
    """One model, and what it may cost a day, all agents and workers together."""

    def __init__(self, db: ClickHouse, client: AsyncAnthropic, model: str, usd_per_day: float) -> None:
        self.model = model
        self._db = db
        self._client = client
        self._price = price_of(model, setting=SETTING)
        self._usd_per_day = usd_per_day
        self._told = datetime.min.replace(tzinfo=UTC)

    async def agents(self) -> list[str]:
        """The agents, those first of which the least was spent today: money is given to all in turn."""
        spent = await judge_calls.spent_by_agent(self._db, today())
        return sorted(await verdicts.agents(self._db), key=lambda agent: spent.get(agent, 0.0))

    def most_usd(self, question: Question) -> float:
        """The most that a question may cost: no text has more tokens than bytes."""
        sent = len(question.system.encode()) + len(question.text.encode()) + _OVERHEAD_TOKENS
        return self._price.most_usd(sent, MAX_TOKENS)

    async def ask(self, question: Question, form: type[F], now: datetime) -> Answer[F] | None:
        """The model's answer in a form; None if it may not be asked now, as the money is spent or others ask.

        Who has stored what came of the answer then calls `settle`.

        Raises:
            OutageError: the provider is away.
            UserError: the provider does not know the model.
        """
        call = await self._reserve(question, now)
        if call is None:
            return None
        began = time.perf_counter()
        try:
            message = await ask(
                self._client,
                self._request(question, form),
                f"{question.what} {question.about}",
                setting=SETTING,
            )
        except anthropic.APIStatusError:
            # What is not an outage: as it is, it would be refused again. Too long, for one.
            return Answer(None, replace(call, outcome="refused", usd=0.0, step=1))
        except (OutageError, UserError) as error:
            metrics.JUDGE_CALLS.labels(question.what, "away").inc()
            if unpaid(error):
                await judge_calls.insert(self._db, replace(call, outcome="away", usd=0.0, step=1))
            raise
        given = _read(message, question.tool, form)
        usage = usage_of(message.usage)
        done = replace(
            call,
            outcome="answered" if given else "useless",
            input_tokens=usage.total - usage.output,
            output_tokens=usage.output,
            usd=self._price.usd(usage),
            seconds=time.perf_counter() - began,
            step=1,
        )
        return Answer(given, done)

    async def settle(self, answer: Answer[F]) -> None:
        """Record what the call did cost. Until then it counts with the most that it could."""
        call = answer.call
        metrics.JUDGE_CALLS.labels(call.what, call.outcome).inc()
        metrics.SPEND.labels("triage").inc(call.usd)
        await judge_calls.insert(self._db, call)

    async def _reserve(self, question: Question, now: datetime) -> JudgeCall | None:
        """A call on record that may be made; None if it may not."""
        allowed = allowance(self._usd_per_day, now)
        most = self.most_usd(question)
        if await judge_calls.spent_usd(self._db, today()) + most > allowed:
            self._tell(most)
            return None
        call = JudgeCall(
            call_id=uuid.uuid4().hex,
            agent=question.agent,
            what=question.what,
            about=question.about,
            model=self.model,
            prompt=question.prompt,
            outcome=ASKING,
            input_tokens=0,
            output_tokens=0,
            usd=most,
            seconds=0.0,
            at=datetime.now(UTC),
            step=0,
        )
        await judge_calls.insert(self._db, call)
        since, alive = call.at - _REMEMBERED, call.at - _DEAD_AFTER
        others = await judge_calls.others(self._db, call, since=since, alive=alive)
        # Our own call is among what is spent by now.
        if others or await judge_calls.spent_usd(self._db, today()) > allowed:
            await judge_calls.insert(self._db, replace(call, outcome="withdrawn", usd=0.0, step=1))
            return None
        return call

    def _tell(self, most: float) -> None:
        if self._told < today():
            self._told = today()
            log.info(
                "a call may cost $%.4f: more than is left for now of OUTERLOOP_TRIAGE_USD_PER_DAY (%g)",
                most,
                self._usd_per_day,
            )

    def _request(self, question: Question, form: type[BaseModel]) -> MessageCreateParamsNonStreaming:
        schema = form.model_json_schema()
        return {
            "model": self.model,
            "max_tokens": MAX_TOKENS,
            "system": [{"type": "text", "text": question.system, "cache_control": {"type": "ephemeral"}}],
            "tools": [{"name": question.tool, "description": form.__doc__ or "", "input_schema": schema}],
            "tool_choice": {"type": "tool", "name": question.tool},
            "messages": [{"role": "user", "content": question.text}],
        }


def _read(message: Message, tool: str, form: type[F]) -> F | None:
    """The answer, if it is one whole call of the tool with arguments that fit."""
    calls = [block for block in message.content if block.type == "tool_use" and block.name == tool]
    if len(calls) != 1 or message.stop_reason == "max_tokens":
        return None
    try:
        return form.model_validate(calls[0].input)
    except ValidationError:
        return None
