"""What outlives a process: sessions and their steps, in ClickHouse, written before and after every call.

A session that is open goes on from its last step in whichever process has the agent. Two processes may work
on one session while the agent changes hands; what each of them did stands under its own epoch, and `standing`
says which of it makes up the session.
"""

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from outerloop.propose.record import Past, Step
from outerloop.runtime import metrics
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.envelope import stable_id
from outerloop.runtime.prices import Usage
from outerloop.store import sessions
from outerloop.store.evals import EvalRecord
from outerloop.store.sessions import SessionRecord, State, StepRecord, StepState


@dataclass(frozen=True, slots=True)
class Taken:
    """A session that this process works on, and what was done on it before."""

    record: SessionRecord
    past: Past
    epoch: int


class Memory:
    """The sessions of all agents, as far as ClickHouse holds them."""

    def __init__(self, db: ClickHouse) -> None:
        self._db = db

    async def take_up(self, record: SessionRecord) -> Taken:
        """Go on with a session."""
        rows = await sessions.steps(self._db, record)
        past = Past(tuple(map(_step, standing(rows))), sum(row.usd for row in rows))
        return Taken(record, past, next_epoch(rows))

    async def begin(
        self,
        record: EvalRecord,
        change_id: str,
        candidates: Mapping[int, tuple[str, str]],
        *,
        attempt: int,
        base_commit: str,
        model: str,
    ) -> dict[int, Taken]:
        """Store new sessions, all or none: for each candidate its strategy and what it is told."""
        now = datetime.now(UTC)
        epoch = time.time_ns()
        begun = {
            number: SessionRecord(
                session_id=stable_id("session", change_id, number, epoch),
                agent=record.agent,
                change_id=change_id,
                mode_id=record.mode_id,
                eval_id=record.eval_id,
                attempt=attempt,
                candidate=number,
                strategy=strategy,
                state=State.OPEN,
                base_commit=base_commit,
                model=model,
                told=told,
                outcome="",
                began_at=now,
                at=now,
            )
            for number, (strategy, told) in candidates.items()
        }
        await sessions.insert(self._db, *begun.values())
        return {number: Taken(each, Past(), epoch) for number, each in begun.items()}

    async def end(self, record: SessionRecord, outcome: dict[str, Any]) -> None:
        """Close a session: it will not go on. `outcome` is for whoever asks again for its change."""
        said = json.dumps(outcome, ensure_ascii=False)
        await sessions.insert(
            self._db, replace(record, state=State.ENDED, outcome=said, at=datetime.now(UTC))
        )

    async def write(self, record: SessionRecord, steps: Sequence[Step]) -> None:
        """Store steps as they are now, all of them or none."""
        for step in steps:
            if step.reply is not None:
                metrics.SPEND.labels("propose").inc(step.usd)
        await sessions.insert_steps(self._db, [_row(record, step) for step in steps])


def standing(rows: Sequence[StepRecord]) -> list[StepRecord]:
    """The steps that make up a session, of all that were written: 1, 2, 3 and so on, without a gap.

    Whoever took the session up last has built on what stood before its own first step, and so on back. A
    call that was being made is no step. Nothing follows a step that lacks its tools' answers.
    """
    epochs: dict[int, list[StepRecord]] = {}
    for row in rows:
        if row.state is not StepState.ASKED:
            epochs.setdefault(row.epoch, []).append(row)
    chosen: dict[int, StepRecord] = {}
    for epoch in sorted(epochs, reverse=True):
        first = min(chosen, default=None)
        chosen |= {row.step: row for row in epochs[epoch] if first is None or row.step < first}
    found: list[StepRecord] = []
    while len(found) + 1 in chosen and (not found or found[-1].state is StepState.DONE):
        found.append(chosen[len(found) + 1])
    return found


def next_epoch(rows: Sequence[StepRecord]) -> int:
    """An epoch later than all that were, also those of a process whose clock is ahead of ours."""
    return max(time.time_ns(), 1 + max((row.epoch for row in rows), default=0))


def repeated(rows: Sequence[StepRecord]) -> int:
    """How many calls of the model were paid for more than once: steps that were answered under two epochs."""
    answered = Counter(row.step for row in rows if row.state is not StepState.ASKED)
    return sum(count - 1 for count in answered.values())


def _row(record: SessionRecord, step: Step) -> StepRecord:
    state = StepState.DONE
    if step.reply is None:
        state = StepState.ASKED if step.content is None else StepState.ANSWERED
    return StepRecord(
        agent=record.agent,
        change_id=record.change_id,
        session_id=record.session_id,
        step=step.number,
        epoch=step.epoch,
        state=state,
        stop_reason=step.stop_reason,
        content=json.dumps(step.content or [], ensure_ascii=False),
        results=json.dumps(step.reply or [], ensure_ascii=False),
        input_tokens=step.usage.total - step.usage.output,
        output_tokens=step.usage.output,
        cache_read_tokens=step.usage.cache_read,
        cache_write_tokens=step.usage.cache_write,
        usd=step.usd,
        seconds=step.seconds,
        at=datetime.now(UTC),
    )


def _step(row: StepRecord) -> Step:
    cached = row.cache_read_tokens + row.cache_write_tokens
    return Step(
        number=row.step,
        epoch=row.epoch,
        content=json.loads(row.content),
        stop_reason=row.stop_reason,
        reply=json.loads(row.results) if row.state is StepState.DONE else None,
        usage=Usage(
            row.input_tokens - cached, row.output_tokens, row.cache_write_tokens, row.cache_read_tokens
        ),
        usd=row.usd,
        seconds=row.seconds,
    )
