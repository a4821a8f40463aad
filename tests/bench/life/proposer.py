"""The proposer: a script that writes what draft and propose would write, one change at a time.

Each proposal has a failure mode of its own, whose eval is accepted; the change is a row and an event, as
propose makes them. It waits for the verdict, as propose does, and looks at the head of the branch anew.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random

from bench.life import evals, hostile
from bench.life.options import Options
from bench.life.oracle import Oracle
from bench.life.patches import Kind, edited, files_of, patch_of
from bench.life.topics import Topic
from bench.life.world import World
from outerloop.contracts.v1 import decision_pb2
from outerloop.contracts.v1.decision_pb2 import DecisionReached
from outerloop.gate.core.certificate import Certificate
from outerloop.gate.release.ship import whole_suite
from outerloop.runtime.bus import Bus
from outerloop.runtime.errors import OutageError
from outerloop.store import changes, decisions, heldout
from outerloop.store import evals as eval_rows
from outerloop.store.changes import ChangeRecord, State

_POLL_SECONDS = 0.2
_AT_LEAST = 2.0  # seconds, as a first guess
AUTHOR = "a script, not a model"


@dataclass(frozen=True, slots=True)
class Proposal:
    """One change of the life, and what came of it; `attack` names what a hostile one tries."""

    number: int
    kind: Kind
    topic: Topic
    change: ChangeRecord
    attack: str
    decision: DecisionReached
    seconds: float


class Proposer:
    """Proposes, and waits. `made` has its verdict; `in_flight` is the id of the change that has none yet."""

    def __init__(self, options: Options, world: World, say: Callable[[str], None]) -> None:
        self._options = options
        self._world = world
        self._say = say
        self._random = Random(f"proposer/{options.seed}")  # noqa: S311 - repeatable by design
        self._oracle = Oracle(world.repository, options.evals)
        self._attacks = 0
        self._kinds = options.kinds()
        self.made: list[Proposal] = []
        self.in_flight = ""

    @property
    def expected_left(self) -> float:
        """About how many seconds the proposals that are left will take."""
        known: dict[Kind, list[float]] = {}
        for proposal in self.made:
            known.setdefault(proposal.kind, []).append(proposal.seconds)
        typical = {kind: sum(known[kind]) / len(known[kind]) for kind in known}
        guesses = {Kind.GOOD: 1.0, Kind.REGRESSING: 0.3}
        left = self._kinds[len(self.made) :]
        return sum(typical.get(k, _AT_LEAST + self._options.evals * guesses.get(k, 0.0)) for k in left)

    async def run(self) -> list[Proposal]:
        """All proposals of the life, decided."""
        async with Bus(self._world.settings, "propose") as bus:
            for number, kind in enumerate(self._kinds):
                proposal = await self._propose(bus, number, kind)
                self.made.append(proposal)
                self.in_flight = ""
                self._say(f"{number + 1:>3} of {len(self._kinds)}  {told(proposal)}")
        return self.made

    async def _propose(self, bus: Bus, number: int, kind: Kind) -> Proposal:
        topic = Topic(self._options.evals + number)
        await heldout.insert(self._world.db, evals.entry(topic))
        await eval_rows.insert(self._world.db, evals.accepted(topic))
        patch, attack = await self._patch(kind, topic)
        change = self._record(number, topic, patch, attack)
        began, self.in_flight = time.monotonic(), change.change_id
        await changes.insert(self._world.db, change)
        await bus.publish(change.message(), because=(change.change_id,))
        decision = await self._decided(change.change_id)
        return Proposal(number, kind, topic, change, attack, decision, time.monotonic() - began)

    async def _patch(self, kind: Kind, topic: Topic) -> tuple[str, str]:
        """The patch, and the name of what a hostile one tries."""
        repository = self._world.repository
        await repository.fetch()
        self._head = await repository.resolve("main") or ""
        files = await files_of(repository, self._head)
        if kind is not Kind.HOSTILE:
            made = edited(kind, files, topic, await self._victim())
            return await patch_of(repository, self._head, made), ""
        name = hostile.names()[self._attacks % len(hostile.names())]
        self._attacks += 1
        attack = hostile.attack(name, files, topic, self._world.traps)
        patch = attack.patch or await patch_of(repository, self._head, attack.files, attack.links)
        return patch, name

    async def _victim(self) -> Topic:
        """A topic whose eval an excuse takes below its bar, drawn; it must matter enough for that."""
        suite = await whole_suite(self._world.repository)
        standings = Certificate.from_json(suite.last or b"").standings
        able = [
            topic
            for topic in map(Topic, range(self._options.evals))
            if evals.falls_too_far(topic, standings[evals.eval_id(topic)].bar, self._options.evals)
        ]
        return self._random.choice(able)

    def _record(self, number: int, topic: Topic, patch: str, attack: str) -> ChangeRecord:
        return ChangeRecord(
            change_id=f"c-{self._options.seed}-{number:03}",
            agent=evals.AGENT,
            mode_id=f"m-{topic.number:03}",
            eval_id=evals.eval_id(topic),
            attempt=1,
            state=State.PROPOSED,
            base_commit=self._head,
            patch=patch,
            diagnosis=f"Nothing says what to do about a {topic.subject}{f' ({attack})' if attack else ''}",
            model=AUTHOR,
            usd=0.0,
            at=datetime.now(UTC),
        )

    async def _decided(self, change_id: str) -> DecisionReached:
        """The verdict, once its row is there: the gate writes that last."""
        while True:
            with contextlib.suppress(OutageError):
                if await decisions.decided(self._world.db, change_id):
                    known = await decisions.of_agent(self._world.db, evals.AGENT)
                    return next(each for each in known if each.change_id == change_id)
            self._world.stack.check()
            await asyncio.sleep(_POLL_SECONDS)


def verdict(decision: DecisionReached) -> str:
    """Ship, reject or inconclusive."""
    return decision_pb2.Verdict.Name(decision.verdict).removeprefix("VERDICT_").lower()


def told(proposal: Proposal) -> str:
    """A line for people."""
    what = f"{proposal.kind}{f' ({proposal.attack})' if proposal.attack else ''}"
    decision = proposal.decision
    return f"{what:<40} {verdict(decision):<12} {proposal.seconds:6.1f} s  {decision.reason[:100]}"
