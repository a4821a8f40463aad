"""ToolStub: answers a trial's tool calls, whichever way they come, and remembers which came.

From the recording where it holds the call; else as the eval's divergence policy says.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from outerloop.evals.cassette import Player, ToolAnswer
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
        answer = self.player.answer(name, arguments)
        if answer is None:
            answer = await self._ask(name, arguments)
        self.reached.append(ToolCall(name, arguments, answer.content, answer.is_error, ""))
        return answer

    async def _ask(self, name: str, arguments: Mapping[str, Any]) -> ToolAnswer:
        if self.live is None:
            return ToolAnswer(
                f"the recording does not hold this call of {name}, and there is no tool sandbox",
                is_error=True,
            )
        return await self.live.call(name, arguments)
