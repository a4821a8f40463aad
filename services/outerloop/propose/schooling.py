"""Schooling: lessons into memory, from the gate's decisions and from people."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC

from outerloop.contracts.v1.decision_pb2 import DecisionReached
from outerloop.contracts.v1.loop_pb2 import LessonNoted
from outerloop.propose.lessons import from_decision, words_of
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.store import lessons
from outerloop.store.changes import ChangeRecord
from outerloop.store.lessons import LessonRecord, Origin, State


class Schooling:
    """Writes lessons; what is learned or said twice is there once."""

    def __init__(self, db: ClickHouse) -> None:
        self._db = db

    async def learn(
        self, agent: str, changes: Sequence[ChangeRecord], decisions: Mapping[str, DecisionReached]
    ) -> None:
        """Store what the decisions on an agent's changes teach, as far as it is not there yet."""
        found = [
            lesson
            for change in changes
            if (decision := decisions.get(change.change_id)) and (lesson := from_decision(change, decision))
        ]
        if not found:
            return
        # One that a person has retired stays so.
        known = {lesson.lesson_id for lesson in await lessons.of_agent(self._db, agent)}
        for lesson in found:
            if lesson.lesson_id not in known:
                await lessons.insert(self._db, lesson)

    async def note(self, message: LessonNoted) -> None:
        """Store what a person says: a new lesson, or that one is retired."""
        known = {lesson.lesson_id: lesson for lesson in await lessons.of_agent(self._db, message.agent)}
        at = message.noted_at.ToDatetime(UTC)
        lesson = known.get(message.lesson_id)
        if lesson is None:
            if message.retired:
                return  # it was never learned: there is nothing to retire
            lesson = LessonRecord(
                lesson_id=message.lesson_id,
                agent=message.agent,
                mode_id=message.mode_id,
                change_id="",
                origin=Origin.PERSON,
                text=message.text,
                words=words_of(message.text),
                state=State.ACTIVE,
                by=message.by,
                reason=message.reason,
                learned_at=at,
                at=at,
            )
        elif message.retired:
            lesson = replace(lesson, state=State.RETIRED, by=message.by, reason=message.reason, at=at)
        await lessons.insert(self._db, lesson)
