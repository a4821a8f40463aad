"""Lessons: what a rejected change teaches later attempts, also at other modes of the agent. Pure.

A lesson is about words: tools, files, what the eval that stopped the change speaks of. An attempt is told the
lessons of its own mode first, then those of other modes that share words with it; of those that have been
told often, the ones with which attempts ship go before the ones with which they do not.
"""

import re
from collections.abc import Collection, Mapping, Sequence

from outerloop.contracts.v1.decision_pb2 import (
    OBSTACLE_CONFLICT,
    OBSTACLE_HELD_OUT,
    OBSTACLE_NOT_REPRODUCED,
    VERDICT_REJECT,
    DecisionReached,
)
from outerloop.runtime.envelope import stable_id
from outerloop.store.changes import ChangeRecord
from outerloop.store.lessons import LessonRecord, Origin, State, Tally

MOST_TOLD = 12
_MOST_WORDS = 60
_SENTENCE = 300
# With fewer attempts than this on a side, evidence decides nothing.
_ENOUGH = 5
# The branch moved under the change, or the base does not fail the eval.
_NO_WORD = frozenset({OBSTACLE_CONFLICT, OBSTACLE_NOT_REPRODUCED})
_WORD = re.compile(r"[a-z][a-z0-9_]{3,}")
# fmt: off
_COMMON = frozenset({
    "that", "this", "with", "from", "they", "have", "must", "never", "always", "when", "what", "which",
    "were", "been", "only", "than", "then", "them", "their", "will", "would", "should", "could", "after",
    "before", "every", "agent", "model", "change", "prompt", "tool", "tools", "call", "calls", "called",
    "fails", "failed", "error", "expected", "passed", "trials", "eval", "policy",
})
# fmt: on


def words_of(*texts: str) -> tuple[str, ...]:
    """What texts are about: names of tools and files, and words that are not in every text."""
    found = (word for text in texts for word in _WORD.findall(text.lower()))
    return tuple(dict.fromkeys(word for word in found if word not in _COMMON))[:_MOST_WORDS]


def from_decision(change: ChangeRecord, decision: DecisionReached) -> LessonRecord | None:
    """What a rejection teaches; None if it was no rejection of the change itself."""
    if decision.verdict != VERDICT_REJECT or decision.obstacle in _NO_WORD:
        return None
    broken = [outcome for outcome in decision.outcomes if not outcome.held]
    stopped = "; ".join(
        f'"{_short(o.title)}" passed {o.passed} of {o.trials}: {_short("; ".join(o.reasons))}'
        for o in broken[:3]
    )
    # Of variants that nobody was shown, one bit: the gate has said it in its reason.
    if decision.obstacle == OBSTACLE_HELD_OUT:
        stopped = ""
    diagnosis = change.diagnosis.partition("\n\nCause:")[0]
    made, why = _short(_added(change.patch)), _short(decision.reason)
    text = f"Rejected: {_short(diagnosis)} The change was: {made} Why: {why}"
    return LessonRecord(
        lesson_id=stable_id("lesson", decision.decision_id),
        agent=change.agent,
        mode_id=change.mode_id,
        change_id=change.change_id,
        origin=Origin.GATE,
        text=f"{text} Stopped by {stopped}" if stopped else text,
        words=words_of(diagnosis, _added(change.patch), *paths_of(change.patch), *(o.title for o in broken)),
        state=State.ACTIVE,
        by="",
        reason="",
        learned_at=change.at,
        at=change.at,
    )


def choose(
    known: Sequence[LessonRecord], tallies: Mapping[str, Tally], mode_id: str, about: Collection[str]
) -> list[LessonRecord]:
    """The lessons that an attempt at a mode is told, which is `about` these words: the most telling first."""
    scored: list[tuple[float, int, LessonRecord]] = []
    for age, lesson in enumerate(reversed(known)):
        if lesson.state is not State.ACTIVE or _harms(tallies.get(lesson.lesson_id, Tally())):
            continue
        score = _relevance(lesson, mode_id, frozenset(about))
        if score > 0:
            scored.append((score + _merit(tallies.get(lesson.lesson_id, Tally())), -age, lesson))
    scored.sort(key=lambda each: (-each[0], -each[1]))
    return [lesson for _, _, lesson in scored[:MOST_TOLD]]


def _relevance(lesson: LessonRecord, mode_id: str, about: frozenset[str]) -> float:
    if lesson.mode_id == mode_id:
        return 2.0
    if lesson.origin is Origin.PERSON and not lesson.mode_id:
        return 1.5
    common = about & set(lesson.words)
    # A name that is written like one (get_order, policy.md's "policy") says more than a word.
    names = sum("_" in word for word in common)
    return min(1.0, (len(common) + 2 * names) / 10) if len(common) + 2 * names >= 3 else 0.0  # noqa: PLR2004 - a tool's name and one word


def _merit(tally: Tally) -> float:
    """How much more often attempts ship that were told: rates with one success and one failure added."""
    with_it = (tally.shipped_with + 1) / (tally.tried_with + 2)
    without = (tally.shipped_without + 1) / (tally.tried_without + 2)
    return (with_it - without) / 2


def _harms(tally: Tally) -> bool:
    """Whether attempts that were told ship less than half as often as the others, and both were many."""
    if min(tally.tried_with, tally.tried_without) < _ENOUGH:
        return False
    return 2 * tally.shipped_with / tally.tried_with < tally.shipped_without / tally.tried_without


def paths_of(patch: str) -> tuple[str, ...]:
    """The files that a patch touches."""
    return tuple(dict.fromkeys(re.findall(r"^\+\+\+ b/(.+)$", patch, re.MULTILINE)))


def _added(patch: str) -> str:
    lines = re.findall(r"^\+(?!\+\+ )(.*)$", patch, re.MULTILINE)
    return " / ".join(line.strip() for line in lines if line.strip())


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SENTENCE else line[:_SENTENCE] + "…"
