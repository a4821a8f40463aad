"""Table labels: what people said of traces. Writer: triage."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from outerloop.runtime.clickhouse import ClickHouse

# An evaluator that people have found wrong this often teaches nothing, once so many traces tell.
LEAST_AGREEMENT = 0.8
LEAST_BOTH = 10
# So many labels teach all that a detector of this kind can be taught.
MOST = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """One label. `source` is person or review; `detector` and what follows: what triage had said before."""

    agent: str
    trace_id: str
    source: str
    labelled_by: str
    good: bool
    why: str
    labelled_at: datetime
    detector: str = ""
    detected: bool = False
    score: float = 0.0


@dataclass(frozen=True, slots=True)
class Truth:
    """What is held to be true of a trace, and by whom: person, review or evaluator."""

    trace_id: str
    good: bool
    source: str

    @property
    def by_people(self) -> bool:
        """Whether a person has said so."""
        return self.source != "evaluator"


# Of several that speak of a trace a person counts before a review, that before an evaluator; the latest of
# each. An evaluator that calls it bad is believed against one that calls it good: it looks at other things.
_TRUTHS = """
SELECT trace_id, argMax((source, good), rank) AS told FROM (
    SELECT trace_id, source, argMax(good, labelled_at) AS good, if(source = 'person', 3, 2) AS rank
    FROM labels FINAL WHERE agent = {agent:String} GROUP BY trace_id, source
    UNION ALL
    SELECT trace_id, 'evaluator' AS source, NOT max(bad) AS good, 1 AS rank
    FROM evaluations FINAL
    WHERE trace_id IN (SELECT trace_id FROM judged_traces WHERE agent = {agent:String})
      AND if(name = '', source, name) NOT IN (
        SELECT name FROM agreement WHERE agent = {agent:String} AND source = 'evaluator'
        AND both >= {both:UInt32} AND agreed < {least:Float64} * both)
    GROUP BY trace_id
)
GROUP BY trace_id ORDER BY max(rank) DESC, cityHash64(trace_id) LIMIT {most:UInt32}
"""


async def insert(db: ClickHouse, labels: Sequence[Label]) -> None:
    """Store labels; who labels a trace again replaces the own label."""
    await db.insert("labels", [asdict(label) for label in labels])


async def truths(db: ClickHouse, agent: str, at_most: int = MOST) -> list[Truth]:
    """What is held to be true of an agent's traces, by trace id: all that there is to learn from.

    Of more than `at_most` what people said, and of what evaluators did always the same.
    """
    rows = await db.query(_TRUTHS, agent=agent, both=LEAST_BOTH, least=LEAST_AGREEMENT, most=at_most)
    found = [Truth(row["trace_id"], good=bool(row["told"][1]), source=row["told"][0]) for row in rows]
    return sorted(found, key=lambda truth: truth.trace_id)


async def of_traces(db: ClickHouse, trace_ids: Sequence[str]) -> dict[str, Label]:
    """What people said of these traces: a person's latest word, else the latest review."""
    rows = await db.query(
        "SELECT * FROM labels FINAL WHERE trace_id IN {traces:Array(String)}"
        " ORDER BY source = 'person', labelled_at",
        traces=list(trace_ids),
    )
    return {row["trace_id"]: Label(**row) for row in rows}


async def agents(db: ClickHouse) -> list[str]:
    """The agents of which people or evaluators have said anything."""
    rows = await db.query(
        "SELECT DISTINCT agent FROM labels UNION DISTINCT SELECT DISTINCT agent FROM judged_traces"
        " WHERE trace_id IN (SELECT trace_id FROM evaluations)"
    )
    return sorted(row["agent"] for row in rows)
