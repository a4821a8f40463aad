"""How production traffic of an agent does, counted over verdicts and otel_traces. Writes nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from outerloop.runtime.clickhouse import ClickHouse


@dataclass(frozen=True, slots=True)
class Part:
    """Settled traces of an agent: begun in [start, end), of these versions, judged by these detectors.

    A trace counts in the mode that the first of the detectors gave it. None: any, and of detectors the one
    in use. Of more than `most` those that began last, or (`first`) first: what grows must not also move. Only
    about one of `one_in` counts, always the same ones, whenever they began.
    """

    agent: str
    start: datetime
    end: datetime
    most: int
    versions: tuple[str, ...] | None = None
    detectors: tuple[str, ...] | None = None
    first: bool = False
    one_in: int = 1

    def parameters(self) -> dict[str, Any]:
        """As the queries here name them."""
        return {
            "agent": self.agent,
            "start": self.start,
            "end": self.end,
            "most": self.most,
            "any": self.versions is None,
            "versions": list(self.versions or ()),
            "any_detector": self.detectors is None,
            "detectors": list(self.detectors or ()),
            "order": 1 if self.first else -1,
            "one_in": self.one_in,
        }


@dataclass(frozen=True, slots=True)
class Count:
    """Traces of one kind: how many, in how many spells of five minutes, and how many of all came later.

    `later` counts all traces of the part that began after the first of this kind.
    """

    traces: int
    spells: int
    later: int


@dataclass(frozen=True, slots=True)
class Loads:
    """Of the traces whose spans are stored: how many; how many are slow and costly, in how many spells."""

    traces: int
    slow: int
    slow_spells: int
    costly: int
    costly_spells: int


@dataclass(frozen=True, slots=True)
class Spread:
    """Where traces lie: in how many `sessions`.

    Of those that name none: in how many `spells` of five minutes, the last `over` after the first.
    """

    sessions: int
    spells: int
    over: timedelta


# Who judged a trace, and the mode each found: the detector in use, then those that were asked beside it.
_SAID = "arrayConcat([(toString(detector), toString(mode_id))], arrayMap(b -> (b.1, b.2), beside))"
# The mode is the one that the first of these detectors found.
_PART = f"""
SELECT trace_id, first.2 AS mode_id, occurred_at, tokens FROM (
    SELECT trace_id, occurred_at, input_tokens + output_tokens AS tokens,
           arrayFirst(s -> {{any_detector:Bool}} OR has({{detectors:Array(String)}}, s.1), {_SAID}) AS first
    FROM verdicts FINAL
    WHERE agent = {{agent:String}}
      AND occurred_at >= {{start:DateTime64(3)}} AND occurred_at < {{end:DateTime64(3)}}
      AND ({{any:Bool}} OR agent_version IN {{versions:Array(String)}})
      AND ({{any_detector:Bool}} OR detector IN {{detectors:Array(String)}}
           OR arrayExists(b -> has({{detectors:Array(String)}}, b.1), beside))
      AND cityHash64(trace_id) % {{one_in:UInt32}} = 0
    ORDER BY {{order:Int8}} * toUnixTimestamp64Milli(occurred_at), trace_id LIMIT {{most:UInt32}}
)
"""  # noqa: S608 - our own text only
_BY_MODE = f"""
SELECT mode_id, count() AS traces, uniqExact(toStartOfFiveMinutes(occurred_at)) AS spells,
       any(among) - min(position) AS later
FROM (
    SELECT mode_id, occurred_at, row_number() OVER (ORDER BY occurred_at, trace_id) AS position,
           count() OVER () AS among
    FROM ({_PART})
) GROUP BY mode_id
"""  # noqa: S608 - our own text only
# Tokens by the verdict: a span around others tells of theirs again, and triage has seen which.
_LOADS = f"""
SELECT s.at AS at, s.duration AS duration, v.tokens AS tokens, s.session AS session FROM (
    SELECT TraceId, min(Timestamp) AS at, maxIf(Duration, ParentSpanId = '') AS duration,
           max(SessionId) AS session
    FROM otel_traces FINAL WHERE TraceId IN (SELECT trace_id FROM ({_PART})) GROUP BY TraceId
) AS s INNER JOIN ({_PART}) AS v ON v.trace_id = s.TraceId
"""  # noqa: S608 - our own text only
_SPREAD = """
SELECT uniqExactIf(session, session != '') AS sessions,
       uniqExactIf(toStartOfFiveMinutes(at), session = '') AS spells,
       dateDiff('second', minIf(at, session = ''), maxIf(at, session = '')) AS seconds
"""
_OF_MODES = f"""
SELECT f.occurred_at AS at, s.session AS session
FROM (SELECT trace_id, occurred_at FROM ({_PART}) WHERE mode_id IN {{modes:Array(String)}}) AS f
LEFT JOIN (
    SELECT TraceId, max(SessionId) AS session FROM otel_traces
    WHERE TraceId IN (SELECT trace_id FROM ({_PART}) WHERE mode_id IN {{modes:Array(String)}})
    GROUP BY TraceId
) AS s ON s.TraceId = f.trace_id
"""  # noqa: S608 - our own text only


async def by_mode(db: ClickHouse, part: Part) -> dict[str, Count]:
    """How many traces failed in each mode; under "" those that did not fail."""
    rows = await db.query(_BY_MODE, **part.parameters())
    return {row["mode_id"]: Count(row["traces"], row["spells"], row["later"]) for row in rows}


async def count(db: ClickHouse, part: Part) -> int:
    """About how many traces lie between the part's start and end, of whatever version and detector."""
    (row,) = await db.query(
        "SELECT uniq(trace_id) AS traces FROM verdicts WHERE agent = {agent:String}"
        " AND occurred_at >= {start:DateTime64(3)} AND occurred_at < {end:DateTime64(3)}",
        agent=part.agent,
        start=part.start,
        end=part.end,
    )
    return int(row["traces"])


async def spread_of_modes(db: ClickHouse, part: Part, modes: Sequence[str]) -> Spread:
    """Where the traces lie that failed in these modes."""
    (row,) = await db.query(f"{_SPREAD} FROM ({_OF_MODES})", modes=list(modes), **part.parameters())
    return _spread(row)


async def spread_of_loads(db: ClickHouse, part: Part, *, slow_ns: int, tokens_many: int) -> Spread:
    """Where the traces lie that took longer than `slow_ns`, or more than `tokens_many`."""
    (row,) = await db.query(
        f"{_SPREAD} FROM ({_LOADS}) WHERE duration > {{slow:UInt64}} OR tokens > {{many:UInt64}}",
        slow=slow_ns,
        many=tokens_many,
        **part.parameters(),
    )
    return _spread(row)


def _spread(row: Mapping[str, Any]) -> Spread:
    return Spread(row["sessions"], row["spells"], timedelta(seconds=row["seconds"]))


async def detector_of(db: ClickHouse, part: Part, mode_id: str, least: int) -> str | None:
    """The detector that knows a mode best, of those that judged the newest trace: who found it most often.

    Before that comes who has judged `least` traces, if anyone has; after it, who judged the most. None: no
    trace was judged.
    """
    rows = await db.query(
        "SELECT said.1 AS name, count() AS traces, countIf(said.2 = {mode:String}) AS found"  # noqa: S608 - as above
        f" FROM (SELECT occurred_at, trace_id, {_SAID} AS all, max((occurred_at, trace_id)) OVER () AS last"
        f" FROM verdicts FINAL WHERE trace_id IN (SELECT trace_id FROM ({_PART}))) ARRAY JOIN all AS said"
        " GROUP BY name HAVING max((occurred_at, trace_id)) = any(last)"
        " ORDER BY traces >= {least:UInt32} DESC, found DESC, traces DESC, name LIMIT 1",
        mode=mode_id,
        least=least,
        **part.parameters(),
    )
    return str(rows[0]["name"]) if rows else None


async def evaluators(db: ClickHouse, part: Part) -> tuple[str, ...]:
    """Which evaluators spoke of these traces, by the name that a mode would have of them."""
    (row,) = await db.query(
        "SELECT arraySort(groupUniqArray(if(name = '', source, name))) AS names FROM evaluations FINAL"  # noqa: S608 - as above
        f" WHERE trace_id IN (SELECT trace_id FROM ({_PART}))",
        **part.parameters(),
    )
    return tuple(row["names"])


async def said_within(db: ClickHouse, part: Part) -> int:
    """Seconds after their begin by which evaluators had said 95 % of what they said of these traces."""
    (row,) = await db.query(
        "SELECT toUInt64(quantileExact(0.95)(greatest(0, dateDiff('second', v.occurred_at, e.evaluated_at))))"  # noqa: S608 - as above
        f" AS seconds FROM evaluations AS e FINAL INNER JOIN ({_PART}) AS v ON v.trace_id = e.trace_id",
        **part.parameters(),
    )
    return int(row["seconds"])


async def modes_of_others(db: ClickHouse, agent: str, evaluators: Sequence[str]) -> set[str]:
    """The modes that none of these evaluators has found, but another one."""
    rows = await db.query(
        "SELECT mode_id FROM modes FINAL WHERE agent = {agent:String} AND kind = 'evaluation'"
        " AND NOT arrayExists(e -> fingerprint = concat('evaluation|', e, '|'), {evaluators:Array(String)})",
        agent=agent,
        evaluators=list(evaluators),
    )
    return {row["mode_id"] for row in rows}


async def usual_loads(db: ClickHouse, part: Part) -> tuple[int, int]:
    """What nineteen of twenty traces stay below: nanoseconds from end to end, and tokens. (0, 0): unknown."""
    (row,) = await db.query(
        "SELECT count() AS traces, quantileExact(0.95)(duration) AS duration,"  # noqa: S608 - as above
        f" quantileExact(0.95)(tokens) AS tokens FROM ({_LOADS})",
        **part.parameters(),
    )
    return (int(row["duration"]), int(row["tokens"])) if row["traces"] else (0, 0)


async def loads(db: ClickHouse, part: Part, *, slow_ns: int, tokens_many: int) -> Loads:
    """How many traces took longer than `slow_ns`, and how many more than `tokens_many`."""
    (row,) = await db.query(
        "SELECT count() AS traces, countIf(duration > {slow:UInt64}) AS slow,"  # noqa: S608 - as above
        " uniqExactIf(toStartOfFiveMinutes(at), duration > {slow:UInt64}) AS slow_spells,"
        " countIf(tokens > {many:UInt64}) AS costly,"
        " uniqExactIf(toStartOfFiveMinutes(at), tokens > {many:UInt64}) AS costly_spells"
        f" FROM ({_LOADS})",
        slow=slow_ns,
        many=tokens_many,
        **part.parameters(),
    )
    return Loads(**row)


async def versions(db: ClickHouse, agent: str, since: datetime) -> list[str]:
    """The versions that an agent's traces since then name."""
    rows = await db.query(
        "SELECT DISTINCT agent_version FROM verdicts"
        " WHERE agent = {agent:String} AND occurred_at >= {since:DateTime64(3)} AND agent_version != ''",
        agent=agent,
        since=since,
    )
    return sorted(row["agent_version"] for row in rows)


async def by_day(db: ClickHouse, part: Part, mode_id: str) -> list[tuple[int, int]]:
    """By day: how many traces, and how many of them failed in this mode. Days without any are left out."""
    rows = await db.query(
        "SELECT count() AS traces, countIf(mode_id = {mode:String}) AS failures"  # noqa: S608 - as above
        f" FROM ({_PART}) GROUP BY toDate(occurred_at) ORDER BY toDate(occurred_at)",
        mode=mode_id,
        **part.parameters(),
    )
    return [(row["traces"], row["failures"]) for row in rows]
