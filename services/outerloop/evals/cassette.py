"""Player: answers tool calls as production's tools did, from the recording that an eval carries.

One player serves one trial: it remembers how often each call was made, and where the run left the recording.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from outerloop.evals.jsonvalue import canonical
from outerloop.evals.model import Cassette, Divergence, RecordedCall, Replay
from outerloop.evals.sameness import comparable
from outerloop.trace.model import Trace

MOST_DIVERGENCES = 1_000  # are remembered: an agent in a loop makes the same one without end


@dataclass(frozen=True, slots=True)
class ToolAnswer:
    """What a tool answered: a text, which is an error message when `is_error`."""

    content: str
    is_error: bool = False


@dataclass(frozen=True, slots=True)
class Diverged:
    """A call that the recording does not hold, and what was done: the policy, or what it fell back to."""

    tool: str
    arguments: Mapping[str, Any]
    answered_by: Divergence


@dataclass(frozen=True, slots=True)
class _Take:
    """A recorded call, and how many changes of state came before it."""

    call: RecordedCall
    changes: int


def recording(trace: Trace) -> Cassette:
    """The tool calls of a run, in their order."""
    calls = (
        RecordedCall(tool=c.name, arguments=dict(c.arguments), result=c.result, failed=c.failed)
        for c in trace.tool_calls
    )
    return Cassette(calls=tuple(calls))


class Player:
    """Answers calls from `cassette`; `policy` says what becomes of a call that it does not hold."""

    def __init__(self, cassette: Cassette, policy: Divergence, replay: Replay | None = None) -> None:
        self._policy = policy
        self._replay = replay or Replay()
        self._takes: dict[tuple[str, str], list[_Take]] = {}
        changes = 0
        for call in cassette.calls:
            self._takes.setdefault(self._key(call.tool, call.arguments), []).append(_Take(call, changes))
            changes += self._changes(call)
        self._calls = cassette.calls
        self._made: Counter[tuple[str, str, int]] = Counter()
        self._changed = 0
        self._divergences: list[Diverged] = []

    @property
    def divergences(self) -> tuple[Diverged, ...]:
        """The calls that the recording did not hold, in the order in which they were made."""
        return tuple(self._divergences)

    def answer(self, name: str, arguments: Mapping[str, Any]) -> ToolAnswer | None:
        """The recorded answer, or what the policy gives; None: the caller is to ask the live tools.

        The same call again gets its next recorded answer, and the last one ever after; but a call that
        changes state, made more often than it was recorded, is one that the recording does not hold.
        """
        take = self._next(self._key(name, arguments), again=name not in self._replay.changes)
        if take is not None:
            self._changed += self._changes(take)
            return ToolAnswer(take.result, take.failed)
        nearest = self._nearest(name, arguments) if self._policy is Divergence.NEAREST else None
        by = Divergence.FAIL if self._policy is Divergence.NEAREST and nearest is None else self._policy
        if len(self._divergences) < MOST_DIVERGENCES:
            self._divergences.append(Diverged(name, arguments, by))
        if by is Divergence.LIVE:
            return None
        if nearest is not None:
            return ToolAnswer(nearest.result, nearest.failed)
        asked = f"{name} {canonical(arguments)}"
        return ToolAnswer(f"the recording does not hold this call: {asked}", is_error=True)

    def _next(self, key: tuple[str, str], *, again: bool) -> RecordedCall | None:
        takes = self._takes.get(key, [])
        if not again:
            made = self._made[(*key, 0)]
            self._made[(*key, 0)] += 1
            return takes[made].call if made < len(takes) else None
        since = _as_of(takes, self._changed)
        if not since:
            return None
        place = (*key, since[0].changes)
        self._made[place] += 1
        return since[min(self._made[place], len(since)) - 1].call

    def _key(self, name: str, arguments: Mapping[str, Any]) -> tuple[str, str]:
        return name, canonical(comparable(arguments, self._replay))

    def _changes(self, call: RecordedCall) -> bool:
        return call.tool in self._replay.changes and not call.failed

    def _nearest(self, name: str, arguments: Mapping[str, Any]) -> RecordedCall | None:
        """The call of the same tool with most equal, then fewest other arguments; then the first one."""
        given = self._parts(arguments)

        def likeness(call: RecordedCall) -> tuple[int, int]:
            recorded = self._parts(call.arguments)
            return len(given & recorded), -len(given ^ recorded)

        return max((call for call in self._calls if call.tool == name), key=likeness, default=None)

    def _parts(self, arguments: Mapping[str, Any]) -> set[tuple[str, str]]:
        compared = comparable(arguments, self._replay)
        return {(str(key), canonical(value)) for key, value in compared.items()}


def _as_of(takes: Sequence[_Take], changed: int) -> list[_Take]:
    """The takes recorded after so many changes; else after the most of fewer ones; else the first ones."""
    known = {take.changes for take in takes}
    before = [changes for changes in known if changes <= changed]
    wanted = max(before) if before else min(known, default=0)
    return [take for take in takes if take.changes == wanted]
