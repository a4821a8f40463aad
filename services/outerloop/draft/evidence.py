"""Gathers what a draft is made from, and says whether there is more of it than the last time."""

from dataclasses import dataclass

from outerloop.draft.core.proof import Draft, Failing, Undraftable, draft
from outerloop.draft.settings import DraftSettings
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.store import spans, verdicts
from outerloop.store.evals import EvalRecord
from outerloop.trace.model import Trace

# What has grown by less would hardly change a draft, and is looked at once a minute.
GROWN = 1.5
# Some of each other mode: the most frequent one must not hide the others.
_OF_EACH = 20


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
    """What is recorded: failures of the mode, the oldest first, healthy runs, and failures of other modes."""

    failing: list[Failing]
    healthy: list[Trace]
    others: list[Trace]

    def draft(self) -> Draft | Undraftable:
        """The eval that it proves. Takes seconds: not for the event loop."""
        return draft(self.failing, self.healthy, self.others)


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
    stored = await spans.traces(db, [*(trace_id for trace_id, _ in failing), *healthy, *others])
    return Evidence(
        [Failing(stored[trace_id], signs[0]) for trace_id, signs in failing if trace_id in stored],
        [stored[trace_id] for trace_id in healthy if trace_id in stored],
        [stored[trace_id] for trace_id in others if trace_id in stored],
    )
