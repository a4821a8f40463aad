"""Gathers what a draft is made from, and says whether there is more of it than the last time."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from outerloop.draft.core.linked import Accepted, Caught, catching
from outerloop.draft.core.measure import Draft, Failing, Undraftable
from outerloop.draft.core.proof import MUTANTS, draft, untaken
from outerloop.draft.core.recipe import expectations
from outerloop.draft.core.variants import recast, recorded, reworded
from outerloop.draft.settings import DraftSettings
from outerloop.evals.expect.composite import Expectation
from outerloop.evals.grade import exact
from outerloop.evals.heldout import HeldOut
from outerloop.evals.jsonvalue import canonical
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.store import evals, heldout, releases, spans, verdicts
from outerloop.store.evals import EvalRecord, Reproduction, State
from outerloop.trace.acts import writes_of
from outerloop.trace.model import Trace
from outerloop.trace.neighbours import Crowd
from outerloop.trace.quote import one_line
from outerloop.trace.signal import Signal

# What has grown by less would hardly change a draft, and is looked at once a minute.
GROWN = 1.5
# Some of each other mode: the most frequent one must not hide the others.
_OF_EACH = 20
_ONCE_ACCEPTED = {State.ACCEPTED, State.RETIRED}


@dataclass(frozen=True, slots=True)
class Amount:
    """How much is recorded: failures of a mode, and healthy runs of its agent."""

    failing: int
    healthy: int

    def more_than(self, kept: EvalRecord) -> bool:
        """Whether it is worth another look than the one that `kept` tells of."""
        pairs = ((self.failing, kept.failing), (self.healthy, kept.healthy))
        return any(now > then and now >= GROWN * then for now, then in pairs)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is recorded: failures of the mode, the oldest first, healthy runs, and failures of other modes.

    `accepted` are the agent's accepted evals of other modes, `refused` what evals of the mode expected that
    were rejected, and `reasons` why. `used` are the traces that evals of the mode, once accepted, held out or
    showed, `taken` the requests (as `draft` takes them) that an eval of the mode is on which was accepted, or
    which the base passes.
    """

    failing: list[Failing]
    healthy: list[Trace]
    others: list[Trace]
    accepted: list[Accepted] = field(default_factory=list[Accepted])
    refused: list[tuple[Expectation, ...]] = field(default_factory=list[tuple[Expectation, ...]])
    reasons: list[str] = field(default_factory=list[str])
    used: frozenset[str] = frozenset()
    taken: frozenset[str] = frozenset()

    def anew(self) -> "Evidence":
        """For a mode that opens again: where every request is taken, none is, as the base has moved on."""
        return self if self.exemplars else replace(self, taken=frozenset())

    @property
    def exemplars(self) -> list[Failing]:
        """The failures that an eval may be written for."""
        return untaken(self.failing, self.taken)

    @property
    def writes(self) -> Sequence[str]:
        """The agent's tools that change state, as far as these runs called them."""
        return writes_of([*(f.trace for f in self.failing), *self.healthy, *self.others])

    def draft(self, mutants: float = MUTANTS) -> Draft | Undraftable | Caught:
        """The eval that it proves, or the one that catches the mode. Takes seconds: no work for the loop.

        It fails the share `mutants` of the runs that are broken on purpose.
        """
        known = (self.failing, self.healthy, self.others, self.refused)
        made = draft(*known, mutants=mutants, taken=self.taken)
        if isinstance(made, Undraftable):
            return made
        own = expectations(made.exemplar, made.sign, ()).own
        return catching(self.accepted, self.failing, own[0] if own else None) or made

    def variants(self, made: Draft, words: Sequence[str], most: int, seed: str = "") -> list[HeldOut]:
        """Up to `most` variants of a draft to hold out; `words` are its request as a model words it.

        What was made, and did not happen, must be shown to happen: only where the base can be run it is made
        by a `seed`, the eval's id, so that another eval of the mode gets another one.
        """
        found = recorded(made, self.failing, self.healthy, most, self.used)
        found += [told for text in words if (told := reworded(made, text)) is not None]
        if seed and len(found) < most and (other := recast(made, self.healthy, seed)) is not None:
            found.append(other)
        return found[:most]

    def similar_to(self, exemplar: Trace) -> tuple[int, int]:
        """How many of the runs looked at are on a request like the exemplar's, itself too; of how many."""
        runs = [*(f.trace for f in self.failing), *self.healthy, *self.others]
        return 1 + len(Crowd(runs).like(exemplar)), len(runs)


async def amount(db: ClickHouse, agent: str, mode_id: str) -> Amount:
    """All that is recorded, also what is too much for one draft."""
    return Amount(*await verdicts.amounts(db, agent, mode_id))


async def gather(db: ClickHouse, agent: str, mode_id: str, settings: DraftSettings) -> Evidence:
    """The evidence for an eval of a mode."""
    failing = await verdicts.failing(db, mode_id, settings.draft_exemplars)
    healthy = await verdicts.healthy(db, agent, settings.draft_healthy)
    others = await verdicts.failing_otherwise(
        db, agent, mode_id, each=_OF_EACH, at_most=settings.draft_others
    )
    known = await evals.of_agent(db, agent)
    mine = [r for r in known if r.mode_id == mode_id]
    # One of the mode itself does not spare it another: it was given up, or the mode would not be open.
    accepted = [(record, record.eval) for record in known if record.gates and record.mode_id != mode_id]
    sources = [eval_.provenance.source_traces[0] for _, eval_ in accepted if eval_.provenance.source_traces]
    wanted = [*(trace_id for trace_id, _ in failing), *healthy, *others, *sources]
    stored = await spans.traces(db, wanted)
    closed = await releases.closed(db, agent) if accepted else {}
    # What fails on after the change for an eval is deployed is not what the eval is about.
    latest = await verdicts.latest_failure(db, agent, mode_id)
    accepted = [
        (r, e)
        for r, e in accepted
        if r.eval_id not in closed or latest is None or latest < closed[r.eval_id] + evals.DEPLOYED
    ]
    return Evidence(
        [Failing(stored[trace_id], _first(signs)) for trace_id, signs in failing if trace_id in stored],
        [stored[trace_id] for trace_id in healthy if trace_id in stored],
        [stored[trace_id] for trace_id in others if trace_id in stored],
        [
            Accepted(record.eval_id, record.mode_id, exact(eval_.expect), stored[source])
            for record, eval_ in accepted
            for source in eval_.provenance.source_traces[:1]
            if source in stored
        ],
        [r.eval.expect for r in mine if r.state is State.REJECTED],
        [one_line(r.reason, 400) for r in mine if r.state is State.REJECTED],
        await _used(db, [r for r in mine if r.state in _ONCE_ACCEPTED]),
        frozenset(canonical(r.eval.input.get("messages")) for r in mine if _is_taken(r)),
    )


def _is_taken(record: EvalRecord) -> bool:
    return record.state is State.ACCEPTED or record.reproduction is Reproduction.NOT_REPRODUCED


async def _used(db: ClickHouse, before: Sequence[EvalRecord]) -> frozenset[str]:
    shown = (trace_id for record in before for trace_id in record.eval.provenance.source_traces)
    return frozenset([*shown, *await heldout.sources(db, [record.eval_id for record in before])])


def _first(signs: Sequence[Signal]) -> Signal:
    """The most telling sign; a failure may have been put into its mode by a person, who named none."""
    return signs[0] if signs else Signal("unknown", "the run", "", "")
