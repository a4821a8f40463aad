"""What is usual for an agent, and the traces of a batch that are not."""

import time
from collections.abc import Iterable, Mapping
from itertools import chain

from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.prices import Price
from outerloop.store import outliers
from outerloop.store.outliers import OutlierRow
from outerloop.store.verdicts import Verdict
from outerloop.trace.model import Trace
from outerloop.triage.core.outliers import Outlier, Usual, dear, slow, usual_of, wordy

_TRACES = 2000
# What is usual changes slowly, and is looked up no oftener, however many traces come.
_KNOWN_SECONDS = 600.0
_UNKNOWN_SECONDS = 60.0
_AGENTS = 1000


class Unusual:
    """`note` is called with every batch of verdicts."""

    def __init__(self, db: ClickHouse, prices: Mapping[str, Price]) -> None:
        self._db = db
        self._prices = prices
        self._usual: dict[str, tuple[float, dict[str, Usual]]] = {}

    async def note(self, judged: Iterable[tuple[Trace, Verdict]]) -> None:
        """Store the outliers among these traces; each beside what was usual for its agent until now."""
        rows = []
        for trace, verdict in judged:
            usual = await self._of(verdict.agent)
            rows += [_row(verdict, found) for found in self._outliers(trace, verdict, usual)]
        await outliers.insert(self._db, rows)

    def _outliers(self, trace: Trace, verdict: Verdict, usual: Mapping[str, Usual]) -> Iterable[Outlier]:
        tokens = float(verdict.input_tokens + verdict.output_tokens)
        return chain(
            slow(trace, verdict.seconds, usual["seconds"]) if "seconds" in usual else (),
            wordy(trace, tokens, usual["tokens"]) if "tokens" in usual else (),
            dear(trace, verdict.usd, usual["usd"], self._prices) if "usd" in usual else (),
        )

    async def _of(self, agent: str) -> dict[str, Usual]:
        until, usual = self._usual.get(agent, (0.0, {}))
        if time.monotonic() >= until:
            there = await outliers.newest(self._db, agent, _TRACES)
            measures = {
                "seconds": usual_of([a.seconds for a in there]),
                "tokens": usual_of([a.tokens for a in there]),
                "usd": usual_of([a.usd for a in there]),
            }
            usual = {name: found for name, found in measures.items() if found}
            until = time.monotonic() + (_KNOWN_SECONDS if usual else _UNKNOWN_SECONDS)
            if len(self._usual) >= _AGENTS:  # names come with the traffic
                self._usual.clear()
            self._usual[agent] = until, usual
        return usual


def _row(verdict: Verdict, found: Outlier) -> OutlierRow:
    return OutlierRow(
        agent=verdict.agent,
        day=verdict.occurred_at.date(),
        trace_id=verdict.trace_id,
        kind=found.kind,
        subject=" ".join(found.subject.split())[:200],
        span_id=found.span_id,
        value=found.value,
        usual=found.usual,
        judged_at=verdict.judged_at,
    )
