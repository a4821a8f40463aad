"""Asker: one call of the model that drafts, paid for on the record whatever its answer is worth."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from anthropic import AsyncAnthropic
from anthropic.types import Message, MessageParam, ToolParam

from outerloop.draft import prompts
from outerloop.draft.record import Opening
from outerloop.draft.settings import DraftSettings
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.envelope import stable_id
from outerloop.runtime.prices import price_of
from outerloop.runtime.provider import ask, usage_of
from outerloop.store import drafting
from outerloop.store.drafting import DraftCall
from outerloop.trace import quote

SETTING = "OUTERLOOP_DRAFT_MODEL"
_MAX_TOKENS = 4_000


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: by which version of which prompt, to be answered by a call of `tool`.

    `outcome` says in a few words what an answer is worth.
    """

    prompt: str
    system: str
    tool: ToolParam
    outcome: Callable[[Message], str]


class Asker:
    """Asks the model of the settings."""

    def __init__(self, settings: DraftSettings, db: ClickHouse) -> None:
        self._settings = settings
        self._db = db
        self._price = price_of(settings.draft_model, setting=SETTING)

    def connected(self) -> AsyncAnthropic:
        """A client; whoever asked for it closes it."""
        key = self._settings.anthropic_api_key
        return AsyncAnthropic(
            api_key=key.get_secret_value() if key else "",
            base_url=self._settings.anthropic_base_url,
            max_retries=4,
        )

    async def ask(
        self,
        client: AsyncAnthropic,
        opening: Opening,
        number: int,
        question: Question,
        messages: Sequence[MessageParam],
    ) -> Message:
        """The model's message, the `number`-th on this question.

        Raises:
            OutageError: when the model is away.
            UserError: when the provider does not know it.
        """
        began = time.perf_counter()
        said = await ask(
            client,
            {
                "model": self._settings.draft_model,
                "max_tokens": _MAX_TOKENS,
                "system": prompts.load(question.system),
                "tools": [question.tool],
                "tool_choice": {"type": "tool", "name": question.tool["name"]},
                "messages": list(messages),
            },
            f"{question.prompt} for {opening.mode_id}, call {number}",
            setting=SETTING,
        )
        usage, now = usage_of(said.usage), datetime.now(UTC)
        call = DraftCall(
            call_id=stable_id("draft call", opening.eval_id, question.prompt, number, now.isoformat()),
            agent=opening.agent,
            mode_id=opening.mode_id,
            eval_id=opening.eval_id,
            what="model",
            model=said.model,
            prompt=question.prompt,
            input_tokens=usage.total - usage.output,
            output_tokens=usage.output,
            usd=self._price.usd(usage),
            seconds=time.perf_counter() - began,
            outcome=quote.one_line(question.outcome(said), 300),
            at=now,
        )
        await drafting.insert(self._db, [call])
        return said
