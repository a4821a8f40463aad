"""A name and a sentence by a model for each opened mode; without one, or where it fails, a template's."""

import logging
from datetime import UTC, datetime, timedelta

from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.pause import Why, never
from outerloop.store import judge_calls, modes, opinions, verdicts
from outerloop.store.modes import Mode
from outerloop.store.opinions import Description
from outerloop.triage import prompts, questions
from outerloop.triage.asking import Answer, Asker, Question
from outerloop.triage.questions import Naming

log = logging.getLogger(__name__)

TOOL = "describe"
_AT_ONCE = 10
_MOST_PAID = 2
_REMEMBERED = timedelta(days=7)


class Namer:
    """`visit` is called from time to time, for each agent that this replica holds."""

    def __init__(self, db: ClickHouse, asker: Asker, paused: Why = never) -> None:
        self._db = db
        self._asker = asker
        self._paused = paused
        self._system = prompts.load("describe.md")
        self._prompt = questions.prompt_of("describe.md", "describe_task.md")

    async def visit(self, agent: str, now: datetime) -> None:
        """Have modes named that no model was asked about, as far as the money goes."""
        by = (self._db, agent, self._asker.model, self._prompt)
        paid = await judge_calls.often_paid(*by, since=now - _REMEMBERED, times=_MOST_PAID)
        for mode_id in await opinions.nameless(self._db, agent, _AT_ONCE + len(paid)):
            mode = None if mode_id in paid else await modes.get(self._db, mode_id)
            if mode and (await self._paused(agent) or not await self._name(mode, now)):
                return

    async def _name(self, mode: Mode, now: datetime) -> bool:
        """Ask about one mode; False when nothing more may be asked for now."""
        failing = await verdicts.failing(self._db, mode.mode_id, questions.MOST_SIGNS)
        text = questions.of_mode(mode.title, [signals[0] for _, signals in failing if signals])
        question = Question("describe", mode.agent, mode.mode_id, self._prompt, self._system, text, TOOL)
        answer = await self._asker.ask(question, Naming, now)
        if answer is None:
            return False
        await opinions.describe(self._db, _description(answer))
        await self._asker.settle(answer)
        return answer.call.outcome != "refused"


def _description(answer: Answer[Naming]) -> Description:
    given, call = answer.given, answer.call
    return Description(
        agent=call.agent,
        mode_id=call.about,
        name=questions.line(given.name) if given else "",
        description=questions.line(given.description) if given else "",
        model=call.model,
        usd=call.usd,
        at=datetime.now(UTC),
    )
