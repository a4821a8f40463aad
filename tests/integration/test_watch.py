"""What becomes of a release: real git and a real ClickHouse engine; traffic as rows, Kafka by hand."""

import asyncio
import tempfile
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
import pytest_asyncio
from google.protobuf.message import Message
from prometheus_client import REGISTRY

from engines.repositories import TEAM, WHEN, advance, agent_repository
from integration.test_cli import Shell
from outerloop.contracts.v1.change_pb2 import ChangeProposed
from outerloop.contracts.v1.decision_pb2 import OBSTACLE_INVARIANT, VERDICT_SHIP, DecisionReached
from outerloop.contracts.v1.release_pb2 import (
    FINDING_CONFIRMED_CLOSED,
    FINDING_REGRESSED,
    FINDING_ROLLBACK_ASKED,
    FINDING_ROLLED_BACK,
    FINDING_WORSE,
    EvalReopened,
    ReleaseWatched,
)
from outerloop.evals.expect.answer import Answered
from outerloop.evals.model import Cassette, Eval, Provenance, content_sha256
from outerloop.evals.suite import Entry, Suite
from outerloop.gate.core.case import Kind
from outerloop.gate.core.certificate import Certificate
from outerloop.gate.core.shown import Shown
from outerloop.gate.core.standing import after
from outerloop.gate.court.candidate import Candidate, Refused, patch_sha256, prepare
from outerloop.gate.court.undone import rollback_ref
from outerloop.gate.production import finding, reading
from outerloop.gate.production.reopening import still_open
from outerloop.gate.production.rollback import Stands, Undone, inverse, roll_back
from outerloop.gate.production.watch import Watch
from outerloop.gate.release.ship import ship, whole_suite
from outerloop.gate.settings import GateSettings
from outerloop.runtime.bus import Bus
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.envelope import Delivery
from outerloop.runtime.git import RefUpdate, Repository
from outerloop.runtime.topics import topic_of
from outerloop.store import decisions, evaluations, modes, rates, releases, trials, verdicts
from outerloop.store.migrate import migrate
from outerloop.store.rates import Part
from outerloop.store.trials import TrialRecord
from outerloop.store.verdicts import Beside, Verdict
from outerloop.trace.evaluation import Evaluation
from outerloop.trace.model import Span
from outerloop.triage.app import Triage
from outerloop.triage.settings import TriageSettings
from rows import insert as insert_spans

pytestmark = pytest.mark.asyncio(loop_scope="module")

TERMS = "agent: {agent}\nrun: [python]\nmutable: [prompts/**]\n"
POLICY = "".join(f"Rule {number}: be kind.\n" for number in range(1, 21))
OWN, OTHER = "the mode", "another mode"
EVERY = timedelta(seconds=90)  # between two traces: a hundred of them are many spells


@dataclass
class Hand:
    """Kafka by hand: what was published, under which id."""

    published: list[tuple[Message, tuple[object, ...]]] = field(default_factory=list)
    broken: bool = False
    group: str = "gate"

    def subscribe(self, topics: Sequence[str], handle: Any, *, at_most: int) -> None:
        """Tests call the handlers."""

    async def publish(self, message: Message, *, because: Sequence[object], cause: Any = None) -> None:
        if self.broken:
            raise ConnectionError("killed here")
        self.published.append((message, tuple(because)))

    @property
    def findings(self) -> list[int]:
        return [m.finding for m, _ in self.published if isinstance(m, ReleaseWatched)]

    @property
    def reopened(self) -> list[EvalReopened]:
        return [m for m, _ in self.published if isinstance(m, EvalReopened)]


@dataclass
class Production:
    """One agent with traffic and releases."""

    agent: str
    remote: Repository
    settings: GateSettings
    hand: Hand
    db: ClickHouse
    folder: Path

    def watch(self, replica: str = "one", **more: Any) -> Watch:
        settings = self.settings.model_copy(update={"cache": self.folder / replica, **more})
        return Watch(settings, cast(Bus, self.hand), self.db)

    async def look(self, replica: str = "one", **more: Any) -> None:
        await self.watch(replica, **more).look_at(self.agent)

    async def serve(
        self,
        start: datetime,
        modes: Sequence[str],
        version: str = "",
        *,
        session: str | None = None,
        load: int = 0,
        detector: str = "rules/1",
        beside: Sequence[Beside] = (),
    ) -> None:
        """Traces that fail in these modes ("": they are good), one after the other.

        Each that fails names a session of its own, or all the same `session` ("": none).
        """
        rows = [
            Verdict(
                agent=self.agent,
                agent_version=version,
                trace_id=uuid.uuid4().hex,
                failed=bool(mode),
                mode_id=mode,
                span_id="",
                signals=(),
                detector=detector,
                occurred_at=start + n * EVERY,
                judged_at=datetime.now(UTC),
                beside=tuple(beside),
                input_tokens=load,
            )
            for n, mode in enumerate(modes)
        ]
        await verdicts.insert(self.db, rows)
        stored = [
            span(row, row.trace_id if session is None else session, load)
            for row in rows
            if row.failed or load
        ]
        if stored:
            await insert_spans(self.db, stored, datetime.now(UTC))

    async def release(
        self, at: datetime, *, mode: str = OWN, eval_id: str = "e1", rule: int = 18, patch: str = ""
    ) -> DecisionReached:
        """A change of one rule of the policy ships; `patch` is its text."""
        entry = entry_of(self.agent, eval_id, mode)
        suite = await whole_suite(self.remote)
        certificate = await self._certified(entry, suite, rule, patch)
        done = await ship(
            self.remote,
            branch="main",
            certificate=certificate,
            suite=suite,
            entry=entry,
            diagnosis=f"Rule {rule} is too soft",
            when=at,
        )
        decision = DecisionReached(
            decision_id=certificate.decision_id,
            agent=self.agent,
            change_id=certificate.change_id,
            mode_id=mode,
            eval_id=eval_id,
            verdict=VERDICT_SHIP,
            shipped_commit=done.commit,
            series=f"s-{certificate.decision_id}",
        )
        decision.decided_at.FromDatetime(at)
        await decisions.insert(self.db, decision)
        return decision

    async def _certified(self, entry: Entry, suite: Suite, rule: int, patch: str) -> Certificate:
        head = await self.remote.resolve("main") or ""
        policy = (await self.remote.show(head, "prompts/policy.md") or b"").decode()
        changed = policy.replace(f"Rule {rule}: be kind", f"Rule {rule}: be strict")
        tree = await self.remote.tree_with(head, {"prompts/policy.md": changed.encode()})
        claim = Shown(
            kind=Kind.NEW,
            name=entry.eval.id,
            content_sha256=content_sha256(entry.eval, entry.cassette),
            bar=0.75,
            p1=0.95,
            g=0.85,
            passed=25,
            trials=25,
        )
        before = Certificate.from_json(suite.last).standings if suite.last else {}
        return Certificate(
            kind="change",
            decision_id=f"d-{uuid.uuid4().hex[:8]}",
            agent=self.agent,
            mode_id=entry.eval.mode_id,
            eval_id=entry.eval.id,
            change_id=f"c-{uuid.uuid4().hex[:8]}",
            base_commit=head,
            patch_sha256=patch_sha256(patch),
            candidate_tree=tree,
            suite_commit=suite.commit,
            suite_sha256=suite.sha256,
            spending=None,
            screen=(3, 3),
            claims=(claim,),
            inherited=(),
            broken=(),
            reproduced=None,
            reverts="",
            reason="",
            standings=after(before, claims=[claim], new_eval_margin=0.25),
            sandbox="none",
            models=(),
            proposed_by="",
            input_tokens=0,
            output_tokens=0,
            seconds=0.0,
            gate_version="test",
            previous=suite.last_certificate,
        )

    async def head(self) -> str:
        await self.remote.fetch()
        return await self.remote.resolve("main") or ""

    async def policy(self) -> str:
        return (await self.remote.show(await self.head(), "prompts/policy.md") or b"").decode()

    async def row(self, decision: DecisionReached) -> releases.Release:
        return (await releases.of_agent(self.db, self.agent))[decision.decision_id]

    async def told(self, decision: DecisionReached) -> set[str]:
        return set((await releases.findings(self.db, self.agent)).get(decision.decision_id, {}))


async def patch_of(production: Production, policy: str) -> str:
    head = await production.head()
    with tempfile.TemporaryDirectory(dir=production.folder) as work:
        await production.remote.checkout(head, Path(work))
        (Path(work) / "prompts/policy.md").write_text(policy)
        return await production.remote.patch_from(head, Path(work))


def entry_of(agent: str, eval_id: str, mode: str) -> Entry:
    provenance = Provenance(drafted_by="test", drafted_at=WHEN, source_traces=())
    eval_ = Eval(
        id=eval_id,
        agent=agent,
        mode_id=mode,
        title="It answers",
        input={},
        expect=(Answered(),),
        provenance=provenance,
    )
    return Entry(eval_, Cassette())


def trial(agent: str, series: str, number: int) -> TrialRecord:
    return TrialRecord(
        trial_id=f"{series}-{number}",
        decision_id=series,
        subject="candidate",
        agent=agent,
        eval_id="e1",
        number=number,
        variant=0,
        passed=number > 0,
        reasons=(),
        answer="",
        model_calls=1,
        models=("claude-sonnet-5-5",),
        input_tokens=1000,
        output_tokens=100,
        divergences=0,
        seconds=1.0,
        at=NOW,
    )


def span(row: Verdict, session: str, load: int) -> Span:
    start = int(row.occurred_at.timestamp() * 1e9)
    return Span(
        trace_id=row.trace_id,
        span_id=row.trace_id[:16],
        parent_span_id="",
        name="run",
        start_ns=start,
        end_ns=start + load * 1_000_000,
        session_id=session,
        input_tokens=2 * load,  # of itself and of all below it: the verdict knows what was used
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def db(chdb: str) -> AsyncIterator[ClickHouse]:
    settings = GateSettings(clickhouse=chdb, clickhouse_database=f"watch_{uuid.uuid4().hex[:8]}")
    await migrate(settings)
    one = ClickHouse(settings)
    yield one
    await one.close()


@pytest_asyncio.fixture(loop_scope="module")
async def production(tmp_path: Path, db: ClickHouse) -> Production:
    agent = f"a{uuid.uuid4().hex[:8]}"
    files = {"outerloop.yaml": TERMS.format(agent=agent).encode(), "prompts/policy.md": POLICY.encode()}
    remote, _ = await agent_repository(tmp_path, files)
    settings = GateSettings(agents=f"{agent}={tmp_path / 'remote'}", gate_deploy_minutes=0)
    return Production(agent, remote, settings, Hand(), db, tmp_path)


NOW = datetime.now(UTC)
SHIPPED = NOW - timedelta(days=2)
EARLIER = SHIPPED - timedelta(days=1)


async def released(production: Production, version: str = "") -> DecisionReached:
    """A release after a time in which one trace of five failed in its mode."""
    await production.serve(EARLIER, [OWN, "", "", "", OTHER if version else ""] * 80, "1.0")
    return await production.release(SHIPPED)


async def test_a_release_is_watched_until_production_confirms_that_its_mode_is_closed(
    production: Production,
) -> None:
    decision = await released(production)
    watch = production.watch()
    await watch.look_at(production.agent)
    row = await production.row(decision)
    assert (row.state, row.before[OWN], row.traces) == (releases.State.WATCHING, (400, 80), 0)
    assert 0.07 < row.bar < 0.1
    await production.serve(SHIPPED, [""] * 120)
    await watch.look_at(production.agent)  # it has hardly aged
    assert production.hand.published == []
    for _ in range(2):
        await production.look()
    assert production.hand.findings == [FINDING_CONFIRMED_CLOSED]
    assert production.hand.published[0][1] == (decision.decision_id, "confirmed_closed")
    row = await production.row(decision)
    assert (row.state, row.traces, row.failures) == (releases.State.CLOSED, 120, 0)
    assert production.hand.reopened == []


async def test_a_mode_that_goes_on_is_regressed_and_its_eval_is_work_again(production: Production) -> None:
    decision = await released(production)
    await production.serve(SHIPPED, [OWN, "", "", ""] * 40)
    await production.look()
    assert production.hand.findings == [FINDING_REGRESSED]
    (event,) = production.hand.reopened
    assert (event.eval_id, event.mode_id, event.trials) == ("e1", OWN, 160)
    assert event.reason.startswith("it shipped, and fails again: 40 of 160 traces since, 80 of 400 before")
    assert set(await still_open(production.db, production.agent)) == {"e1"}
    assert await production.head() == decision.shipped_commit
    again = await production.release(datetime.now(UTC), rule=3)
    assert await still_open(production.db, production.agent) == {}
    await production.look()
    assert (await production.row(again)).before[OWN] == (160, 40)


async def test_a_watch_that_ends_with_nothing_proven_says_so_once(production: Production) -> None:
    decision = await production.release(NOW - timedelta(days=60))
    await production.look(gate_watch_days=90)
    assert (await production.row(decision)).state is releases.State.WATCHING
    await production.look()
    assert (await production.row(decision)).state is releases.State.TOO_FEW
    assert await production.watch()._cases(production.agent, NOW) == []
    assert production.hand.published == []


async def test_who_judges_since_the_release_only_proves_nothing_about_it(production: Production) -> None:
    decision = await released(production)
    found = f"found-{production.agent}"
    mode = modes.Mode(found, production.agent, "t", "evaluation|politeness|", "evaluation", NOW)
    await modes.insert(production.db, mode)
    await production.serve(SHIPPED, ["", found, ""] * 40)
    await production.serve(SHIPPED, [OTHER, ""] * 60, detector="rules/2")
    await production.look()
    assert await production.told(decision) == {"confirmed_closed"}
    assert (await production.row(decision)).traces == 120
    await modes.insert(production.db, replace(mode, kind="tool_error", opened_at=datetime.now(UTC)))
    await production.look()
    assert "rolled_back" in await production.told(decision)


async def test_a_release_is_measured_by_one_detector_whichever_was_adopted_since(
    production: Production, chdb: str
) -> None:
    shell = Shell(clickhouse=chdb, clickhouse_database=production.db.database)

    async def listed() -> tuple[Any, ...]:
        (row,) = await asyncio.to_thread(shell.json, "releases", "--agent", production.agent)
        return tuple(row[name] for name in ("detectors", "unheard", "traces_since", "failures_since"))

    decision = await released(production)
    await production.look()
    assert await listed() == (["rules/1"], False, 0, 0)
    # The one that was learned finds a failure in every second trace, which the rules never saw.
    learned = "rules/1+60labels/0a1b2c3d"
    await production.serve(SHIPPED, [OTHER, ""] * 60, detector=learned, beside=[Beside("rules/1")])
    await production.look()
    assert await production.told(decision) == {"confirmed_closed"}
    assert await listed() == (["rules/1"], False, 120, 0)
    # And what the rules find beside it counts: a mode of which the other one says nothing.
    found = [Beside("rules/1", OTHER, "not there")]
    at = SHIPPED + timedelta(hours=3)
    await production.serve(at, ["learned"] * 60, detector=learned, beside=found)
    await production.look()
    assert "rolled_back" in await production.told(decision)
    await production.serve(SHIPPED + timedelta(hours=5), [""] * 9, detector="rules/2")
    assert (await listed())[:2] == (["rules/1"], True)


async def test_a_mode_is_measured_by_who_found_it(production: Production) -> None:
    learned = "rules/1+60labels/0a1b2c3d"
    await production.serve(EARLIER, [OTHER, "", ""] * 40)
    adopted = EARLIER + 120 * EVERY
    await production.serve(adopted, [OWN, "", ""] * 40, detector=learned, beside=[Beside("rules/1")])
    decision = await production.release(SHIPPED)
    await production.look()
    row = await production.row(decision)
    assert row.detectors == (learned,)
    assert (row.before[OWN], row.before.get(OTHER)) == ((120, 40), None)


async def test_what_an_evaluator_has_yet_to_judge_is_neither_good_nor_bad(production: Production) -> None:
    await production.serve(SHIPPED - timedelta(days=4), [OWN, "", "", "", ""] * 80)
    judged = await production.db.query(
        "SELECT trace_id, toUnixTimestamp64Milli(occurred_at) + 6 * 3600000 AS at FROM verdicts"
        " WHERE agent = {agent:String}",
        agent=production.agent,
    )
    said = [Evaluation(r["trace_id"], "", "judge", "good", None, "", r["at"] * 10**6, "s") for r in judged]
    await evaluations.insert(production.db, said, NOW)
    await production.serve(SHIPPED - timedelta(hours=5), [""] * 100)
    decision = await production.release(SHIPPED)
    await production.serve(NOW - timedelta(hours=5), [""] * 120)
    await production.look()
    row = await production.row(decision)
    assert (row.said_seconds, row.before[OWN], row.traces) == (6 * 3600, (400, 80), 0)
    assert production.hand.findings == []
    await production.serve(SHIPPED, [""] * 120)
    await production.look()
    assert production.hand.findings == [FINDING_CONFIRMED_CLOSED]


async def test_one_bad_trace_does_nothing_and_neither_do_many_of_one_session(production: Production) -> None:
    decision = await released(production)
    await production.serve(SHIPPED, [""] * 60 + [OTHER])
    await production.look()
    await production.serve(SHIPPED + timedelta(hours=5), [OTHER] * 40, session="one customer")
    await production.look()
    assert await production.told(decision) == {"confirmed_closed"}
    assert await production.head() == decision.shipped_commit
    await production.serve(SHIPPED + timedelta(hours=5), [OTHER] * 20)
    await production.look()
    assert FINDING_ROLLED_BACK in production.hand.findings


async def test_without_sessions_a_customer_who_tries_for_hours_undoes_nothing(production: Production) -> None:
    decision = await released(production)
    await production.serve(SHIPPED, ["", OTHER, ""] * 40, session="")  # three hours
    await production.look()
    assert await production.told(decision) == {"confirmed_closed"}
    await production.serve(SHIPPED + timedelta(hours=4), ["", OTHER, ""] * 40, session="")
    await production.look()
    assert "rolled_back" in await production.told(decision)


@pytest.mark.parametrize("named", [True, False])
async def test_what_others_have_pushed_since_is_not_charged_to_the_release(
    production: Production, *, named: bool
) -> None:
    decision = await released(production)
    await production.serve(SHIPPED, [""] * 120, decision.shipped_commit if named else "")
    team = await advance(production.remote, {"README.md": b"by the team\n"})
    later = SHIPPED + timedelta(hours=6)
    await production.serve(later, ["", OTHER, ""] * 40, team if named else "")
    await production.look()
    assert await production.head() == team
    assert await production.told(decision) == {"confirmed_closed", "worse", "rollback_asked"}
    asked = (await releases.findings(production.db, production.agent))[decision.decision_id]["rollback_asked"]
    assert "; the agent has been changed by others since: `git revert" in asked.reason


async def test_the_patch_of_what_was_rolled_back_does_not_ship_again(production: Production) -> None:
    policy = POLICY.replace("Rule 18: be kind", "Rule 18: be strict")
    patch = await patch_of(production, policy)
    await production.release(SHIPPED, patch=patch)
    (shipped,) = await releases.shipped(production.db, production.agent)
    done = await roll_back(production.remote, "main", shipped, "it hurts", when=NOW)
    assert isinstance(done, Undone)
    suite = await whole_suite(production.remote)

    async def prepared(patch: str) -> Candidate | Refused:
        change = ChangeProposed(change_id="again", agent=production.agent, patch=patch)
        return await prepare(production.remote, change, branch="main", suite_commit=suite.commit, court="")

    refused = await prepared(patch)
    assert isinstance(refused, Refused)
    assert refused.obstacle == OBSTACLE_INVARIANT
    assert f"production took it back with {done.commit}" in refused.reason
    assert isinstance(await prepared(await patch_of(production, policy.replace("strict", "fair"))), Candidate)


async def test_a_superseded_release_that_is_rolled_back_leaves_its_eval_closed(
    production: Production,
) -> None:
    first = await released(production)
    await production.serve(SHIPPED, ["", OTHER, OWN] * 40, first.shipped_commit)
    second = await production.release(SHIPPED + timedelta(hours=6), rule=5)
    await production.look()
    assert "rolled_back" in await production.told(first)
    assert "rolled_back" not in await production.told(second)
    assert production.hand.reopened == []
    assert await still_open(production.db, production.agent) == {}


async def test_before_is_of_a_week_and_not_of_the_last_hour(
    production: Production, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "BEFORE_TRACES", 200)
    monkeypatch.setattr(reading, "WEEK_TRACES", 400)
    await production.serve(SHIPPED - timedelta(days=6), [OTHER] * 600)
    await production.serve(SHIPPED - timedelta(days=1), [OWN] * 600)
    decision = await production.release(SHIPPED)
    await production.look()
    traces, failures = (await production.row(decision)).before[OWN]
    assert 300 < traces <= 400  # one of three
    assert 0.4 < failures / traces < 0.6


async def test_what_hurts_is_rolled_back_once_and_every_eval_stays(production: Production) -> None:
    await production.release(SHIPPED - timedelta(days=1), mode="older", eval_id="e0", rule=2)
    decision = await released(production)
    head = await advance(production.remote, {"README.md": b"by the team\n"})
    before = await whole_suite(production.remote)
    await production.serve(SHIPPED, ["", OTHER, ""] * 40, decision.shipped_commit)
    await production.serve(SHIPPED, [""] * 10, head)  # not by their commit alone: by the release's own traces
    await asyncio.gather(*(production.look(replica) for replica in ("one", "two")))
    await production.look()
    commit = await production.head()
    assert await production.remote.resolve(rollback_ref(decision.decision_id)) == commit
    assert await production.remote.tree_of(commit) == await inverse(
        production.remote, decision.shipped_commit, head
    )
    assert await production.policy() == POLICY.replace("Rule 2: be kind", "Rule 2: be strict")
    assert await production.remote.show(commit, "README.md") == b"by the team\n"
    assert await production.remote.is_ancestor(head, commit)
    message = await production.remote.message(commit)
    assert message.startswith(
        'Revert "Rule 18 is too soft"\n\nanother mode became worse: 0 of 400 traces before'
    )
    suite = await whole_suite(production.remote)
    assert suite.entries == before.entries
    certificate = Certificate.from_json(suite.last or b"")
    assert (certificate.kind, certificate.reverts) == ("rollback", decision.shipped_commit)
    assert certificate.standings == Certificate.from_json(before.last or b"").standings
    assert f"Outerloop-Certificate: {suite.last_certificate}" in message
    becauses = {because for m, because in production.hand.published if isinstance(m, ReleaseWatched)}
    assert {b for b in becauses if b[1] != "confirmed_closed"} == {
        (decision.decision_id, "worse"),
        (decision.decision_id, "rolled_back"),
    }
    found = (await releases.findings(production.db, production.agent))[decision.decision_id]
    assert found["rolled_back"].rollback_commit == commit
    assert (found["worse"].subject, found["worse"].failures) == (OTHER, 39)  # its first trace does not count
    assert (await production.row(decision)).state is releases.State.ROLLED_BACK
    reopening = (await still_open(production.db, production.agent))["e1"]
    assert reopening.at in {event.reopened_at.ToDatetime(UTC) for event in production.hand.reopened}


async def test_killed_between_push_and_event_it_tells_and_does_not_push_again(
    production: Production, monkeypatch: pytest.MonkeyPatch
) -> None:
    decision = await released(production)
    await production.serve(SHIPPED, ["", OTHER, ""] * 40)
    tell = finding.Teller.tell

    async def killed(self: finding.Teller, release: Any, what: Any, **more: Any) -> Any:
        production.hand.broken = what == FINDING_ROLLED_BACK
        return await tell(self, release, what, **more)

    with monkeypatch.context() as patched:
        patched.setattr(finding.Teller, "tell", killed)
        with pytest.raises(ConnectionError):
            await production.look()
    commit = await production.head()
    assert commit != decision.shipped_commit
    assert "rolled_back" not in await production.told(decision)
    production.hand.broken = False
    await advance(production.remote, {"README.md": b"meanwhile\n"})
    await production.look()
    found = (await releases.findings(production.db, production.agent))[decision.decision_id]
    assert found["rolled_back"].rollback_commit == commit
    assert await production.remote.is_ancestor(commit, await production.head())
    assert production.hand.findings.count(FINDING_ROLLED_BACK) == len(production.hand.reopened) == 1


async def test_told_to_ask_it_touches_nothing_and_sees_what_the_person_does(production: Production) -> None:
    decision = await released(production)
    await production.serve(SHIPPED, ["", OTHER, ""] * 40)
    for _ in range(2):
        await production.look(gate_rollback="ask")
    assert await production.head() == decision.shipped_commit
    assert production.hand.findings[-2:] == [FINDING_WORSE, FINDING_ROLLBACK_ASKED]
    asked = (await releases.findings(production.db, production.agent))[decision.decision_id]["rollback_asked"]
    assert f"`git revert {decision.shipped_commit}` undoes it" in asked.reason
    assert production.hand.reopened == []
    await advance(production.remote, {"prompts/policy.md": POLICY.encode()})
    await production.look(gate_rollback="ask")
    assert production.hand.findings[-1] == FINDING_ROLLED_BACK
    assert [event.commit for event in production.hand.reopened] == [decision.shipped_commit]


async def test_what_cannot_be_taken_out_by_itself_is_a_persons(production: Production) -> None:
    decision = await released(production)
    newer = (await production.policy()).replace("Rule 18: be strict", "Rule 18: be strict and fair")
    head = await advance(production.remote, {"prompts/policy.md": newer.encode()})
    await production.serve(SHIPPED, ["", OTHER, ""] * 40)
    await production.look()
    assert await production.head() == head
    assert production.hand.findings[-1] == FINDING_ROLLBACK_ASKED
    assert (await production.row(decision)).state is releases.State.ROLLBACK_ASKED
    terms = TERMS.format(agent=production.agent).replace("prompts", "tools")
    older = newer.replace(" and fair", "")
    await advance(production.remote, {"prompts/policy.md": older.encode(), "outerloop.yaml": terms.encode()})
    (shipped,) = await releases.shipped(production.db, production.agent)
    assert await roll_back(production.remote, "main", shipped, "", when=NOW) == Stands(
        "'prompts/policy.md' is not in `mutable` any more"
    )


async def test_of_a_canary_only_its_own_share_counts_and_what_runs_beside_it(production: Production) -> None:
    before = await production.head()
    decision = await released(production)
    version = decision.shipped_commit[:9]
    # A tool is away, for the old version as for the new one; and the old one still fails in the mode.
    await production.serve(SHIPPED, [OTHER, "", OTHER, OWN] * 100, before)
    await production.serve(SHIPPED, [OTHER, "", ""] * 50, version)
    await production.look()
    assert await production.told(decision) == {"confirmed_closed"}
    assert (await production.row(decision)).traces == 150
    await production.serve(SHIPPED, ["third mode", ""] * 30, version)
    await production.look()
    assert "rolled_back" in await production.told(decision)


async def test_slow_and_costly_traces_are_watched_too(production: Production) -> None:
    await production.serve(EARLIER, [OWN, "", "", "", ""] * 80, load=100)
    decision = await production.release(SHIPPED)
    await production.serve(SHIPPED, [""] * 60, load=900)
    await production.look()
    part = Part(production.agent, EARLIER, SHIPPED, 1000)
    assert await rates.usual_loads(production.db, part) == (100_000_000, 100)
    found = (await releases.findings(production.db, production.agent))[decision.decision_id]
    assert found["worse"].reason.startswith(
        "slow traces became worse: 0 of 400 traces before the release, 60 of"
    )


async def test_a_later_release_answers_for_what_is_new_since_it(production: Production) -> None:
    first = await released(production)
    await production.serve(SHIPPED, [""] * 100, first.shipped_commit)
    second = await production.release(SHIPPED + timedelta(hours=6), mode="second", eval_id="e2", rule=5)
    await production.serve(SHIPPED + timedelta(hours=6), ["", OTHER] * 40, second.shipped_commit)
    for _ in range(2):
        await production.look()
    assert "rolled_back" not in await production.told(first)
    assert "rolled_back" in await production.told(second)
    assert await production.policy() == POLICY.replace("Rule 18: be kind", "Rule 18: be strict")
    # It goes on without it, so another rollback would be no cure either: a tool is away, or a provider.
    rollback = await production.head()
    await production.serve(SHIPPED + timedelta(hours=9), ["", OTHER] * 90, rollback)
    await production.look()
    assert await production.head() == rollback
    assert "rollback_asked" in await production.told(first)


async def test_a_rollback_that_cannot_be_made_keeps_no_other_release_waiting(production: Production) -> None:
    first = await released(production)
    await production.serve(SHIPPED, ["", OTHER, ""] * 40, first.shipped_commit)
    second = await production.release(SHIPPED + timedelta(hours=6), mode=OTHER, eval_id="e2", rule=5)
    await production.serve(SHIPPED + timedelta(hours=6), [""] * 200, second.shipped_commit)
    suite = await production.remote.resolve("outerloop/suite") or ""
    tree = await production.remote.tree_with(None, {"gone": b""})
    empty = await production.remote.commit(tree, [], "", when=WHEN, author=TEAM)
    spoilt = RefUpdate("refs/heads/outerloop/suite", empty, suite)
    await production.remote.push_atomic([spoilt])
    await production.look()
    assert await production.told(first) == {"worse", "confirmed_closed"}
    assert await production.told(second) == {"confirmed_closed"}
    of_it = {"group": "gate", "agent": production.agent}
    assert (REGISTRY.get_sample_value("outerloop_agent_waits_total", of_it) or 0) > 0  # a person hears of it
    await production.remote.push_atomic([replace(spoilt, new=suite, expected=empty)])
    await production.look()
    assert "rolled_back" in await production.told(first)


async def test_releases_are_listed_with_proof_cost_rates_and_status(
    production: Production, chdb: str
) -> None:
    decision = await released(production)
    shell = Shell(clickhouse=chdb, clickhouse_database=production.db.database)
    await trials.insert(production.db, [trial(production.agent, decision.series, n) for n in range(3)])

    async def listed() -> dict[str, Any]:
        (row,) = await asyncio.to_thread(shell.json, "releases", "--agent", production.agent)
        return cast(dict[str, Any], row)

    before = await listed()
    assert (before["commit"], before["state"], before["rollback_commit"]) == (
        decision.shipped_commit,
        "watching",
        "",
    )
    assert (before["trials"], before["passed"], before["tokens"]) == (3, 2, 3300)
    assert before["usd"] > 0
    await production.serve(SHIPPED, ["", OTHER, ""] * 40)
    await production.look()
    row = await listed()
    assert [row[f"{what}_{when}"] for when in ("before", "since") for what in ("failures", "traces")] == [
        80,
        400,
        0,
        120,
    ]
    assert (row["state"], row["rollback_commit"]) == ("rolled back", await production.head())
    table = await asyncio.to_thread(shell.run, "releases", "--agent", production.agent)
    said = " ".join(table.stdout.split())
    assert "20.0%" in said
    assert "3,300 tokens" in said


async def test_a_mode_lives_on_in_the_order_in_which_things_happened(production: Production) -> None:
    mode_id = f"mode-{production.agent}"
    await modes.insert(production.db, modes.Mode(mode_id, production.agent, "t", "f", "k", NOW))
    shipped = [DecisionReached(agent=production.agent, mode_id=mode_id, verdict=VERDICT_SHIP) for _ in "12"]
    reopened = EvalReopened(agent=production.agent, mode_id=mode_id, reason="40 of 160 traces since")
    proposed = ChangeProposed(agent=production.agent, mode_id=mode_id)
    for event, at, minutes in (
        (shipped[0], shipped[0].decided_at, 1),
        (reopened, reopened.reopened_at, 2),
        (proposed, proposed.proposed_at, 3),
        (shipped[1], shipped[1].decided_at, 4),
    ):
        at.FromDatetime(NOW + timedelta(minutes=minutes))
        assert event.IsInitialized()
    triage = Triage(TriageSettings(), cast(Bus, production.hand), production.db)
    seen: list[tuple[str, str]] = []
    for event in (reopened, shipped[0], shipped[1], proposed):
        topic = topic_of(event).name
        headers = {"ce_id": uuid.uuid4().hex}
        await triage.handle([Delivery(topic, 0, 0, b"", event.SerializeToString(), headers)])
        (row,) = await production.db.query(
            "SELECT state, detail FROM failure_modes WHERE mode_id = {mode:String}", mode=mode_id
        )
        seen.append((row["state"], row["detail"]))
    regressed = ("regressed", "40 of 160 traces since")
    assert seen == [regressed, regressed, ("closed", ""), ("closed", "")]


async def test_a_mode_that_comes_back_after_months_is_work_again(production: Production) -> None:
    shipped = NOW - timedelta(days=60)
    await production.serve(shipped - timedelta(days=1), [OWN, "", "", "", ""] * 80)
    decision = await production.release(shipped)
    await production.serve(shipped, [""] * 150)
    await production.look(gate_watch_days=90)
    assert production.hand.findings == [FINDING_CONFIRMED_CLOSED]
    record = (await releases.findings(production.db, production.agent))[decision.decision_id]
    found = replace(record["confirmed_closed"], found_at=shipped + timedelta(days=1))
    await production.db.command(f"ALTER TABLE release_findings DELETE WHERE agent = '{production.agent}'")
    await releases.insert_finding(production.db, found)
    await production.serve(NOW - timedelta(days=40), [""] * 1000)
    watch = production.watch()
    await watch.look_at(production.agent)
    assert production.hand.findings == [FINDING_CONFIRMED_CLOSED]
    await production.serve(NOW - timedelta(days=1), ["", "", OWN] * 30)
    await watch.look_at(production.agent)  # read an hour ago: not yet again
    assert production.hand.findings == [FINDING_CONFIRMED_CLOSED]
    await production.look()
    assert production.hand.findings == [FINDING_CONFIRMED_CLOSED, FINDING_REGRESSED]
    assert (await production.row(decision)).state is releases.State.REGRESSED
