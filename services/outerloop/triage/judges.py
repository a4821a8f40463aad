"""What judges' opinions count for: nothing, until people's labels say that a judge is good enough."""

from collections.abc import Mapping
from datetime import datetime

from outerloop.runtime.clickhouse import ClickHouse
from outerloop.store import opinions, verdicts
from outerloop.store.opinions import Opinion
from outerloop.trace.evaluation import Evaluation
from outerloop.triage.trust import lacks

# How an opinion is named among evaluations, and so among the signs of a verdict.
_NAME = "model judge: "
_Judge = tuple[str, str, str]


class Judges:
    """Every judge whose opinions are stored, whether or not one is asked now."""

    def __init__(self, db: ClickHouse, least_precision: float) -> None:
        self._db = db
        self._least_precision = least_precision

    async def say(self, agents: Mapping[str, str]) -> dict[str, Evaluation]:
        """What judges that may decide say of traces that they call bad; `agents`: the agent of each trace."""
        told = await opinions.bad(self._db, set(agents.values()), agents)
        deciding = await self._deciding({o.agent for o in told})
        return {o.trace_id: _evaluation(o) for o in told if _judge(o) in deciding}

    async def overdue(self, agent: str, since: datetime) -> list[str]:
        """Traces whose verdict does not say what the opinions since then make of it.

        So it is after a crash between the two, and where a judge has come to be good enough, or is no longer.
        """
        told = await opinions.bad_since(self._db, agent, since)
        deciding = await self._deciding({agent} if told else set())
        believed = {o.trace_id for o in told if _judge(o) in deciding}
        judged = await verdicts.of_traces(self._db, sorted({o.trace_id for o in told}))
        return [
            i for i, v in judged.items() if (i in believed) != any(_is_opinion(s.subject) for s in v.signals)
        ]

    async def _deciding(self, agents: set[str]) -> set[_Judge]:
        known = await opinions.standings(self._db, sorted(agents)) if agents else []
        return {(s.agent, s.model, s.prompt) for s in known if not lacks(s, self._least_precision)}


def _judge(opinion: Opinion) -> _Judge:
    return opinion.agent, opinion.model, opinion.prompt


def _is_opinion(subject: str) -> bool:
    return subject.startswith(_NAME)


def _evaluation(opinion: Opinion) -> Evaluation:
    """An opinion as any other evaluator's result; each cause that is named is a mode of its own."""
    return Evaluation(
        trace_id=opinion.trace_id,
        span_id=opinion.span_id,
        name=f"{_NAME}{opinion.cause}",
        label="fail",
        score=None,
        explanation=opinion.reason,
        time_ns=int(opinion.at.timestamp() * 1e9),
        source=opinion.model,
    )
