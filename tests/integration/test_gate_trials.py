"""Trials as messages: a judge that asks, workers that run them, and what happens when one of them goes.

First the worker and the judge's side by hand, on real git, ClickHouse and agents; then both over a broker.
"""

import asyncio
import sys
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import pytest
import pytest_asyncio
from aiohttp import web
from google.protobuf.message import Message

from engines.repositories import TEAM, WHEN, advance, agent_repository
from engines.server import Server
from integration.test_gate import accepted as accepted_row
from integration.test_trial import AGENT
from outerloop.cli import kafka
from outerloop.contracts.v1.decision_pb2 import VERDICT_REJECT, DecisionReached
from outerloop.contracts.v1.trial_pb2 import TrialFinished, TrialRequested
from outerloop.evals.expect.answer import Answered
from outerloop.evals.model import Cassette, Eval, Provenance, content_sha256
from outerloop.evals.suite import REF, Entry, files_of
from outerloop.gate.core.case import Trial
from outerloop.gate.settings import GateSettings
from outerloop.gate.trials import dispatch, workbench, worker
from outerloop.gate.trials.bench import Bench, Subject
from outerloop.gate.trials.dispatch import FINISHED, Dispatch
from outerloop.gate.trials.runner import trial_id
from outerloop.gate.trials.terms import terms_sha256
from outerloop.gate.trials.worker import REQUESTED, Worker
from outerloop.runtime.agentfile import AgentFile
from outerloop.runtime.bus import Bus
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.envelope import Delivery, key_of, stable_id
from outerloop.runtime.errors import OutageError, PoisonError, TrialNotRunError
from outerloop.runtime.git import RefUpdate, Repository
from outerloop.runtime.topics import dead_letter_topic, topics
from outerloop.store import changes, decisions, evals, trials
from outerloop.store.changes import ChangeRecord
from outerloop.store.changes import State as ChangeState
from outerloop.store.migrate import migrate
from outerloop.trial.isolation import Unconfined
from outerloop.trial.sandbox import Sandbox

pytestmark = pytest.mark.asyncio(loop_scope="module")

ASKED, SLOW = ["model", {}], ["sleep", 2]
WORKER = """
import asyncio
from outerloop.gate.settings import GateSettings
from outerloop.gate.trials.worker import Worker
from outerloop.runtime import service
from outerloop.runtime.settings import load
from outerloop.trial.backend import sandbox_of

settings = load(GateSettings)
sandbox = sandbox_of(settings)
asyncio.run(service.run(settings, "gate", lambda bus, db: (Worker(settings, bus, db, sandbox).tend,)))
"""


@dataclass
class Model:
    """Answers every call, and counts them by the key of the worker's settings."""

    url: str = ""
    calls: Counter[str] = field(default_factory=Counter[str])

    async def messages(self, request: web.Request) -> web.Response:
        self.calls[request.headers["x-api-key"]] += 1
        return web.json_response({"text": "hi", "usage": {"input_tokens": 1, "output_tokens": 1}})


@dataclass
class Hand:
    """Kafka by hand: what was published, once its row is there."""

    db: ClickHouse
    published: list[Message] = field(default_factory=list)

    def subscribe(self, topics: Sequence[str], handle: Any, **_: Any) -> None:
        assert tuple(topics) == (REQUESTED,)

    def listen(self, topics: Sequence[str], hear: Any, **_: Any) -> None:
        assert tuple(topics) == (FINISHED,)

    async def publish(self, message: Message, *, because: Sequence[object], cause: Any = None) -> None:
        if isinstance(message, TrialFinished) and not message.not_run:
            assert await trials.get(self.db, message.series, message.eval_id, message.number) is not None
        copy = type(message)()
        copy.CopyFrom(message)
        self.published.append(copy)

    def answers(self) -> list[tuple[int, bool, str]]:
        got = [message for message in self.published if isinstance(message, TrialFinished)]
        return [(answer.attempt, answer.passed, answer.not_run) for answer in got]


@dataclass
class Stage:
    """One agent with a change, and evals that have it take steps."""

    agent: str
    remote: Repository
    settings: GateSettings
    db: ClickHouse
    bench: Bench
    hand: Hand

    def worker(self, **changed: Any) -> Worker:
        settings = self.settings.model_copy(update=changed)
        return Worker(settings, cast(Bus, self.hand), self.db, Sandbox(Unconfined()))

    def trial(self, name: str = "quick", number: int = 0) -> Trial:
        return Trial(name if name in self.bench.entries else f"{name}-{self.agent}", number)

    def asked(self, name: str = "quick", number: int = 0, **changed: Any) -> Delivery:
        request = dispatch._request(self.bench, self.trial(name, number), terms_sha256(self.settings))
        values: dict[str, Any] = {"attempt": 1, "request_id": "r", "requested_at": datetime.now(UTC)}
        for field_name, value in (values | changed).items():
            if field_name == "requested_at":
                request.requested_at.FromDatetime(value)
            else:
                setattr(request, field_name, value)
        return delivery(request)


def delivery(message: Message) -> Delivery:
    return Delivery("t", 0, 0, key_of(message), message.SerializeToString())


async def until(holds: Callable[[], object], seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 - it happens in another process
            await asyncio.sleep(0.02)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def model() -> AsyncIterator[Model]:
    one, application = Model(), web.Application()
    application.router.add_post("/v1/messages", one.messages)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    one.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield one
    await runner.cleanup()


@pytest.fixture(scope="module")
def database() -> str:
    return f"trials_{uuid.uuid4().hex[:8]}"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def db(chdb: str, database: str) -> AsyncIterator[ClickHouse]:
    settings = GateSettings(clickhouse=chdb, clickhouse_database=database)
    await migrate(settings)
    one = ClickHouse(settings)
    yield one
    await one.close()


@pytest_asyncio.fixture(loop_scope="module")
async def stage(tmp_path: Path, chdb: str, database: str, db: ClickHouse, model: Model) -> Stage:
    return await staged(tmp_path, chdb, database, db, model)


async def staged(folder: Path, chdb: str, database: str, db: ClickHouse, model: Model, **more: Any) -> Stage:
    agent = f"a{uuid.uuid4().hex[:8]}"
    terms = f"agent: {agent}\nrun: [python, -S, agent.py]\nmutable: [prompts/**]\n"
    files = {"outerloop.yaml": terms.encode(), "agent.py": AGENT.encode(), "prompts/policy.md": b"Be kind.\n"}
    remote, head = await agent_repository(folder, files)
    await remote.checkout(head, folder / "work")
    (folder / "work/prompts/policy.md").write_text("Be kind and brief.\n")
    patch = await remote.patch_from(head, folder / "work")
    await changes.insert(db, change_of(agent, head, patch))
    steps: dict[str, list[Any]] = {"quick": [ASKED], "slow": [ASKED, SLOW], "failing": [["exit", 1]]}
    entries = [await accepted(db, agent, name, *taken) for name, taken in steps.items()]
    bench = Bench(
        series=f"series-{agent}",
        subject=Subject.CANDIDATE,
        agentfile=AgentFile.parse(terms),
        tree=await remote.apply(head, patch),
        base_commit=head,
        base_tree=await remote.tree_of(head),
        suite_commit="",
        change_id=f"c-{agent}",
        entries={entry.eval.id: entry for entry in entries},
        contents={entry.eval.id: content_sha256(entry.eval, entry.cassette) for entry in entries},
    )
    values: dict[str, Any] = {
        "agents": f"{agent}={folder / 'remote'}",
        "cache": folder / "cache-b",
        "sandbox": "none",
        "clickhouse": chdb,
        "clickhouse_database": database,
        "ANTHROPIC_BASE_URL": model.url,
        "ANTHROPIC_API_KEY": "b",
    }
    return Stage(agent, remote, GateSettings(**values | more), db, bench, Hand(db))


def change_of(agent: str, head: str, patch: str) -> ChangeRecord:
    return ChangeRecord(
        change_id=f"c-{agent}",
        agent=agent,
        mode_id="m1",
        eval_id="quick",
        attempt=1,
        state=ChangeState.PROPOSED,
        base_commit=head,
        patch=patch,
        diagnosis="",
        model="the-proposer",
        usd=0.1,
        at=datetime.now(UTC),
    )


async def accepted(db: ClickHouse, agent: str, name: str, *steps: Any) -> Entry:
    eval_ = Eval(
        id=f"{name}-{agent}",
        agent=agent,
        mode_id="m1",
        title=name,
        input={"steps": steps},
        expect=(Answered(),),
        provenance=Provenance(
            drafted_by="test", drafted_at=datetime(2026, 1, 1, tzinfo=UTC), source_traces=()
        ),
    )
    await evals.insert(db, accepted_row(agent, eval_))
    return Entry(eval_, Cassette())


async def test_a_trial_is_run_once_and_its_row_is_there_before_its_event(stage: Stage, model: Model) -> None:
    model.calls.clear()
    one = stage.worker()
    await one.handle([stage.asked(), stage.asked("failing")])
    rows = await trials.of_series(stage.db, stage.bench.series)
    assert [(row.eval_id.split("-")[0], row.passed, row.subject) for row in rows] == [
        ("failing", False, "candidate"),
        ("quick", True, "candidate"),
    ]
    assert sorted(stage.hand.answers()) == [(1, False, ""), (1, True, "")]
    for again in (one, stage.worker()):  # redelivered, to it or to another
        await again.handle([stage.asked(attempt=2)])
    assert stage.hand.answers()[2:] == [(2, True, "")] * 2
    assert model.calls == {"b": 1}


async def test_two_workers_with_the_same_trial_count_it_once(stage: Stage, tmp_path: Path) -> None:
    """The second one's row would be newer, and yet the first stays."""
    both = [stage.worker(cache=tmp_path / who) for who in ("x", "y")]
    await asyncio.gather(*(one.handle([stage.asked()]) for one in both))
    (row,) = await trials.of_series(stage.db, stage.bench.series)
    other = replace(row, passed=not row.passed, at=row.at + timedelta(seconds=5))
    assert await trials.keep(stage.db, other) == row
    await trials.insert(stage.db, [other], token=row.trial_id)  # as by a worker that has looked too early
    assert await trials.of_series(stage.db, stage.bench.series) == [row]
    assert stage.hand.answers() == [(1, True, "")] * 2


async def test_an_outage_of_clickhouse_costs_no_second_run(
    stage: Stage, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    model.calls.clear()

    async def away(*_: Any, **__: Any) -> None:
        raise OutageError("ClickHouse is away")

    one = stage.worker()
    with monkeypatch.context() as patched:
        patched.setattr(stage.db, "insert", away)
        with pytest.raises(OutageError):
            await one.handle([stage.asked()])
    assert stage.hand.answers() == []
    await one.handle([stage.asked()])
    assert stage.hand.answers() == [(1, True, "")]
    assert model.calls == {"b": 1}


UNFIT: list[tuple[dict[str, Any], str]] = [
    ({"agent": "nobody"}, "there is no change"),
    ({"agent": "nobody", "change_id": ""}, "OUTERLOOP_AGENTS names no repository of nobody"),
    ({"base_commit": "0" * 40}, "git rev-parse"),
    ({"base_commit": "main"}, "not a full commit id"),
    ({"tree": "1" * 40}, "was asked for, and what was named makes"),
    ({"change_id": ""}, "was asked for, and what was named makes"),
    ({"change_id": "c-unknown"}, "there is no change c-unknown"),
    ({"eval_sha256": "2" * 64}, "is not there as it was asked for"),
    ({"suite_commit": "3" * 40}, "git rev-parse"),
    ({"requested_at": datetime.now(UTC) - timedelta(days=2)}, "it was asked for 2 days ago"),
]


async def test_what_cannot_be_run_is_answered(stage: Stage) -> None:
    for changed, why in UNFIT:
        await stage.worker().handle([stage.asked(**changed)])
        attempt, passed, not_run = stage.hand.answers()[-1]
        assert (attempt, passed) == (1, False)
        assert why in not_run
    assert len(stage.hand.published) == len(UNFIT)
    assert await trials.of_series(stage.db, stage.bench.series) == []


async def test_garbage_is_poison(stage: Stage) -> None:
    for broken in (stage.asked(trial_id="other"), stage.asked(request_id="")):
        with pytest.raises(PoisonError):
            await stage.worker().handle([broken])
    assert stage.hand.published == []


async def test_what_a_verdict_has_made_needless_is_not_run(stage: Stage, model: Model) -> None:
    model.calls.clear()
    verdict = DecisionReached(
        decision_id="d", agent=stage.agent, change_id=stage.bench.change_id, verdict=VERDICT_REJECT
    )
    verdict.decided_at.FromDatetime(datetime.now(UTC))
    await decisions.insert(stage.db, verdict)
    await stage.worker().handle([stage.asked()])
    assert stage.hand.answers() == [(1, False, "its change has its verdict")]
    assert model.calls == {}


async def test_a_base_is_tried_without_a_change(stage: Stage) -> None:
    tree = await stage.remote.tree_of(stage.bench.base_commit)
    await stage.worker().handle([stage.asked(change_id="", tree=tree)])
    (row,) = await trials.of_series(stage.db, stage.bench.series)
    assert (row.subject, row.passed) == ("base", True)


async def test_an_earlier_eval_is_read_from_the_suite(stage: Stage) -> None:
    known = stage.bench.entries[f"quick-{stage.agent}"]
    earlier = Entry(known.eval.model_copy(update={"id": "earlier"}), known.cassette)
    tree = await stage.remote.tree_with(None, files_of(earlier))
    suite = await stage.remote.commit(tree, [], "", when=WHEN, author=TEAM)
    await stage.remote.push_atomic([RefUpdate(REF, suite, "")])
    entries = {"earlier": earlier, "quick": known}
    contents = {name: content_sha256(entry.eval, entry.cassette) for name, entry in entries.items()}
    stage.bench = replace(stage.bench, suite_commit=suite, entries=entries, contents=contents)
    for name in entries:
        await stage.worker().handle([stage.asked(name)])
    assert [row.eval_id for row in await trials.of_series(stage.db, stage.bench.series)] == ["earlier"]
    assert stage.hand.answers()[1][2] == "eval quick is not there as it was asked for"


async def test_a_worker_slows_down_in_an_outage_and_no_longer(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "LONGEST_WAIT", 1.0)
    one = stage.worker()
    times = [time.monotonic()]
    for asked in [*[stage.asked(tree="1" * 40)] * 4, stage.asked(), stage.asked(number=1)]:
        await one.handle([asked])
        times.append(time.monotonic())
    took = [after - before for before, after in pairwise(times)]
    assert [seconds >= 1.0 for seconds in took[:5]] == [False, False, False, True, True]
    assert one._lost == 0


def working_below(folder: Path) -> list[int]:
    """Processes whose working directory is in `folder`."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            inside = (process / "cwd").resolve().is_relative_to(folder)
        except OSError:  # gone meanwhile, or not ours
            continue
        found += [int(process.name)] if inside else []
    return found


async def test_stopped_it_ends_what_runs_and_leaves_nothing_behind(stage: Stage) -> None:
    trees = stage.settings.cache / "gate-trials/trees"
    (trees / "of a killed one").mkdir(parents=True)
    one = stage.worker()
    tending = asyncio.create_task(one.tend())
    handling = asyncio.create_task(one.handle([stage.asked("slow")]))
    await until(lambda: working_below(trees))
    assert not (trees / "of a killed one").exists()
    tending.cancel()
    await asyncio.wait([tending])
    assert working_below(trees) == []
    assert not trees.exists()
    await asyncio.sleep(0.1)
    assert not handling.done()  # not committed: the trial is given back
    assert (stage.hand.published, await trials.of_series(stage.db, stage.bench.series)) == ([], [])
    handling.cancel()
    await asyncio.wait([handling])


async def test_the_disk_that_checkouts_take_is_bounded(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbench, "KEPT", 1)
    one = stage.worker()
    for number in range(3):
        base = await advance(
            stage.remote, {"prompts/policy.md": str(number).encode()}
        )  # fetched when asked for
        tree = await stage.remote.tree_of(base)
        await one.handle([stage.asked(number=number, change_id="", base_commit=base, tree=tree)])
    assert stage.hand.answers() == [(1, True, "")] * 3
    assert len(list((stage.settings.cache / "gate-trials/trees").iterdir())) == 1


def finished(request: TrialRequested, **more: Any) -> Delivery:
    answer = TrialFinished(trial_id=request.trial_id, agent=request.agent, attempt=request.attempt, **more)
    return delivery(answer)


@pytest_asyncio.fixture(loop_scope="module")
async def judge(stage: Stage) -> AsyncIterator[Dispatch]:
    """The judge's side, by hand."""
    one = Dispatch(stage.settings, cast(Bus, stage.hand), stage.db)
    watching = asyncio.create_task(one.watch())
    yield one
    watching.cancel()
    await asyncio.wait([watching])


def requests(stage: Stage) -> list[TrialRequested]:
    return [message for message in stage.hand.published if isinstance(message, TrialRequested)]


async def test_a_trial_that_did_not_happen_is_asked_for_again_under_the_next_number(
    stage: Stage, judge: Dispatch
) -> None:
    asking = asyncio.create_task(judge.run(stage.bench, stage.trial()))
    await until(lambda: len(requests(stage)) == 1)
    judge.hear(finished(requests(stage)[0], not_run="the model is away"))
    with pytest.raises(TrialNotRunError, match="the model is away"):
        await asking
    asking = asyncio.create_task(judge.run(stage.bench, stage.trial()))
    await until(lambda: len(requests(stage)) == 2)
    first, second = requests(stage)
    assert (first.attempt, second.attempt) == (1, 2)
    assert first.trial_id == second.trial_id == trial_id(stage.bench.series, stage.trial())
    assert first.request_id != second.request_id
    judge.hear(finished(first, not_run="late news of the first"))
    await stage.worker().handle([delivery(second)])
    judge.hear(finished(second))
    assert (await asyncio.wait_for(asking, 60)).passed


async def test_no_event_is_needed_and_two_may_ask_for_the_same(
    stage: Stage, judge: Dispatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "LOOK_SECONDS", 0.05)
    judge._news.set()
    both = asyncio.gather(*(judge.run(stage.bench, stage.trial()) for _ in range(2)))
    await until(lambda: len(requests(stage)) == 2)
    judge.hear(Delivery(FINISHED, 0, 0, None, b"\xff"))
    await stage.worker().handle([delivery(requests(stage)[0])])
    one, other = await asyncio.wait_for(both, 60)
    assert [one] == [other] == await trials.of_series(stage.db, stage.bench.series)


async def test_what_nobody_answers_is_asked_for_again_after_a_while(
    stage: Stage, judge: Dispatch, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "outerloop.gate.trials.dispatch")
    monkeypatch.setattr(dispatch, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(dispatch, "TELL_SECONDS", 0.1)
    judge._patience = 0.3
    judge._news.set()
    asking = asyncio.create_task(judge.run(stage.bench, stage.trial()))
    await until(lambda: len(requests(stage)) >= 3)
    asked = requests(stage)[:3]
    assert [request.attempt for request in asked] == [1, 2, 3]
    first, second, third = (request.requested_at.ToMicroseconds() / 1e6 for request in asked)
    assert second - first >= 0.3
    assert third - second >= 0.6
    assert "1 trials are waited for; number 0 of eval quick-" in caplog.text
    await stage.worker().handle([delivery(requests(stage)[0])])  # the first one comes after all
    assert (await asyncio.wait_for(asking, 60)).passed
    assert not judge._asked
    assert not judge._attempts


# From here on over a broker: a worker in a process of its own, another one and the judge in this one.


@dataclass
class Pair:
    """Worker A, which can be killed, and worker B."""

    stage: Stage
    a: Server
    judge: Dispatch
    folder: Path
    bus: Bus

    def of_a(self, name: str) -> list[int]:
        """Numbers of trials whose requests come to A."""
        series = self.stage.bench.series
        ids = {number: trial_id(series, self.stage.trial(name, number)) for number in range(50)}
        return [number for number, one in ids.items() if not self.bus.holds(REQUESTED, stable_id(one, 1))]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pair(  # noqa: PLR0917 - what pytest gives
    tmp_path_factory: pytest.TempPathFactory,
    tansu: str,
    chdb: str,
    database: str,
    db: ClickHouse,
    model: Model,
) -> AsyncIterator[Pair]:
    folder = tmp_path_factory.mktemp("pair")
    values = {"kafka": tansu, "kafka_idempotent_producer": False, "kafka_session_timeout_ms": 3000}
    stage = await staged(folder, chdb, database, db, model, **values)
    wanted = {name: topics()[name].partitions for name in (REQUESTED, FINISHED)}
    await kafka.create_topics(stage.settings, wanted | {dead_letter_topic(REQUESTED, "gate"): 1}, 1)
    a = start(stage, folder)
    bus = Bus(stage.settings, "gate")
    b = Worker(stage.settings, bus, db, Sandbox(Unconfined()))
    judge = Dispatch(stage.settings, bus, db)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(dispatch, "LOOK_SECONDS", 60.0)  # so that only events tell
        async with bus:
            await until(lambda: " is ready" in (folder / "a.log").read_text())
            beside = [asyncio.create_task(each()) for each in (b.tend, judge.watch)]
            consumer = bus._subscribers[0].consumer
            await until(lambda: 0 < len(consumer.assignment()) < wanted[REQUESTED])  # A has the others
            yield Pair(stage, a, judge, folder, bus)
            for task in beside:
                task.cancel()
            await asyncio.wait(beside)
    a.kill()


def start(stage: Stage, folder: Path) -> Server:
    settings = stage.settings
    names = (
        "agents",
        "sandbox",
        "clickhouse",
        "clickhouse_database",
        "kafka",
        "trial_seconds",
        "gate_model_calls",
    )
    said = {f"OUTERLOOP_{name.upper()}": str(getattr(settings, name)) for name in names}
    said |= {
        "OUTERLOOP_KAFKA_IDEMPOTENT_PRODUCER": "false",
        "OUTERLOOP_KAFKA_SESSION_TIMEOUT_MS": str(settings.kafka_session_timeout_ms),
        "OUTERLOOP_CACHE": str(folder / "cache-a"),
        "ANTHROPIC_BASE_URL": settings.anthropic_base_url,
        "ANTHROPIC_API_KEY": "a",
    }
    argv = ["env", *(f"{name}={value}" for name, value in said.items()), sys.executable, "-c", WORKER]
    one = Server(argv, folder / "a.log", lambda: True)
    one.start()
    return one


async def run(pair: Pair, name: str, numbers: Iterable[int]) -> list[bool]:
    asked = [pair.judge.run(pair.stage.bench, pair.stage.trial(name, number)) for number in numbers]
    return [record.passed for record in await asyncio.wait_for(asyncio.gather(*asked), 60)]


async def test_two_workers_share_the_trials(pair: Pair, model: Model) -> None:
    model.calls.clear()
    assert await run(pair, "quick", range(16)) == [True] * 16
    assert sum(model.calls.values()) == 16
    assert set(model.calls) == {"a", "b"}


async def test_what_a_killed_worker_was_at_is_run_by_the_other(pair: Pair, model: Model) -> None:
    model.calls.clear()
    running = asyncio.create_task(run(pair, "slow", pair.of_a("slow")[:3]))
    await until(lambda: model.calls["a"] and working_below(pair.folder / "cache-a"))
    pair.a.kill()
    await until(lambda: not working_below(pair.folder / "cache-a"))  # no sandbox outlives it
    assert await running == [True] * 3
    rows = await trials.of_series(pair.stage.db, pair.stage.bench.series)
    assert len([row for row in rows if row.eval_id.startswith("slow")]) == 3
    assert model.calls["b"] == 3
