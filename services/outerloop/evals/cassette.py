"""Player: answers tool calls as production's tools did, from the recording that an eval carries.

One player serves one trial: it remembers how often each call was made, and where the run left the recording.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from outerloop.evals.jsonvalue import canonical
from outerloop.evals.model import Cassette, Divergence, RecordedCall

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


class Player:
    """Answers calls from `cassette`; `policy` says what becomes of a call that it does not hold."""

    def __init__(self, cassette: Cassette, policy: Divergence) -> None:
        self._policy = policy
        self._recorded: dict[tuple[str, str], list[RecordedCall]] = {}
        for call in cassette.calls:
            self._recorded.setdefault((call.tool, canonical(call.arguments)), []).append(call)
        self._calls = cassette.calls
        self._made: Counter[tuple[str, str]] = Counter()
        self._divergences: list[Diverged] = []

    @property
    def divergences(self) -> tuple[Diverged, ...]:
        """The calls that the recording did not hold, in the order in which they were made."""
        return tuple(self._divergences)

    def answer(self, name: str, arguments: Mapping[str, Any]) -> ToolAnswer | None:
        """The recorded answer, or what the policy gives; None: the caller is to ask the live tools.

        The same call again gets its next recorded answer, and the last one ever after.
        """
        key = (name, canonical(arguments))
        if takes := self._recorded.get(key):
            take = takes[min(self._made[key], len(takes) - 1)]
            self._made[key] += 1
            return ToolAnswer(take.result, take.failed)
        nearest = self._nearest(name, arguments) if self._policy is Divergence.NEAREST else None
        by = Divergence.FAIL if self._policy is Divergence.NEAREST and nearest is None else self._policy
        if len(self._divergences) < MOST_DIVERGENCES:
            self._divergences.append(Diverged(name, arguments, by))
        if by is Divergence.LIVE:
            return None
        if nearest is not None:
            return ToolAnswer(nearest.result, nearest.failed)
        return ToolAnswer(f"the recording does not hold this call: {name} {key[1]}", is_error=True)

    def _nearest(self, name: str, arguments: Mapping[str, Any]) -> RecordedCall | None:
        """The call of the same tool with most equal, then fewest other arguments; then the first one."""
        given = {(key, canonical(value)) for key, value in arguments.items()}

        def likeness(call: RecordedCall) -> tuple[int, int]:
            recorded = {(key, canonical(value)) for key, value in call.arguments.items()}
            return len(given & recorded), -len(given ^ recorded)

        return max((call for call in self._calls if call.tool == name), key=likeness, default=None)
