"""What the tables tell of a release: its rates of before, frozen, and those since."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from outerloop.gate.core.watch import (
    COSTLY,
    HEALTH,
    OTHER_FAILURES,
    SLOW,
    Counts,
    Measure,
    Worse,
    bar_of,
    is_widespread,
    worst,
)
from outerloop.gate.production.lineage import Scope
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.store import rates
from outerloop.store.rates import Count, Loads, Part, Spread
from outerloop.store.releases import Release, Shipped, State

BEFORE = timedelta(days=28)
# A share of before is known to about a hundredth by so many, and older ones are of an older agent.
BEFORE_TRACES = 2000
# Where a week has more, it is all of a week: the newest thousands would be of one time of one day. So many of
# them, by hash, are read for a measure.
WEEK = timedelta(days=7)
WEEK_TRACES = 20_000
# A mode that an earlier release closed has its share since then, if there are so many traces to tell it.
BEFORE_LEAST = 50
# Who judges traces by hand, or by night, is waited for so long and no longer.
SAID_MOST = timedelta(days=2)
# Slow and costly: this many times what nineteen of twenty traces stay below. A provider's bad day is not.
FAR = 2
_NEVER = 2**64 - 1


async def freeze(db: ClickHouse, release: Shipped, earlier: Sequence[Shipped], *, now: datetime) -> Release:
    """The release as it was before any trace of it; `earlier` are the releases before it that still stand."""
    said = await _said(db, release)
    # Of what ran just before, evaluators have not said all: it would look better than it was.
    part = await _before(db, release, release.at - said)
    # By one detector, before and since: another one finds what was always there, or no longer finds it.
    detector = await rates.detector_of(db, part, release.mode_id, BEFORE_LEAST)
    part = replace(part, detectors=(detector,) if detector else None)
    modes = await rates.by_mode(db, part)
    failing = {mode_id: count.traces for mode_id, count in modes.items() if mode_id}
    traces = _traces(modes)
    before = {mode_id: (traces, failures) for mode_id, failures in failing.items()}
    own = failing.get(release.mode_id, 0)
    before |= {release.mode_id: (traces, own), OTHER_FAILURES: (traces, sum(failing.values()) - own)}
    for other in (each for each in earlier if each.at > part.start):
        since = await rates.by_mode(db, replace(part, start=other.at))
        if _traces(since) >= BEFORE_LEAST:
            before[other.mode_id] = _of(since, other.mode_id)
    slow_ns, tokens_many = (FAR * usual for usual in await rates.usual_loads(db, part))
    loads = await rates.loads(db, part, slow_ns=slow_ns, tokens_many=tokens_many)
    before |= {SLOW: (loads.traces, loads.slow)} if slow_ns else {}
    before |= {COSTLY: (loads.traces, loads.costly)} if tokens_many else {}
    return Release(
        decision_id=release.decision_id,
        agent=release.agent,
        mode_id=release.mode_id,
        eval_id=release.eval_id,
        shipped_commit=release.commit,
        released_at=release.at,
        state=State.WATCHING,
        bar=bar_of(Counts(*before[release.mode_id])),
        before=before,
        slow_ns=slow_ns,
        tokens_many=tokens_many,
        said_seconds=int(said.total_seconds()),
        detectors=part.detectors or (),
        evaluators=await rates.evaluators(db, part),
        traces=0,
        failures=0,
        looked_at=now,
    )


async def _said(db: ClickHouse, release: Shipped) -> timedelta:
    """How long after a trace began evaluators speak of it, by traces of which they have."""
    part = await _before(db, release, release.at - SAID_MOST)
    return min(SAID_MOST, timedelta(seconds=await rates.said_within(db, part)))


async def _before(db: ClickHouse, release: Shipped, end: datetime) -> Part:
    week = Part(release.agent, end - WEEK, end, WEEK_TRACES)
    traces = await rates.count(db, week)
    if traces < BEFORE_TRACES:
        return Part(release.agent, release.at - BEFORE, end, BEFORE_TRACES)
    return replace(week, one_in=math.ceil(traces / WEEK_TRACES))


async def mode_since(db: ClickHouse, release: Release, scope: Scope) -> tuple[Counts, int]:
    """The closed mode's traces since the release, and in how many spells they failed."""
    modes = await rates.by_mode(db, judged_alike(release, scope.holding))
    spells = modes[release.mode_id].spells if release.mode_id in modes else 0
    return Counts(*_of(modes, release.mode_id)), spells


async def proven_worse(db: ClickHouse, release: Release, scope: Scope) -> Worse | None:
    """The measure that the release has made worse, if any is proven to be."""
    measures = await _measures(db, release, scope)
    while found := worst(measures):
        name = found.measure.name
        modes = [m.name for m in measures if m.name not in HEALTH] if name == OTHER_FAILURES else [name]
        spread = await _spread(db, release, scope.own, modes)
        if is_widespread(spread.sessions, spread.spells, spread.over):
            return found
        measures = [replace(m, spread=0) if m.name == name else m for m in measures]
    return None


async def proven_alone(db: ClickHouse, release: Release, scope: Scope) -> bool:
    """Whether what is proven to be worse is so too where nobody but us had changed the agent since."""
    if scope.alone is None or scope.alone == scope.own:
        return scope.alone is not None
    return await proven_worse(db, release, replace(scope, own=scope.alone)) is not None


async def _spread(db: ClickHouse, release: Release, part: Part, names: Sequence[str]) -> Spread:
    """Where the traces lie that speak against these measures: modes, or one that is SLOW or COSTLY."""
    if names[0] not in {SLOW, COSTLY}:
        return await rates.spread_of_modes(db, judged_alike(release, part), names)
    slow_ns = release.slow_ns if SLOW in names else _NEVER
    tokens_many = release.tokens_many if COSTLY in names else _NEVER
    return await rates.spread_of_loads(db, part, slow_ns=slow_ns, tokens_many=tokens_many)


async def _measures(db: ClickHouse, release: Release, scope: Scope) -> list[Measure]:
    since = await _known_to(db, release, scope.own)
    beside = await _known_to(db, release, scope.beside) if scope.beside else {}
    others = [m for m in release.before if m not in HEALTH and m != release.mode_id]
    known = [
        Measure(
            mode_id,
            Counts(*release.before[mode_id]),
            Counts(*_of(since, mode_id)),
            since[mode_id].spells if mode_id in since else 0,
            Counts(*_of(beside, mode_id)),
        )
        for mode_id in others
    ]
    return [
        *known,
        _others(release, since, beside),
        *await _loads(db, release, scope),
        *_new(release, since, beside),
    ]


def judged_alike(release: Release, part: Part) -> Part:
    """The same traces as they were judged before: triage still asks a detector that another has replaced."""
    return replace(part, detectors=release.detectors or None)


async def _known_to(db: ClickHouse, release: Release, part: Part) -> dict[str, Count]:
    """By mode; what only an evaluator says who was not there before did not fail, as it did not then."""
    modes = await rates.by_mode(db, judged_alike(release, part))
    new = (
        await rates.modes_of_others(db, release.agent, release.evaluators)
        & modes.keys() - release.before.keys()
    )
    good = sum(modes[mode_id].traces for mode_id in {"", *new} if mode_id in modes)
    return {m: count for m, count in modes.items() if m not in new} | {"": Count(good, 0, 0)}


def _others(release: Release, since: Mapping[str, Count], beside: Mapping[str, Count]) -> Measure:
    def count(modes: Mapping[str, Count]) -> Counts:
        return Counts(_traces(modes), sum(modes[m].traces for m in modes if m not in {"", release.mode_id}))

    spells = max((since[m].spells for m in since if m not in {"", release.mode_id}), default=0)
    return Measure(
        OTHER_FAILURES, Counts(*release.before[OTHER_FAILURES]), count(since), spells, count(beside)
    )


async def _loads(db: ClickHouse, release: Release, scope: Scope) -> list[Measure]:
    if SLOW not in release.before and COSTLY not in release.before:
        return []
    thresholds = {"slow_ns": release.slow_ns, "tokens_many": release.tokens_many}
    since = await rates.loads(db, scope.own, **thresholds)
    beside = await rates.loads(db, scope.beside, **thresholds) if scope.beside else Loads(0, 0, 0, 0, 0)
    slow = Counts(since.traces, since.slow), since.slow_spells, Counts(beside.traces, beside.slow)
    costly = Counts(since.traces, since.costly), since.costly_spells, Counts(beside.traces, beside.costly)
    return [
        Measure(name, Counts(*release.before[name]), *found)
        for name, found in ((SLOW, slow), (COSTLY, costly))
        if name in release.before
    ]


def _new(release: Release, since: Mapping[str, Count], beside: Mapping[str, Count]) -> list[Measure]:
    """Modes that nobody saw before, in the order of their first traces, which do not count themselves."""
    found = {m: count for m, count in since.items() if m and m not in release.before}
    before = Counts(release.before[OTHER_FAILURES][0], 0)
    return [
        Measure(
            m,
            before,
            Counts(count.later, count.traces - 1),
            count.spells,
            Counts(*_of(beside, m)),
            new=True,
        )
        for m, count in sorted(found.items(), key=lambda each: -each[1].later)
    ]


def _traces(modes: Mapping[str, Count]) -> int:
    return sum(count.traces for count in modes.values())


def _of(modes: Mapping[str, Count], mode_id: str) -> tuple[int, int]:
    return _traces(modes), modes[mode_id].traces if mode_id in modes else 0
