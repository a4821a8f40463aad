"""A model as judge, for what leaves no sign: within a daily budget, most where the detector is unsure.

First it looks at traces that people have labelled, so that it is known how good it is; it never sees a label.
An outage of the provider is waited for, and an answer that is of no use is no verdict.
"""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.pause import Why, never
from outerloop.store import judge_calls, opinions, spans
from outerloop.store.opinions import Candidate, Opinion
from outerloop.triage import prompts, questions
from outerloop.triage.asking import Answer, Asker, Question
from outerloop.triage.core.sampling import sample, weight
from outerloop.triage.core.transcript import Transcript, transcript_of
from outerloop.triage.judges import Judges
from outerloop.triage.judging import Judging
from outerloop.triage.questions import Verdict

log = logging.getLogger(__name__)

TOOL = "verdict"
_LOOK_BACK = timedelta(days=1)
# How long ago an opinion may be that takes effect only now, as its judge has been found good enough.
_TAKES_EFFECT = timedelta(days=7)
_CANDIDATES = 2000
# Of a look: the rest waits for the next one, so that new causes are known by then.
_AT_ONCE = 10
# Who has died of a trace twice, or never got an answer, is not asked about it again.
_MOST_PAID = 2
_CAUSES = 40


class Judge:
    """`visit` is called from time to time, for each agent that this replica holds."""

    def __init__(
        self, db: ClickHouse, asker: Asker, judging: Judging, judges: Judges, paused: Why = never
    ) -> None:
        self._db = db
        self._asker = asker
        self._judging = judging
        self._judges = judges
        self._paused = paused
        self._system = prompts.load("judge.md")
        self._prompt = questions.prompt_of("judge.md", "judge_task.md")

    async def visit(self, agent: str, now: datetime) -> None:
        """Have opinions that count come true, and ask about some more traces, as far as the money goes."""
        if overdue := await self._judges.overdue(agent, now - _TAKES_EFFECT):
            await self._judging.again(overdue)
        for trace_id in await self._chosen(agent, now):
            if await self._paused(agent) or not await self._judge(agent, trace_id, now):
                return

    async def _chosen(self, agent: str, now: datetime) -> Sequence[str]:
        by = (self._db, agent, self._asker.model, self._prompt)
        paid = await judge_calls.often_paid(*by, since=now - _TAKES_EFFECT, times=_MOST_PAID)
        told = await opinions.labelled(*by, at_most=_AT_ONCE + len(paid))
        chosen = [c.trace_id for c in told if c.trace_id not in paid][:_AT_ONCE]
        there = await opinions.unseen(*by, since=now - _LOOK_BACK, at_most=_CANDIDATES)
        drawn = sample(((c.trace_id, _weight(c)) for c in there if c.trace_id not in paid), _AT_ONCE)
        return [*chosen, *drawn][:_AT_ONCE]

    async def _judge(self, agent: str, trace_id: str, now: datetime) -> bool:
        """Ask about one trace; False when nothing more may be asked for now."""
        trace = (await spans.traces(self._db, [trace_id])).get(trace_id)
        if trace is None:
            return True
        transcript = transcript_of(trace)
        text = questions.of_run(transcript, await opinions.causes(self._db, agent, _CAUSES))
        question = Question("judge", agent, trace_id, self._prompt, self._system, text, TOOL)
        answer = await self._asker.ask(question, Verdict, now)
        if answer is None:
            return False
        # The opinion before the bill: who dies between the two has not paid for nothing.
        await opinions.insert(self._db, _opinion(transcript, answer))
        await self._asker.settle(answer)
        if answer.given and answer.given.verdict == "bad":
            await self._judging.again([trace_id])
        if answer.call.outcome == "refused":
            log.warning("%s: the provider refuses the question about trace %s", agent, trace_id)
        return answer.call.outcome != "refused"


def _weight(candidate: Candidate) -> float:
    return weight(candidate.score, detected=candidate.detected)


def _opinion(transcript: Transcript, answer: Answer[Verdict]) -> Opinion:
    given, call = answer.given, answer.call
    bad = given is not None and given.verdict == "bad"
    return Opinion(
        agent=call.agent,
        trace_id=call.about,
        said=given.verdict if given else "",
        cause=questions.cause_of(given.cause) if given and bad else "",
        reason=questions.line(given.reason) if given else "",
        span_id=questions.span_at(transcript, given.step) if given and bad else "",
        model=call.model,
        prompt=call.prompt,
        input_tokens=call.input_tokens,
        output_tokens=call.output_tokens,
        usd=call.usd,
        at=datetime.now(UTC),
    )
