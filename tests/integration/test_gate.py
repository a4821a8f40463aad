"""The gate as a service: real git, a real ClickHouse engine, real trials of a small agent; Kafka by hand."""

import asyncio
import json
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
import pytest_asyncio
from aiohttp import web
from google.protobuf.message import Message
from prometheus_client import REGISTRY

from engines.repositories import advance, agent_repository
from integration.test_trial import AGENT, Upstream
from outerloop.contracts.v1.change_pb2 import ChangeProposed
from outerloop.contracts.v1.decision_pb2 import (
    OBSTACLE_HELD_OUT,
    OBSTACLE_PERSON,
    VERDICT_REJECT,
    VERDICT_SHIP,
    DecisionReached,
)
from outerloop.evals.expect.answer import Answered
from outerloop.evals.heldout import HeldOut, Variant
from outerloop.evals.model import Cassette, Eval, Provenance, content_sha256
from outerloop.evals.suite import Entry
from outerloop.gate import app
from outerloop.gate.app import Gate
from outerloop.gate.core.case import Kind, Trial
from outerloop.gate.core.fresh import SCREEN_TRIALS
from outerloop.gate.court import judge
from outerloop.gate.court.candidate import Candidate
from outerloop.gate.court.checks import failing_tests
from outerloop.gate.court.rows import Rows
from outerloop.gate.release import ledger
from outerloop.gate.release.ship import already_shipped
from outerloop.gate.settings import GateSettings
from outerloop.gate.trials.bench import Bench, Subject
from outerloop.gate.trials.runner import Checkouts, Here
from outerloop.gate.trials.waiting import WaitError
from outerloop.gate.verify.clone import open_clone
from outerloop.gate.verify.report import verify
from outerloop.runtime import lookout
from outerloop.runtime.agentfile import AgentFile
from outerloop.runtime.bus import Bus
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.envelope import Delivery
from outerloop.runtime.errors import PoisonError, UserError
from outerloop.runtime.git import Repository
from outerloop.runtime.pause import Why, never
from outerloop.store import changes, decisions, evals, heldout
from outerloop.store.changes import ChangeRecord
from outerloop.store.changes import State as ChangeState
from outerloop.store.evals import EvalRecord, Reproduction
from outerloop.store.evals import State as EvalState
from outerloop.store.migrate import migrate
from outerloop.store.trials import TrialRecord
from outerloop.trial.isolation import Unconfined
from outerloop.trial.sandbox import Sandbox

pytestmark = pytest.mark.asyncio(loop_scope="module")

TERMS = """\
agent: {agent}
run: [python, -S, agent.py]
mutable: [prompts/**]
depends: {{"e-*": [prompts/**, agent.py], another: [docs/**]}}
"""
# The base fails every eval: its policy is not brief.
FLAWED = 'import sys\nif "brief" not in open("prompts/policy.md").read(): sys.exit(3)\n' + AGENT
ASKED = ["model", {"model": "model-that-answered"}]


@dataclass
class Hand:
    """Kafka for one service, by hand: what was published, and whose keys come here."""

    published: list[tuple[Any, tuple[object, ...]]] = field(default_factory=list)
    held: bool = True
    group: str = "gate"

    def subscribe(self, topics: Sequence[str], handle: Any, *, at_most: int) -> None:
        assert (topics, at_most) == ((app.CHANGES,), 1)

    def holds(self, topic: str, key: str) -> bool:
        assert topic == app.CHANGES
        return self.held

    async def publish(self, message: Message, *, because: Sequence[object], cause: Any = None) -> None:
        self.published.append((message, tuple(because)))

    @property
    def verdicts(self) -> list[tuple[str, int]]:
        return [(decision.change_id, decision.verdict) for decision, _ in self.published]


@dataclass
class Court:
    """One agent before the gate, with a change that adds a prompt."""

    agent: str
    remote: Repository
    settings: GateSettings
    hand: Hand
    db: ClickHouse
    change: ChangeProposed

    @property
    def remote_folder(self) -> Path:
        return Path(self.settings.repositories()[self.agent][0])

    def gate(self, paused: Why = never) -> Gate:
        rows, sandbox = Rows(self.db), Sandbox(Unconfined())
        here = partial(Here, self.settings, sandbox, records=rows)
        return Gate(self.settings, cast(Bus, self.hand), self.db, here, paused)

    def delivery(self) -> Delivery:
        return Delivery(app.CHANGES, 0, 0, self.agent.encode(), self.change.SerializeToString())


def settings_of(agents: str, folder: Path, chdb: str, database: str, **more: Any) -> GateSettings:
    trials = {"sandbox": "none", "agent_environment": Path(sys.prefix), "gate_sittings": 1}
    stores = {"cache": folder, "clickhouse": chdb, "clickhouse_database": database}
    return GateSettings(**cast(Any, {"agents": agents} | trials | stores | more))


@pytest.fixture(scope="module")
def database() -> str:
    return f"gate_{uuid.uuid4().hex[:8]}"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def db(chdb: str, database: str) -> AsyncIterator[ClickHouse]:
    settings = settings_of("", Path(), chdb, database)
    await migrate(settings)
    one = ClickHouse(settings)
    yield one
    await one.close()


@pytest_asyncio.fixture(loop_scope="module")
async def model() -> AsyncIterator[str]:
    application = web.Application()
    application.router.add_post("/v1/messages", Upstream().messages)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


Make = Callable[..., Awaitable[Court]]


@pytest_asyncio.fixture(loop_scope="module")
async def make(tmp_path: Path, chdb: str, database: str, db: ClickHouse, model: str) -> Make:
    """Makes courts; see made."""

    async def made_here(*steps: Any, held_out: Sequence[Any] = ()) -> Court:
        more = {"ANTHROPIC_BASE_URL": model, "ANTHROPIC_API_KEY": "key", "gate_model_calls": 5}
        folder = tmp_path / uuid.uuid4().hex
        settings = settings_of("", folder / "gates", chdb, database, **more)
        return await made(folder, settings, db, *steps, held_out=held_out)

    return made_here


@pytest_asyncio.fixture(loop_scope="module")
async def court(make: Make) -> Court:
    return await make(ASKED)


def variant_of(*steps: Any) -> HeldOut:
    """A held-out variant that has the agent take these steps."""
    return HeldOut(Variant(input={"steps": steps}), Cassette())


async def made(
    folder: Path, settings: GateSettings, db: ClickHouse, *steps: Any, held_out: Sequence[Any] = ()
) -> Court:
    """A court whose new eval has the agent take these steps, once; or those of its `held_out` variants."""
    agent = f"a{uuid.uuid4().hex[:8]}"
    files = {"outerloop.yaml": TERMS.format(agent=agent).encode(), "agent.py": FLAWED.encode()}
    remote, head = await agent_repository(folder, files | {"prompts/policy.md": b"Be kind.\n"})
    await remote.checkout(head, folder / "work")
    (folder / "work/prompts/policy.md").write_text("Be kind and brief.\n")
    record = eval_of(agent, *steps)
    if held_out:
        tried = Entry(record.eval, record.cassette, tuple(variant_of(*one) for one in held_out))
        record = replace(record, content_sha256=tried.content_sha256)
        await heldout.insert(db, tried)
    await evals.insert(db, record)
    change = ChangeRecord(
        change_id=f"c-{agent}",
        agent=agent,
        mode_id="m1",
        eval_id=record.eval_id,
        attempt=1,
        state=ChangeState.PROPOSED,
        base_commit=head,
        patch=await remote.patch_from(head, folder / "work"),
        diagnosis="The policy is long-winded",
        model="the-proposer",
        usd=0.1,
        at=datetime.now(UTC) - timedelta(minutes=5),
    )
    await changes.insert(db, change)
    settings = settings.model_copy(update={"agents": f"{agent}={folder / 'remote'}"})
    return Court(agent, remote, settings, Hand(), db, change.message())


def eval_of(agent: str, *steps: Any) -> EvalRecord:
    eval_ = Eval(
        id=f"e-{agent}",
        agent=agent,
        mode_id="m1",
        title="It answers",
        input={"steps": steps},
        expect=(Answered(),),
        bar=0.5,  # fewer trials than by default
        margin=0.4,
        provenance=Provenance(
            drafted_by="test", drafted_at=datetime(2026, 1, 1, tzinfo=UTC), source_traces=()
        ),
    )
    return accepted(agent, eval_)


def accepted(agent: str, eval_: Eval) -> EvalRecord:
    """The row of an eval that a person has accepted."""
    return EvalRecord(
        eval_id=eval_.id,
        agent=agent,
        mode_id=eval_.mode_id,
        title=eval_.title,
        state=EvalState.ACCEPTED,
        eval_yaml=eval_.to_yaml(),
        cassette_jsonl=Cassette().to_jsonl(),
        content_sha256=content_sha256(eval_, Cassette()),
        failing_caught=1,
        failing=1,
        healthy_passed=1,
        healthy=1,
        reviewer="ann",
        at=datetime.now(UTC),
    )


async def looking(gate: Gate, until: Callable[[], bool], seconds: float = 60) -> None:
    """Have the gate look, until that is so."""
    task = asyncio.create_task(gate.look())
    try:
        async with asyncio.timeout(seconds):
            while not until():  # noqa: ASYNC110 - the gate sets no event of ours
                await asyncio.sleep(0.02)
            async with gate._one_at_a_time:  # what it is at, to its end: the row comes after the event
                assert not task.done()
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_a_change_waits_until_a_person_has_put_things_right(
    court: Court, caplog: pytest.LogCaptureFixture
) -> None:
    gate = court.gate()
    await advance(court.remote, {"outerloop.yaml": b"agent: [\n"})
    await gate.handle([court.delivery()])
    assert court.hand.published == []
    assert f"change c-{court.agent} for {court.agent} waits: outerloop.yaml at" in caplog.text
    await advance(court.remote, {"outerloop.yaml": TERMS.format(agent=court.agent).encode()})
    await looking(gate, lambda: bool(court.hand.published))
    assert court.hand.verdicts == [(f"c-{court.agent}", VERDICT_SHIP)]
    await court.remote.fetch()
    shipped = await already_shipped(court.remote, f"c-{court.agent}")
    assert shipped is not None
    assert shipped.certificate.models == ("model-that-answered",)
    assert shipped.certificate.proposed_by == "the-proposer"
    await gate.handle([court.delivery()])
    await gate.look_at(court.agent)
    assert len(court.hand.published) == 1


async def test_an_agent_that_nobody_configured_is_left(
    court: Court, caplog: pytest.LogCaptureFixture
) -> None:
    court.settings = court.settings.model_copy(update={"agents": "other=/nowhere"})
    await court.gate().handle([court.delivery()])
    assert court.hand.published == []
    assert f"OUTERLOOP_AGENTS names no repository of {court.agent}" in caplog.text


async def test_a_change_for_an_eval_that_nobody_accepted_is_still_poison(court: Court) -> None:
    court.change.eval_id = "unknown"
    with pytest.raises(PoisonError):
        await court.gate().handle([court.delivery()])


async def test_a_change_for_an_eval_that_the_base_does_not_fail_is_none(court: Court) -> None:
    record = await evals.get(court.db, court.change.eval_id)
    assert record is not None
    await evals.insert(court.db, replace(record, reproduction=Reproduction.NOT_REPRODUCED))
    with pytest.raises(PoisonError, match="nobody made binding"):
        await court.gate().handle([court.delivery()])


async def test_a_change_for_a_retired_eval_is_decided_and_blocks_no_other(court: Court) -> None:
    record = await evals.get(court.db, court.change.eval_id)
    assert record is not None
    retired = replace(record, state=EvalState.RETIRED, reviewer="ada", reason="we sell no lamps")
    await evals.insert(court.db, retired)
    await court.gate().handle([court.delivery()])
    ((said, _),) = court.hand.published
    assert isinstance(said, DecisionReached)
    assert (said.verdict, said.obstacle) == (VERDICT_REJECT, OBSTACLE_PERSON)
    assert said.reason == "ada retired its eval: we sell no lamps"


async def test_a_change_that_cannot_be_judged_keeps_no_other_waiting(court: Court) -> None:
    known = (await changes.of_agent(court.db, court.agent))[0]
    poison = replace(
        known, change_id=f"b-{court.agent}", eval_id="unknown", at=known.at - timedelta(minutes=1)
    )
    await changes.insert(court.db, poison)
    gate = court.gate()
    with pytest.raises(PoisonError):
        await gate.look_at(court.agent)
    await gate.look_at(court.agent)
    assert court.hand.verdicts == [(f"c-{court.agent}", VERDICT_SHIP)]


async def test_only_the_replica_that_holds_the_agent_looks_and_one_agent_stops_no_other(
    court: Court, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(lookout, "TICK_SECONDS", 0.01)
    agents = f"broken=/nowhere,{court.settings.agents}"
    court.settings = court.settings.model_copy(update={"agents": agents})
    unusable = replace(eval_of("broken"), at=datetime.now(UTC))
    await evals.insert(court.db, unusable)
    known = (await changes.of_agent(court.db, court.agent))[0]
    await changes.insert(
        court.db, replace(known, agent="broken", change_id="c-broken", eval_id=unusable.eval_id)
    )
    gate = court.gate()
    court.hand.held = False
    with pytest.raises(TimeoutError):
        await looking(gate, lambda: bool(court.hand.published), seconds=0.5)
    assert caplog.text == ""
    court.hand.held = True
    await looking(gate, lambda: bool(court.hand.published))
    assert court.hand.verdicts == [(f"c-{court.agent}", VERDICT_SHIP)]
    assert "broken waits" in caplog.text
    of_it = {"group": "gate", "agent": "broken"}
    assert (REGISTRY.get_sample_value("outerloop_agent_waits_total", of_it) or 0) > 0


async def test_a_change_that_was_just_proposed_is_the_handlers(court: Court) -> None:
    known = (await changes.of_agent(court.db, court.agent))[0]
    gate = court.gate()
    assert await gate._waiting(court.agent) == [known.message()]
    agent = f"{court.agent}-young"
    await changes.insert(court.db, replace(known, agent=agent, at=datetime.now(UTC)))
    assert await gate._waiting(agent) == []


async def decided_meanwhile(court: Court, gate: Gate) -> None:
    """Another replica's rejection comes out while the gate runs its trial."""
    judging = asyncio.create_task(gate.handle([court.delivery()]))
    await asyncio.sleep(0.3)
    other = DecisionReached(
        decision_id="other", agent=court.agent, change_id=court.change.change_id, verdict=VERDICT_REJECT
    )
    other.decided_at.FromDatetime(datetime.now(UTC))
    await decisions.insert(court.db, other)
    await judging


@pytest.mark.parametrize("last", [ASKED, ["exit", 1]], ids=["ship", "reject"])
async def test_the_first_verdict_wins(make: Make, last: Any) -> None:
    court = await make(["sleep", 2], last)
    await decided_meanwhile(court, court.gate())
    assert court.hand.published == []
    await court.remote.fetch()
    assert await already_shipped(court.remote, court.change.change_id) is None
    assert [d.decision_id for d in await decisions.of_agent(court.db, court.agent)] == ["other"]


async def test_two_replicas_ship_once_and_say_the_same(court: Court, tmp_path: Path) -> None:
    other = replace(court, settings=court.settings.model_copy(update={"cache": tmp_path / "other"}))
    await asyncio.gather(*(each.gate().handle([each.delivery()]) for each in (court, other)))
    assert set(court.hand.verdicts) == {(court.change.change_id, VERDICT_SHIP)}
    assert len({because for _, because in court.hand.published}) == 1
    assert len({decision.shipped_commit for decision, _ in court.hand.published}) == 1


async def test_one_id_never_has_two_verdicts(make: Make) -> None:
    becauses = []
    for step in (ASKED, ["exit", 1]):
        court = await make(step)
        await court.gate().handle([court.delivery()])
        becauses += [because[2:] for _, because in court.hand.published]
    assert becauses == [("ship",), ("reject",)]


@dataclass
class Interrupted:
    """A `Runner` for whom something happens before its n-th trial of a candidate, once."""

    runner: Here
    before: int
    happens: Callable[[], Awaitable[None]]
    seen: int = 0

    async def run(self, bench: Bench, trial: Trial) -> TrialRecord:
        if bench.subject is Subject.CANDIDATE:
            self.seen += 1
            if self.seen == self.before:
                await self.happens()
        return await self.runner.run(bench, trial)


async def interrupted(court: Court, happens: Callable[[], Awaitable[None]], before: int = 8) -> None:
    """Have the gate judge the change, one trial at a time, and this happen amid its confirmation."""
    court.settings = court.settings.model_copy(update={"gate_trials_ahead": 1})
    rows = Rows(court.db)

    def runner(checkouts: Checkouts) -> Interrupted:
        nonlocal before
        here = Here(court.settings, Sandbox(Unconfined()), checkouts, rows)
        made, before = Interrupted(here, before, happens), 0
        return made

    await Gate(court.settings, cast(Bus, court.hand), court.db, runner).handle([court.delivery()])


async def entries_of(court: Court) -> list[tuple[str, int | None]]:
    """The ledger: what was written, and the index if there is one."""
    await court.remote.fetch()
    commit = await court.remote.resolve(ledger.REF) or ""
    text = await court.remote.show(commit, ledger.NAME) or b""
    return [(line["what"], line.get("index")) for line in map(json.loads, text.splitlines())]


async def candidates(court: Court) -> list[str]:
    """The series of each trial of a candidate."""
    rows = await court.db.query(
        "SELECT decision_id FROM trials FINAL WHERE agent = {agent:String} AND subject = 'candidate'",
        agent=court.agent,
    )
    return [row["decision_id"] for row in rows]


@pytest.mark.parametrize(
    ("path", "written", "series"),
    [
        ("docs/guide.md", [("reserved", 1), ("released", None)], 1),
        ("prompts/other.md", [("reserved", 1), ("reserved", 2), ("released", None)], 2),
    ],
    ids=["no eval depends on it", "the new eval depends on it"],
)
async def test_a_hearing_goes_on_when_somebody_pushes_what_no_eval_depends_on(
    court: Court, path: str, written: list[tuple[str, int | None]], series: int
) -> None:
    async def push() -> None:
        await advance(court.remote, {path: b"Somebody's work.\n"})

    await interrupted(court, push)
    assert court.hand.verdicts == [(court.change.change_id, VERDICT_SHIP)]
    assert await entries_of(court) == written
    ran = await candidates(court)
    assert len(set(ran)) == series
    decision = court.hand.published[0][0]
    shipped = await already_shipped(court.remote, court.change.change_id)
    assert shipped is not None
    assert shipped.certificate.spending is not None
    assert decision.series == shipped.certificate.spending.content
    # As many as the claim took and the screen: none was run for a second time.
    claimed = sum(claim.trials for claim in shipped.certificate.claims if claim.kind is Kind.NEW)
    assert ran.count(decision.series) == claimed + shipped.certificate.screen[1]
    assert (await verify(await open_clone(court.remote_folder))).findings == ()


@pytest.mark.parametrize("lost", ["number = 6", "1"], ids=["one", "all"])
async def test_what_holds_an_index_and_lost_its_trials_pays_for_another(
    court: Court, lost: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def wait() -> None:
        raise WaitError("the budget is spent", datetime.now(UTC))

    await interrupted(court, wait)
    assert (await entries_of(court), court.hand.published) == ([("reserved", 1), ("rested", None)], [])
    first = set(await candidates(court))
    of_candidate = f"agent = '{court.agent}' AND subject = 'candidate'"
    await court.db.command(f"DELETE FROM trials WHERE {of_candidate} AND {lost}")  # noqa: S608 - no stranger's
    await court.gate().handle([court.delivery()])
    assert court.hand.verdicts == [(court.change.change_id, VERDICT_SHIP)]
    assert "trials are lost: it is heard again with another index" in caplog.text
    assert (await entries_of(court))[2:] == [("reserved", 2), ("released", None)]
    decision = court.hand.published[0][0]
    assert (decision.ledger_index, decision.series in first) == (2, False)
    assert (await verify(await open_clone(court.remote_folder))).findings == ()


async def test_a_change_that_fits_only_what_its_proposer_was_shown_is_rejected(make: Make) -> None:
    court = await make(ASKED, held_out=[[["exit", 1]], [["exit", 2]]])
    await court.gate().handle([court.delivery()])
    decision = court.hand.published[0][0]
    assert (decision.verdict, decision.obstacle) == (VERDICT_REJECT, OBSTACLE_HELD_OUT)
    # One bit is told: no counts, no reasons, not even how many trials drew a variant.
    assert decision.reason == "the new eval passes, but variants of it that nobody was shown do not"
    assert list(decision.outcomes) == []
    ran = await Rows(court.db).of(decision.series)
    assert all(r.passed != bool(r.variant) for r in ran)
    assert {0} < {r.variant for r in ran} <= {0, 1, 2}  # which is drawn is chance
    assert {r.variant for r in ran if r.number < SCREEN_TRIALS} == {0}


async def test_a_change_that_holds_on_variants_too_ships_with_a_claim_on_them(make: Make) -> None:
    court = await make(ASKED, held_out=[[ASKED]])
    await court.gate().handle([court.delivery()])
    assert court.hand.verdicts == [(court.change.change_id, VERDICT_SHIP)]
    await court.remote.fetch()
    shipped = await already_shipped(court.remote, court.change.change_id)
    assert shipped is not None
    kinds = {claim.kind: claim.trials for claim in shipped.certificate.claims}
    assert kinds.keys() == {Kind.NEW, Kind.HELD_OUT}
    ran = await Rows(court.db).of(court.hand.published[0][0].series)
    assert sum(r.variant == 1 for r in ran) >= kinds[Kind.HELD_OUT] > 0
    assert (await verify(await open_clone(court.remote_folder))).findings == ()


async def test_what_waited_and_lost_nothing_goes_on_at_its_own_index(court: Court) -> None:
    async def wait() -> None:
        raise WaitError("the budget is spent", datetime.now(UTC))

    await interrupted(court, wait)
    await court.gate().handle([court.delivery()])
    assert await entries_of(court) == [("reserved", 1), ("rested", None), ("released", None)]
    assert set(await candidates(court)) == {court.hand.published[0][0].series}


async def test_a_pause_stops_a_hearing_before_its_next_trial_and_nothing_is_lost(court: Court) -> None:
    asked = 0

    async def paused(agent: str) -> str:
        nonlocal asked
        assert agent == court.agent
        asked += 1
        return "the loop is paused by ada" if asked > 6 else ""

    gate = court.gate(paused)
    await gate.handle([court.delivery()])
    ran = len(await candidates(court))
    assert (0 < ran < 6, court.hand.published) == (True, [])
    await gate.handle([court.delivery()])  # still paused: it is not even looked at
    assert len(await candidates(court)) == ran
    await court.gate().handle([court.delivery()])
    assert court.hand.verdicts == [(court.change.change_id, VERDICT_SHIP)]
    # What had run counts: no trial was run for a second time.
    rows = await numbered(court)
    assert len(rows) == len(set(rows)) > ran


async def numbered(court: Court) -> list[tuple[str, int]]:
    """The series, eval and number of each trial of a candidate, as often as it has a row."""
    rows = await court.db.query(
        "SELECT decision_id, eval_id, number FROM trials"
        " WHERE agent = {agent:String} AND subject = 'candidate'",
        agent=court.agent,
    )
    return [(row["decision_id"] + row["eval_id"], row["number"]) for row in rows]


async def test_a_verdict_is_bound_to_the_settings_and_the_new_eval(court: Court) -> None:
    record = eval_of(court.agent, ASKED)
    new = Entry(record.eval, record.cassette)

    def court_of(entry: Entry = new, **changed: Any) -> str:
        return judge.court_of(court.settings.model_copy(update=changed), entry)

    others = [
        court_of(sandbox="bubblewrap"),
        court_of(anthropic_base_url="http://127.0.0.1:1"),
        court_of(trial_seconds=1.0),
        court_of(checks_seconds=1.0),
        court_of(gate_model_calls=1),
        court_of(replace(new, eval=record.eval.model_copy(update={"bar": 0.6}))),
    ]
    assert len({court_of(), *others}) == len(others) + 1
    assert court_of(gate_trials_at_once=7) == court_of()


SLOW, QUICK, BROKEN = "sleep 60", "exit 0", "echo No module named pytest; exit 1"


async def own_tests(court: Court, folder: Path, changed: str, base: str) -> str:
    for name, script in (("changed", changed), ("base", base)):
        (folder / name).mkdir(parents=True)
        (folder / name / "test.sh").write_text(script)
    agent = AgentFile(agent=court.agent, run=("true",), test=("sh", "test.sh"), mutable=("**",))
    candidate = Candidate("d1", "base", "changed", "", agent)
    settings = court.settings.model_copy(update={"checks_seconds": 1.0, "trial_seconds": 0.001})
    return await failing_tests(candidate, Checkouts(court.remote, folder), settings, Sandbox(Unconfined()))


async def test_tests_that_do_not_end_any_more_stop_the_change(court: Court, tmp_path: Path) -> None:
    assert await own_tests(court, tmp_path / "quick", QUICK, SLOW) == ""
    reason = await own_tests(court, tmp_path / "slow", SLOW, QUICK)
    assert reason.startswith("the agent's own tests do not end within 1 s any more")


async def test_tests_that_fail_stop_the_change_if_they_passed_before(court: Court, tmp_path: Path) -> None:
    reason = await own_tests(court, tmp_path / "broken", BROKEN, QUICK)
    assert reason == "the agent's own tests fail: No module named pytest\nit exited with code 1"
    assert await own_tests(court, tmp_path / "mended", QUICK, BROKEN) == ""
    with pytest.raises(UserError, match=r"with the change and without it.*OUTERLOOP_AGENT_ENVIRONMENT"):
        await own_tests(court, tmp_path / "both", BROKEN, BROKEN)


async def test_tests_that_fail_anyhow_are_not_run_at_every_look(court: Court, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    terms = TERMS.format(agent=court.agent) + f"test: [sh, -c, 'echo once >> {ran}; exit 1']\n"
    await advance(court.remote, {"outerloop.yaml": terms.encode()})
    gate = court.gate()
    for _ in range(2):
        await gate.look_at(court.agent)
    assert (ran.read_text().split(), court.hand.verdicts) == (["once"] * 2, [])


async def test_tests_that_never_ended_in_time_are_the_teams_to_mend(court: Court, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="OUTERLOOP_CHECKS_SECONDS larger"):
        await own_tests(court, tmp_path, SLOW, SLOW)
