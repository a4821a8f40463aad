"""Tables lessons and lesson_uses: what was learned for later attempts, and who was told. Writer: propose."""

from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum

from outerloop.runtime.clickhouse import ClickHouse


class State(StrEnum):
    """Whether attempts are told of it."""

    ACTIVE = "active"
    RETIRED = "retired"


class Origin(StrEnum):
    """Who it comes from."""

    GATE = "gate"  # a change was rejected
    PRODUCTION = "production"  # a change shipped, and did not hold
    PERSON = "person"


@dataclass(frozen=True, slots=True, kw_only=True)
class LessonRecord:
    """One lesson. `mode_id` is "" if it is about all modes of the agent; `by` and `reason` are a person's."""

    lesson_id: str
    agent: str
    mode_id: str
    change_id: str
    origin: Origin
    text: str
    words: tuple[str, ...]
    state: State
    by: str
    reason: str
    learned_at: datetime
    at: datetime


@dataclass(frozen=True, slots=True)
class Tally:
    """Attempts that came to a decision since a lesson was learned: how many, and how many of them shipped."""

    shipped_with: int = 0
    tried_with: int = 0
    shipped_without: int = 0
    tried_without: int = 0


async def insert(db: ClickHouse, lesson: LessonRecord) -> None:
    """Store a lesson; what is said of it later replaces it."""
    await db.insert("lessons", [asdict(lesson) | {"words": list(lesson.words)}])


async def of_agent(db: ClickHouse, agent: str) -> list[LessonRecord]:
    """The lessons of an agent ("": of all), the oldest first."""
    rows = await db.query(
        "SELECT * FROM lessons FINAL WHERE {agent:String} = '' OR agent = {agent:String}"
        " ORDER BY learned_at, lesson_id",
        agent=agent,
    )
    known = (
        {"origin": Origin(r["origin"]), "state": State(r["state"]), "words": tuple(r["words"])} for r in rows
    )
    return [LessonRecord(**row | typed) for row, typed in zip(rows, known, strict=True)]


async def told(db: ClickHouse, agent: str, change_id: str, lesson_ids: Collection[str]) -> None:
    """Record that an attempt was told these lessons."""
    now = datetime.now(UTC)
    rows = [{"agent": agent, "change_id": change_id, "lesson_id": each, "at": now} for each in lesson_ids]
    await db.insert("lesson_uses", rows)


async def tallies(db: ClickHouse, agent: str) -> dict[str, Tally]:
    """By lesson of an agent ("": of all): what became of the attempts that were told, and of the others.

    Attempts at the eval that a lesson comes from are neither: they are told of it in other words.
    """
    rows = await db.query(
        """
        SELECT l.lesson_id AS lesson_id,
               countIf(u.told AND d.ships) AS shipped_with, countIf(u.told) AS tried_with,
               countIf(NOT u.told AND d.ships) AS shipped_without, countIf(NOT u.told) AS tried_without
        FROM (SELECT agent, lesson_id, change_id, learned_at FROM lessons FINAL) AS l
        INNER JOIN
        (
            SELECT c.agent AS agent, c.change_id AS change_id, c.eval_id AS eval_id, c.at AS at,
                   max(v.verdict = 'ship') AS ships
            FROM changes AS c FINAL INNER JOIN decisions AS v FINAL ON v.change_id = c.change_id
            WHERE v.obstacle NOT IN ('conflict', 'not_reproduced')
            GROUP BY agent, change_id, eval_id, at
        ) AS d ON d.agent = l.agent
        LEFT JOIN (SELECT change_id, any(eval_id) AS eval_id FROM changes GROUP BY change_id) AS own
            ON own.change_id = l.change_id
        LEFT JOIN (SELECT change_id, lesson_id, true AS told FROM lesson_uses FINAL) AS u
            ON u.change_id = d.change_id AND u.lesson_id = l.lesson_id
        WHERE d.at > l.learned_at AND d.eval_id != own.eval_id
          AND ({agent:String} = '' OR l.agent = {agent:String})
        GROUP BY lesson_id
        """,
        agent=agent,
    )
    return {row.pop("lesson_id"): Tally(**row) for row in rows}
