"""ToolStub: answers a trial's tool calls, whichever way they come, and remembers which came.

From the recording where it holds the call; else as the eval's divergence policy says.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from outerloop.evals.cassette import Player, ToolAnswer
from outerloop.trace.messages import object_of
from outerloop.trace.model import ToolCall
from outerloop.trial.livetools import LiveTools


@dataclass(kw_only=True)
class ToolStub:
    """`live` are the team's own tools, None when it names none. `reached` are the calls that came here."""

    player: Player
    live: LiveTools | None
    reached: list[ToolCall] = field(default_factory=list[ToolCall])

    async def answer(self, name: str, arguments: Mapping[str, Any]) -> ToolAnswer:
        """What the tool answers.

        Raises:
            TrialNotRunError: when the team's tools are away.
        """
        name, given = _text(name), _plain(arguments)
        if arguments and not given:
            answer: ToolAnswer | None = ToolAnswer("its arguments are nested too deep", is_error=True)
        else:
            answer = self.player.answer(name, given)
        if answer is None:
            answer = await self._ask(name, given)
        self.reached.append(ToolCall(name, given, answer.content, answer.is_error, ""))
        return answer

    async def _ask(self, name: str, arguments: Mapping[str, Any]) -> ToolAnswer:
        if self.live is None:
            return ToolAnswer(
                f"the recording does not hold this call of {name}, and outerloop.yaml names no tools.sandbox",
                is_error=True,
            )
        return await self.live.call(name, arguments)


def _plain(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments as a trace would say them: an agent is hostile. {} when they are nested too deep."""
    try:
        return object_of(json.dumps(arguments))
    except (ValueError, RecursionError):
        return {}


def _text(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
