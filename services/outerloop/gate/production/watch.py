"""Watching what was shipped: production confirms that a mode is closed, or it does not; what hurts is undone.

Consumes  nothing: it looks at the tables from time to time, in the replica that holds the agent.
Produces  `ReleaseWatched`, each finding once for a release, and `EvalReopened`.
Owns      the tables releases, release_findings and reopenings.

Nothing is remembered between two looks but what those tables hold, and a rollback by its ref in git.
"""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from outerloop.contracts.v1.change_pb2 import ChangeProposed
from outerloop.contracts.v1.release_pb2 import (
    FINDING_CONFIRMED_CLOSED,
    FINDING_REGRESSED,
    FINDING_ROLLBACK_ASKED,
    FINDING_ROLLED_BACK,
    FINDING_WORSE,
    Finding,
)
from outerloop.gate.core.watch import Counts, is_closed, is_regressed, recurs
from outerloop.gate.production.finding import Found, Teller, findings, of_mode, of_worse
from outerloop.gate.production.lineage import Later, Scope, history_of, line_of, scope_of
from outerloop.gate.production.reading import (
    BEFORE,
    freeze,
    judged_alike,
    mode_since,
    proven_alone,
    proven_worse,
)
from outerloop.gate.production.undoing import undo
from outerloop.gate.settings import GateSettings
from outerloop.runtime.bus import Bus
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.errors import UserError
from outerloop.runtime.git import Repository, SigningKey
from outerloop.runtime.lookout import look_out, waits
from outerloop.runtime.topics import topic_of
from outerloop.store import rates, releases
from outerloop.store.releases import Release, Shipped, State

log = logging.getLogger(__name__)

# What a mode does for months is read so often: it comes back within days, not minutes.
RECURRENCE_SECONDS = 3600.0
# The older a release is, the less does another minute tell: it is read when it has aged by this share.
AGED = 0.01
# What a rollback did not cure by then, another may not cure either: it is not the releases, and all of them
# would go, one after the other, because a provider is away.
IN_VAIN = timedelta(days=1)
# With fewer traces the end of a watch says nothing.
LEAST_TRACES = 100


@dataclass(frozen=True, slots=True)
class Case:
    """A release at one look, and what was `found` of it, which grows.

    `over`: its days are. `superseded`: a later release is of its mode, and is watched for that.
    """

    shipped: Shipped
    later: tuple[Later, ...]
    release: Release
    found: Found
    over: bool
    superseded: bool


class Watch:
    """The watch; `look` runs beside the gate's handlers."""

    def __init__(self, settings: GateSettings, bus: Bus, db: ClickHouse) -> None:
        self._settings = settings
        self._bus = bus
        self._db = db
        self._teller = Teller(bus, db)
        path = settings.gate_signing_key
        self._key = SigningKey(path, "OUTERLOOP_GATE_SIGNING_KEY") if path else None
        self._days = timedelta(days=settings.gate_watch_days)
        # By decision; forgotten with the process, which costs a look.
        self._read: dict[str, float] = {}
        self._recurrence_read: dict[str, float] = {}

    async def look(self) -> None:
        """Look at the releases of the agents that this replica holds, for as long as the service lives."""
        topic = topic_of(ChangeProposed).name
        await look_out(self._bus, topic, self._settings.repositories(), self.look_at)

    async def look_at(self, agent: str) -> None:
        """Find what production proves of an agent's releases by now, and act on it."""
        now = datetime.now(UTC)
        cases = await self._cases(agent, now)
        if not cases:
            return
        url, branch = self._settings.repositories()[agent]
        # A working copy of its own: the gate's is in use.
        repository = await Repository.open(url, self._settings.cache / "watch" / agent)
        versions = await rates.versions(self._db, agent, cases[0].shipped.at - BEFORE)
        history = await history_of(repository, branch)
        for case in cases:
            # By which of several releases it is judged, an old one is not asked.
            line = line_of(history, case.shipped.commit, () if case.over else case.later)
            if line is None:
                await self._keep(case, State.GONE, Counts(case.release.traces, case.release.failures), now)
                continue
            scope = scope_of(
                case.shipped,
                case.later,
                line,
                versions,
                now=now,
                deployed_after=timedelta(minutes=self._settings.gate_deploy_minutes),
                slow=timedelta(microseconds=case.release.slow_ns / 1000),
                said=timedelta(seconds=case.release.said_seconds),
            )
            since = await self._watch(case, scope)
            self._read[case.shipped.decision_id] = time.monotonic()
            if _harms(case):
                await self._undo(case, scope, repository, branch)
            await self._keep(case, _state(case, since), since, now)

    async def _cases(self, agent: str, now: datetime) -> list[Case]:
        """The releases that are to be looked at, the oldest first."""
        found = await findings(self._db, agent)
        shipped = [
            _later(each, found.get(each.decision_id, {})) for each in await releases.shipped(self._db, agent)
        ]
        known = await releases.of_agent(self._db, agent)
        cases: list[Case] = []
        for number, each in enumerate(shipped):
            one, later = each.shipped, tuple(shipped[number + 1 :])
            release, over = known.get(one.decision_id), one.at + self._days < now
            # Undone, or from before there was a watch.
            if each.undone_at or (release is None and over):
                continue
            earlier = [other.shipped for other in shipped[:number] if not other.undone_at]
            case = Case(
                one,
                later,
                release or await self._frozen(one, earlier, now),
                found.get(one.decision_id, {}),
                over,
                any(other.shipped.mode_id == one.mode_id for other in later),
            )
            if self._is_due(case, now):
                cases.append(case)
        return cases

    def _is_due(self, case: Case, now: datetime) -> bool:
        if case.over:
            return self._reads_recurrence(case) or _unfinished(case)
        read = self._read.get(case.shipped.decision_id)
        age = (now - case.shipped.at).total_seconds()
        return _harms(case) or read is None or time.monotonic() - read >= AGED * age

    async def _frozen(self, one: Shipped, earlier: Sequence[Shipped], now: datetime) -> Release:
        release = await freeze(self._db, one, earlier, now=now)
        await releases.insert(self._db, release)
        return release

    def _reads_recurrence(self, case: Case) -> bool:
        """Whether to see if the mode is back: once it counted as closed, for ever, from time to time."""
        closed = case.over or FINDING_CONFIRMED_CLOSED in case.found
        if not closed or case.superseded or FINDING_REGRESSED in case.found or case.release.bar <= 0:
            return False
        read = self._recurrence_read.get(case.shipped.decision_id)
        return read is None or time.monotonic() - read >= RECURRENCE_SECONDS

    async def _watch(self, case: Case, scope: Scope) -> Counts:
        """Tell what is newly proven; the mode's traces since the release."""
        since, spells = await mode_since(self._db, case.release, scope)
        if self._reads_recurrence(case):
            self._recurrence_read[case.shipped.decision_id] = time.monotonic()
            if back := await self._recurrence(case, scope):
                await self._tell(case, FINDING_REGRESSED, back)
        elif not (case.over or case.superseded or _decided(case)):
            before = Counts(*case.release.before[case.release.mode_id])
            if is_closed(case.release.bar, since):
                await self._tell(case, FINDING_CONFIRMED_CLOSED, since)
            elif is_regressed(case.release.bar, before, since, spells):
                await self._tell(case, FINDING_REGRESSED, since)
        if not case.over and FINDING_WORSE not in case.found:
            await self._health(case, scope)
        return since

    async def _health(self, case: Case, scope: Scope) -> None:
        if worse := await proven_worse(self._db, case.release, scope):
            case.found[FINDING_WORSE] = await self._teller.tell(
                case.shipped,
                FINDING_WORSE,
                subject=worse.measure.name,
                reason=await of_worse(self._db, worse),
                counts=worse.measure.since,
            )

    async def _recurrence(self, case: Case, scope: Scope) -> Counts | None:
        closed = case.found.get(FINDING_CONFIRMED_CLOSED)
        start = closed.found_at if closed else case.shipped.at + self._days
        part = judged_alike(case.release, scope.holding)
        part = replace(part, start=max(start, part.start), first=False)
        days = await rates.by_day(self._db, part, case.shipped.mode_id)
        before = Counts(*case.release.before[case.shipped.mode_id])
        return recurs(case.release.bar, before, [Counts(*day) for day in days])

    async def _tell(self, case: Case, finding: Finding, counts: Counts) -> None:
        reason = of_mode(case.release, finding, counts)
        subject = case.shipped.mode_id
        case.found[finding] = await self._teller.tell(
            case.shipped, finding, subject=subject, reason=reason, counts=counts
        )

    async def _undo(self, case: Case, scope: Scope, repository: Repository, branch: str) -> None:
        try:
            await undo(
                self._teller,
                repository,
                branch,
                case.shipped,
                case.found,
                ask=await self._asks(case, scope),
                closed=_closed_later(case),
                key=self._key,
            )
        except UserError as error:  # the other releases are not to wait for a person
            waits(self._bus, case.shipped.agent)
            log.warning("release %s of %s stays: %s", case.shipped.commit, case.shipped.agent, error)

    async def _asks(self, case: Case, scope: Scope) -> str:
        """Why a person is asked before it is undone; "" if nobody has to be, or somebody was."""
        if FINDING_ROLLBACK_ASKED in case.found:
            return ""
        if self._settings.gate_rollback == "ask":
            return "OUTERLOOP_GATE_ROLLBACK says to ask"
        undone = [each.undone_at for each in case.later if each.undone_at]
        if any(case.found[FINDING_WORSE].found_at - at < IN_VAIN for at in undone):
            return "a later release was rolled back just before, and that was no cure"
        alone = await proven_alone(self._db, case.release, scope)
        return "" if alone else "the agent has been changed by others since"

    async def _keep(self, case: Case, state: State, since: Counts, now: datetime) -> None:
        seen = replace(case.release, state=state, traces=since.traces, failures=since.failures)
        if seen != case.release:
            await releases.insert(self._db, replace(seen, looked_at=now))


def _harms(case: Case) -> bool:
    """Whether it is known to, and still there."""
    return FINDING_WORSE in case.found and FINDING_ROLLED_BACK not in case.found


def _unfinished(case: Case) -> bool:
    """Whether there is something to do when the days are over: to say so, or to undo what was found."""
    undoes = FINDING_WORSE in case.found and FINDING_ROLLBACK_ASKED not in case.found
    return undoes or case.release.state is State.WATCHING


def _decided(case: Case) -> bool:
    """Whether it is known what became of the mode."""
    return FINDING_CONFIRMED_CLOSED in case.found or FINDING_REGRESSED in case.found


def _closed_later(case: Case) -> bool:
    """Whether a later release that stands is of its eval."""
    return any(each.shipped.eval_id == case.shipped.eval_id and not each.undone_at for each in case.later)


def _later(shipped: Shipped, found: Found) -> Later:
    undone = found.get(FINDING_ROLLED_BACK)
    return Later(shipped, undone.rollback_commit, undone.found_at) if undone else Later(shipped)


def _state(case: Case, since: Counts) -> State:
    for finding, state in (
        (FINDING_ROLLED_BACK, State.ROLLED_BACK),
        (FINDING_ROLLBACK_ASKED, State.ROLLBACK_ASKED),
        (FINDING_REGRESSED, State.REGRESSED),
        (FINDING_CONFIRMED_CLOSED, State.CLOSED),
    ):
        if finding in case.found:
            return state
    if case.superseded:
        return State.SUPERSEDED
    if not case.over:
        return State.WATCHING
    return State.WATCHED if since.traces >= LEAST_TRACES else State.TOO_FEW
