"""Draft on a real ClickHouse engine: second openings, second looks, reviews. The bus only listens."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

import samples
from engines.draft import Ear, delivery, record_runs
from outerloop.cli.came import Sent, watched
from outerloop.cli.cases import proof_of
from outerloop.contracts.v1.decision_pb2 import VERDICT_SHIP, DecisionReached
from outerloop.contracts.v1.eval_pb2 import (
    REVIEW_ACCEPT,
    REVIEW_EDIT,
    REVIEW_MUTE,
    REVIEW_NOT_A_FAILURE,
    REVIEW_REJECT,
    REVIEW_RETIRE,
    REVIEW_UNSPECIFIED,
    EvalAccepted,
    EvalDrafted,
    EvalImported,
    EvalLinked,
    EvalRetired,
    EvalReviewed,
    EvalUndraftable,
    Review,
)
from outerloop.contracts.v1.failure_pb2 import ModeOpened
from outerloop.draft.app import Drafter
from outerloop.draft.evidence import Amount, Evidence, gather
from outerloop.draft.record import Opening, undraftable
from outerloop.draft.settings import DraftSettings
from outerloop.evals.exchange.read import entry_of, read
from outerloop.evals.expect.behaviour import NoErrorStatus
from outerloop.evals.expect.tools import ToolCalled
from outerloop.evals.grade import grade
from outerloop.propose import evidence as propose_evidence
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.errors import PoisonError
from outerloop.store import decisions, evals, heldout, modes
from outerloop.store.evals import EvalRecord, State
from outerloop.store.migrate import migrate

pytestmark = pytest.mark.asyncio(loop_scope="module")

ASKED = "Please cancel my order A-1"
LOOKED, CANCELLED = samples.Call("get_order", {"id": "A-1"}), samples.Call("cancel", {"id": "A-1"})
FAILED = samples.Call("get_order", {"id": "1"}, "invalid order id '1'", failed=True)
NOW = datetime.now(UTC).replace(microsecond=0)


class World:
    """An agent with one mode, and the service that drafts for it."""

    def __init__(self, db: ClickHouse, settings: DraftSettings) -> None:
        self.agent = f"agent-{uuid.uuid4().hex[:8]}"
        self.mode = f"{self.agent}-mode"
        self.db, self.settings, self.bus = db, settings, Ear()
        self.drafter = Drafter(settings, self.bus, db)
        self.number = uuid.uuid4().int >> 64

    async def ran(self, *calls: samples.Call, mode: str = "", count: int = 3, error: str = "") -> None:
        for _ in range(count):
            self.number += 1
            exported = samples.run(self.number % 10**8, ASKED, *calls, agent=self.agent, error=error)
            await record_runs(self.db, [exported], mode)

    async def opens(self, event: str = "first") -> None:
        opened = ModeOpened(mode_id=self.mode, agent=self.agent, title="get_order fails")
        await self.drafter.handle([delivery(opened, event)])

    async def review(
        self, record: EvalRecord, verdict: Review, reason: str = "", eval_yaml: str = "", who: str = "ada"
    ) -> None:
        review = EvalReviewed(
            eval_id=record.eval_id,
            agent=self.agent,
            review=verdict,
            reviewer=who,
            reason=reason,
            content_sha256=record.content_sha256,
            eval_yaml=eval_yaml,
        )
        review.reviewed_at.FromDatetime(NOW)
        await self.drafter.handle([delivery(review, "review")])

    async def evals(self, state: State | None = None) -> list[EvalRecord]:
        return await evals.of_agent(self.db, self.agent, state)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(chdb: str) -> AsyncIterator[tuple[ClickHouse, DraftSettings]]:
    where: dict[str, Any] = {"clickhouse": chdb, "clickhouse_database": f"draft_{uuid.uuid4().hex[:8]}"}
    settings = DraftSettings(**where)
    await migrate(settings)
    db = ClickHouse(settings)
    yield db, settings
    await db.close()


@pytest.fixture
def world(engine: tuple[ClickHouse, DraftSettings]) -> World:
    return World(*engine)


async def drafted(world: World, event: str = "first") -> EvalRecord:
    await world.ran(LOOKED, CANCELLED)
    await world.ran(FAILED, mode=world.mode)
    await world.opens(event)
    (record,) = await world.evals()
    return record


async def test_each_opening_of_a_mode_gets_one_eval(world: World) -> None:
    first = await drafted(world)
    await world.opens()
    assert await world.evals() == [first]
    await world.opens("second")
    assert len(await world.evals()) == 2
    ids = [event_id for event_id, _ in world.bus.heard]
    assert ids[0] == ids[1] != ids[2]
    assert all(isinstance(said, EvalDrafted) for said in world.bus.said)


async def test_failures_of_other_modes_are_part_of_the_evidence(world: World) -> None:
    await world.ran(LOOKED, CANCELLED, error="boom", mode=f"{world.mode}-other")
    expected = (await drafted(world)).eval.expect
    found = await gather(world.db, world.agent, world.mode, world.settings)
    assert len(found.others) == 3
    assert all(grade(expected, other).passed for other in found.others)


async def test_a_mode_without_an_eval_comes_back_when_more_is_recorded(world: World) -> None:
    await world.ran(FAILED, mode=world.mode)
    await world.opens()
    (parked,) = world.bus.said
    assert parked == EvalUndraftable(
        agent=world.agent, mode_id=world.mode, reason="no healthy run to compare with"
    )
    assert await world.evals() == []  # there is none to show or to review
    (kept,) = await world.evals(State.UNDRAFTABLE)
    await world.drafter.look_once()
    assert len(world.bus.heard) == 1  # nothing has changed
    await world.ran(LOOKED, CANCELLED, count=2)
    world.bus.held = False
    await world.drafter.look_once()
    assert await world.evals() == []  # it is another replica's
    world.bus.held = True
    await world.drafter.look_once()
    (record,) = await world.evals(State.DRAFTED)
    assert record.eval_id == kept.eval_id
    assert isinstance(world.bus.said[-1], EvalDrafted)
    await world.drafter.look_once()
    await world.opens()  # redelivered
    assert await world.evals() == [record]
    assert world.bus.heard[1] == world.bus.heard[2]


async def test_a_mode_that_was_opened_twice_in_vain_gets_one_eval_and_a_muted_one_none(world: World) -> None:
    await world.ran(FAILED, mode=world.mode)
    for event in ("first", "second"):
        await world.opens(event)
    assert len(await world.evals(State.UNDRAFTABLE)) == 2
    await world.ran(LOOKED, CANCELLED, count=3)
    await modes.enter(world.db, world.mode, modes.State.MUTED, "said", at=NOW)
    await world.drafter.look_once()
    assert await world.evals() == []
    await modes.enter(world.db, world.mode, modes.State.UNMUTED, "said", at=NOW + timedelta(seconds=1))
    for _ in range(2):
        await world.drafter.look_once()
    assert [record.state for record in await world.evals()] == [State.DRAFTED]


async def test_a_look_in_vain_is_remembered(world: World) -> None:
    await world.ran(FAILED, mode=world.mode)
    await world.opens()
    await world.ran(FAILED, mode=world.mode)
    for _ in range(2):
        await world.drafter.look_once()
    first, again = world.bus.heard
    assert first == again  # said with the same event id: no new step of the mode
    (kept,) = await world.evals(State.UNDRAFTABLE)
    assert (kept.failing, kept.healthy) == (6, 0)


@pytest.mark.parametrize(
    ("failing", "healthy", "more"),
    [(6, 100, False), (8, 149, False), (9, 100, True), (6, 150, True), (0, 0, False)],
)
async def test_how_much_more_is_worth_a_look(*, failing: int, healthy: int, more: bool) -> None:
    last = undraftable(Opening("e", "a", "m", "title"), Amount(6, 100))
    assert Amount(failing, healthy).more_than(last) is more


async def test_a_rejection_parks_the_mode_with_its_reason(engine: tuple[ClickHouse, DraftSettings]) -> None:
    db, settings = engine
    world = World(db, settings.model_copy(update={"draft_tries": 1}))
    record = await drafted(world)
    for _ in range(2):
        await world.review(record, REVIEW_REJECT, "it is what we want")
    (rejected,) = await world.evals()
    assert (rejected.state, rejected.reviewer) == (State.REJECTED, "ada")
    (_, (one, said), (two, _)) = world.bus.heard
    assert one == two
    assert said == EvalUndraftable(
        agent=world.agent, mode_id=world.mode, reason="ada rejected its eval: it is what we want"
    )
    await world.ran(LOOKED, CANCELLED, count=20)
    await world.drafter.look_once()
    assert await world.evals() == [rejected]  # a person has said no


async def test_an_accepted_eval_binds_whatever_is_said_later(world: World) -> None:
    record = await drafted(world)
    await world.review(record, REVIEW_ACCEPT)
    await world.review(record, REVIEW_REJECT, "no")
    assert [type(said) for said in world.bus.said[1:]] == [EvalAccepted, EvalAccepted]
    assert (await world.evals())[0].state is State.ACCEPTED


@pytest.mark.parametrize("verdict", [REVIEW_UNSPECIFIED, 7])
async def test_a_review_that_says_nothing_is_poison(world: World, verdict: Any) -> None:
    record = await drafted(world)
    with pytest.raises(PoisonError, match="neither accepts nor rejects"):
        await world.review(record, verdict)
    assert await world.evals() == [record]


async def test_where_there_is_no_eval_there_is_nothing_to_review(world: World) -> None:
    await world.ran(FAILED, mode=world.mode)
    await world.opens()
    (kept,) = await world.evals(State.UNDRAFTABLE)
    with pytest.raises(PoisonError, match="nobody drafted"):
        await world.review(kept, REVIEW_ACCEPT)


async def test_the_event_loop_turns_while_a_draft_is_made(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    drafting = asyncio.Event()
    turn, original = asyncio.get_running_loop(), Evidence.draft

    def slow(found: Evidence, mutants: float) -> Any:
        turn.call_soon_threadsafe(drafting.set)
        return (
            original(found, mutants)
            if asyncio.run_coroutine_threadsafe(drafting.wait(), turn).result(5)
            else None
        )

    monkeypatch.setattr(Evidence, "draft", slow)
    assert (await drafted(world)).state is State.DRAFTED


async def accepted(world: World) -> EvalRecord:
    record = await drafted(world)
    await world.review(record, REVIEW_ACCEPT)
    (now,) = await world.evals(State.ACCEPTED)
    return now


async def test_what_an_accepted_eval_catches_is_not_drafted_twice(world: World) -> None:
    by = await accepted(world)
    first, world.mode = world.mode, f"{world.mode}-again"
    await world.ran(FAILED, mode=world.mode)
    await world.opens("another")
    said = world.bus.said[-1]
    assert said == EvalLinked(
        agent=world.agent,
        mode_id=world.mode,
        eval_id=by.eval_id,
        eval_mode_id=first,
        reason=f"eval {by.eval_id} fails on 3 of 3 of its failures",
    )
    (row,) = await world.evals(State.LINKED)
    assert (row.mode_id, row.linked_eval) == (world.mode, by.eval_id)
    assert await world.evals() == [by]  # there is none to review
    await world.opens("another")  # redelivered
    assert world.bus.heard[-1] == world.bus.heard[-2]


async def ships(world: World, record: EvalRecord, at: datetime) -> None:
    shipped = DecisionReached(
        decision_id=f"d-{record.eval_id}",
        agent=world.agent,
        change_id="c",
        eval_id=record.eval_id,
        verdict=VERDICT_SHIP,
        shipped_commit="4dffda6",
    )
    shipped.decided_at.FromDatetime(at)
    await decisions.insert(world.db, shipped)


@pytest.mark.parametrize(("days", "state"), [(-2000, State.LINKED), (3, State.DRAFTED)])
async def test_what_fails_on_after_a_change_is_deployed_is_not_caught_by_its_eval(
    world: World, days: int, state: State
) -> None:
    by = await accepted(world)
    await ships(world, by, NOW - timedelta(days=days))
    world.mode = f"{world.mode}-again"
    await world.ran(FAILED, mode=world.mode)
    await world.opens("another")
    (row,) = [each for each in await world.evals(state) if each.mode_id == world.mode]
    assert row.linked_eval == (by.eval_id if state is State.LINKED else "")


async def test_a_mode_that_fails_on_after_more_failures_than_a_draft_looks_at_is_not_linked_again(
    engine: tuple[ClickHouse, DraftSettings],
) -> None:
    db, settings = engine
    world = World(db, settings.model_copy(update={"draft_exemplars": 2}))
    by = await accepted(world)
    await ships(world, by, NOW + timedelta(days=99))
    world.mode = f"{world.mode}-again"
    world.number = uuid.uuid4().int % 10**6  # they begin within days
    await world.ran(FAILED, mode=world.mode, count=2)
    await world.opens("first")
    (row,) = await world.evals(State.LINKED)
    late = samples.run(200 * 86400 + uuid.uuid4().int % 10**6, ASKED, FAILED, agent=world.agent)
    await record_runs(db, [late], world.mode, NOW + timedelta(days=200))
    await world.opens("second")
    said = world.bus.said[-1]
    assert isinstance(said, EvalDrafted), row
    assert said.mode_id == world.mode


async def test_a_mode_that_opens_again_is_not_caught_by_the_eval_that_it_had(world: World) -> None:
    before = await accepted(world)
    await world.opens("opened by a person")
    said = world.bus.said[-1]
    assert isinstance(said, EvalDrafted)
    assert said.eval_id != before.eval_id
    assert await world.evals(State.LINKED) == []


@pytest.mark.parametrize(
    ("verdict", "said"),
    [(REVIEW_MUTE, "muted it"), (REVIEW_NOT_A_FAILURE, "says that it is no failure")],
)
async def test_what_no_person_wants_to_be_work_is_parked_with_the_reason(
    world: World, verdict: Review, said: str
) -> None:
    record = await drafted(world)
    await world.review(record, verdict, "they asked for it")
    parked = world.bus.said[-1]
    assert isinstance(parked, EvalUndraftable)
    assert parked.reason == f"ada {said}: they asked for it"
    (kept,) = await world.evals()
    assert (kept.state, kept.reason) == (State.REJECTED, parked.reason)


async def test_a_rejected_draft_is_followed_by_one_that_asks_for_less(world: World) -> None:
    first = await drafted(world)
    for _ in range(2):  # also redelivered
        await world.review(first, REVIEW_REJECT, "it may cancel elsewhere")
    (second,) = await world.evals(State.DRAFTED)
    assert second.tries == 2
    assert [getattr(e, "tool", "") for e in second.eval.expect] == ["get_order"]
    drafts = [said for said in world.bus.said if isinstance(said, EvalDrafted)]
    assert [said.eval_id for said in drafts] == [first.eval_id, second.eval_id, second.eval_id]
    await world.review(second, REVIEW_REJECT, "nor that")
    assert await world.evals(State.DRAFTED) == []
    assert world.bus.said[-1] == EvalUndraftable(
        agent=world.agent, mode_id=world.mode, reason="ada rejected its eval: nor that"
    )


async def test_an_edit_is_proven_on_other_requests_where_all_of_its_kind_fail(world: World) -> None:
    other = "How many parcels are on their way to me this week?"
    good = [samples.run(uuid.uuid4().int % 10**8, other, LOOKED, agent=world.agent) for _ in range(4)]
    await record_runs(world.db, good)
    await world.ran(FAILED, mode=world.mode)
    await world.opens()
    (record,) = await world.evals()
    assert record.healthy > 0
    text = record.eval.model_copy(update={"bar": 0.6}).to_yaml()
    await world.review(record, REVIEW_EDIT, "a lower bar", text)
    (now,) = await world.evals()
    assert now.healthy_passed == now.healthy == len(good)


async def test_an_edited_eval_is_proven_again_and_waits_for_review(world: World) -> None:
    record = await drafted(world)
    eval_ = record.eval
    text = eval_.model_copy(update={"expect": (ToolCalled(tool="cancel"),)}).to_yaml()
    await world.review(record, REVIEW_EDIT, "looking is no duty", text)
    (now,) = await world.evals()
    assert now.state is State.DRAFTED
    assert now.eval.expect == (ToolCalled(tool="cancel"),)
    assert now.eval.provenance.drafted_by == "outerloop draft rules/7; edited by ada"
    assert now.content_sha256 != record.content_sha256
    assert (now.failing_caught, now.failing, now.healthy_passed, now.healthy) == (3, 3, 3, 3)
    assert now.mutants_killed < now.mutants  # it asks for less than the draft did
    assert isinstance(world.bus.said[-1], EvalDrafted)
    with pytest.raises(PoisonError, match="of another version"):
        await world.review(record, REVIEW_ACCEPT)
    await world.review(now, REVIEW_ACCEPT)
    assert (await world.evals())[0].state is State.ACCEPTED


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("id: [", "is not YAML"),
        ("", "eval"),
        ("another", "id: it must stay"),
        ("passes", "it passes on the failure that it is about"),
    ],
)
async def test_an_edit_that_makes_it_no_eval_is_poison(world: World, text: str, why: str) -> None:
    record = await drafted(world)
    if text == "another":
        text = record.eval.model_copy(update={"id": "x"}).to_yaml()
    elif text == "passes":
        text = record.eval.model_copy(update={"expect": (NoErrorStatus(),)}).to_yaml()
    with pytest.raises(PoisonError, match=why):
        await world.review(record, REVIEW_EDIT, "so", text)
    assert await world.evals() == [record]


async def test_only_an_accepted_eval_can_be_retired(world: World) -> None:
    record = await drafted(world)
    with pytest.raises(PoisonError, match="nobody has accepted it"):
        await world.review(record, REVIEW_RETIRE, "we sell no lamps")
    await world.review(record, REVIEW_ACCEPT)
    for _ in range(2):
        await world.review(record, REVIEW_RETIRE, "we sell no lamps")
    (now,) = await world.evals()
    assert (now.state, now.reviewer, now.reason) == (State.RETIRED, "ada", "we sell no lamps")
    said = world.bus.said[-1]
    assert isinstance(said, EvalRetired)
    assert (said.retired_by, said.reason) == ("ada", "we sell no lamps")
    assert world.bus.heard[-1] == world.bus.heard[-2]
    await world.review(record, REVIEW_ACCEPT)
    assert (await world.evals())[0].state is State.RETIRED


WISHES = (
    "Please cancel my order {}",
    "I want to cancel my order {} now, please",
    "cancel my order {} please",
)


async def silent(world: World, count: int, first: int = 3000) -> None:
    """Failures that do everything and say nothing, each on another order in other words."""
    for number in range(count):
        order = f"A-{first + number}"
        did = (samples.Call("get_order", {"id": order}), samples.Call("cancel", {"id": order}))
        wish, run = WISHES[number % len(WISHES)].format(order), uuid.uuid4().int % 10**8
        exported = samples.run(run, wish, *did, answer="", agent=world.agent)
        await record_runs(world.db, [exported], world.mode)


async def with_variants(world: World) -> EvalRecord:
    await world.ran(LOOKED, CANCELLED)
    await silent(world, 6)
    await world.opens()
    (record,) = await world.evals()
    return record


class Tree:
    """An agent without files."""

    def mutable_files(self) -> dict[str, int]:
        return {}


async def test_variants_are_held_out_and_none_is_among_what_the_proposer_may_see(world: World) -> None:
    record = await with_variants(world)
    entry = await heldout.entry_of(world.db, record)
    assert record.variants == len(entry.held_out) == 2
    assert entry.content_sha256 == record.content_sha256
    shown = set(record.eval.provenance.source_traces)
    hidden = {held.variant.source_trace for held in entry.held_out}
    assert len(shown) == 4
    assert not shown & hidden
    workspace: Any = Tree()
    told, _ = await propose_evidence.gather(world.db, record, workspace, [], {})
    assert set(told.runs) >= shown
    assert not set(told.runs) & hidden
    await world.review(record, REVIEW_ACCEPT)
    (binding,) = await world.evals()
    assert (await heldout.entry_of(world.db, binding)).held_out == entry.held_out


async def test_a_mode_that_opens_again_has_variants_that_nobody_was_told_of(world: World) -> None:
    first = await with_variants(world)
    known = set(first.eval.provenance.source_traces)
    known |= {held.variant.source_trace for held in (await heldout.entry_of(world.db, first)).held_out}
    await world.review(first, REVIEW_ACCEPT)
    (binding,) = await world.evals(State.ACCEPTED)
    await world.review(binding, REVIEW_RETIRE, "its variants are used up")
    await silent(world, 6, first=4000)
    await world.opens("second")
    (second,) = await world.evals(State.DRAFTED)
    again = (await heldout.entry_of(world.db, second)).held_out
    assert len(again) == 2
    assert not known & {held.variant.source_trace for held in again}
    asks = [json.dumps(held.variant.input) for held in again]
    assert all("A-400" in each for each in asks)


async def test_an_edited_evals_variants_say_what_it_expects_now(world: World) -> None:
    record = await with_variants(world)
    expect = tuple(e for e in record.eval.expect if getattr(e, "tool", "") != "get_order")
    text = record.eval.model_copy(update={"expect": expect}).to_yaml()
    await world.review(record, REVIEW_EDIT, "looking is no duty", text)
    (now,) = await world.evals()
    entry = await heldout.entry_of(world.db, now)
    assert len(entry.held_out) == 2
    assert all(len(held.variant.expect) == len(expect) for held in entry.held_out)


async def test_no_variant_is_made_where_none_is_wanted(engine: tuple[ClickHouse, DraftSettings]) -> None:
    db, settings = engine
    record = await with_variants(World(db, settings.model_copy(update={"draft_variants": 0})))
    assert record.variants == 0


def brought(world: World, **more: Any) -> EvalImported:
    """A promptfoo test, as the command line sends it."""
    text = "prompts: ['{{q}}']\ntests: [{vars: {q: Hi}, assert: [{type: contains, value: Hello}]}]\n"
    source, (case,) = read(text, "p.yaml")
    entry = entry_of(case, world.agent, source, NOW)
    said = {
        "eval_id": entry.eval.id,
        "agent": world.agent,
        "eval_yaml": entry.eval.to_yaml(),
        "cassette_jsonl": entry.cassette.to_jsonl(),
        "lost": ["p.yaml:7: assert javascript: has no counterpart"],
        "imported_by": "ada",
    }
    return EvalImported(**said | more)


async def test_an_imported_eval_waits_for_review_and_says_what_it_lost(world: World) -> None:
    for _ in range(2):  # also redelivered
        await world.drafter.handle([delivery(brought(world), "import")])
    (record,) = await world.evals()
    assert (record.state, record.drafter) == (State.DRAFTED, "import from promptfoo")
    assert record.reason == "not taken over: p.yaml:7: assert javascript: has no counterpart"
    assert proof_of(record)[:2] == [
        "It was imported, and held against no recorded run.",
        f"{record.reason}.",
    ]
    one, two = world.bus.heard
    assert one == two
    workspace: Any = Tree()
    told, _ = await propose_evidence.gather(world.db, record, workspace, [], {})
    assert (told.failing, told.eval.id) == (None, record.eval_id)
    await world.review(record, REVIEW_ACCEPT)
    assert isinstance(world.bus.said[-1], EvalAccepted)
    await world.drafter.handle([delivery(brought(world), "import")])
    assert (await world.evals())[0].state is State.ACCEPTED


async def test_an_imported_eval_that_is_rejected_is_not_drafted_anew(world: World) -> None:
    await world.drafter.handle([delivery(brought(world), "import")])
    (record,) = await world.evals()
    await world.review(record, REVIEW_REJECT, "we say hello otherwise")
    assert [r.state for r in await world.evals()] == [State.REJECTED]


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"eval_yaml": "id: ["}, "ada imported what is no eval: imported eval imported-"),
        ({"eval_id": "another"}, "imported eval another of agent-"),
        ({"cassette_jsonl": "{"}, "cassette:1: "),
    ],
)
async def test_what_is_imported_and_no_eval_is_poison(world: World, wrong: Any, why: str) -> None:
    with pytest.raises(PoisonError, match=why):
        await world.drafter.handle([delivery(brought(world, **wrong), "import")])


async def test_who_was_first_is_told_to_the_other(world: World) -> None:
    seen = await drafted(world)
    name = seen.eval_id[:8]

    def sent(verdict: Review, who: str) -> Sent:
        return Sent(seen, verdict, who, "so", NOW)

    mine, other = sent(REVIEW_EDIT, "ada"), sent(REVIEW_ACCEPT, "bob")
    assert await watched(world.db, [mine, other], 0) == [None, None]  # nothing has come of them yet
    edited = seen.eval.model_copy(update={"expect": (ToolCalled(tool="cancel"),)}).to_yaml()
    await world.review(seen, REVIEW_EDIT, "so", edited)
    took, late = await watched(world.db, [mine, other], 60)
    assert took == ""
    look = f"look at it again (`outerloop evals show {name}`)"
    assert late == f"ada edited eval {name} meanwhile, and what you said is of another version: {look}"
    with pytest.raises(PoisonError, match="a review of another version"):  # as the sentence says
        await world.review(seen, REVIEW_ACCEPT, who="bob")


async def test_what_came_of_a_verdict_stays_true_whatever_is_said_after_it(world: World) -> None:
    seen = await drafted(world)
    edit = Sent(seen, REVIEW_EDIT, "ada", "so", NOW)
    text = seen.eval.model_copy(update={"expect": (ToolCalled(tool="cancel"),)}).to_yaml()
    await world.review(seen, REVIEW_EDIT, "so", text)
    (anew,) = await world.evals()
    accept = Sent(anew, REVIEW_ACCEPT, "bob", "", NOW)
    await world.review(anew, REVIEW_ACCEPT, who="bob")
    assert await watched(world.db, [edit, accept], 60) == ["", ""]
    await world.review(anew, REVIEW_RETIRE, "we sell no lamps", who="cleo")
    assert await watched(world.db, [edit, accept], 60) == ["", ""]


async def test_who_comes_after_an_accept_is_told_that_it_stands(world: World) -> None:
    seen = await drafted(world)
    await world.review(seen, REVIEW_ACCEPT, who="bob")
    sent = [
        Sent(seen, REVIEW_ACCEPT, "bob", "", NOW),
        Sent(seen, REVIEW_ACCEPT, "ada", "", NOW),
        Sent(seen, REVIEW_REJECT, "ada", "so", NOW),
        Sent(seen, REVIEW_EDIT, "ada", "so", NOW),
    ]
    lost = f"bob had eval {seen.eval_id[:8]} accepted before: what you said does not count"
    assert await watched(world.db, sent, 60) == ["", "", lost, lost]
