"""The scripted model: `reply` for outerloop's Messages API server. A script, not a model; see README.md."""

from collections.abc import Mapping
from typing import Any, Protocol

import proposer
import support_agent
from conversation import Conversation, say


class Dice(Protocol):
    """The chance in one answer."""

    def disobeys(self) -> bool:
        """Whether an instruction is ignored this time."""
        ...


def reply(request: Mapping[str, Any], dice: Dice) -> dict[str, Any]:
    """The answer to the body of POST /v1/messages; its role is told by the tools that it is offered."""
    talk = Conversation.read(request)
    if {"edit_file", "finish"} <= talk.tools.keys():
        return proposer.reply(talk)
    if "get_order" in talk.tools:
        return support_agent.reply(talk, dice.disobeys)
    return say("I am a script that plays a support agent and a proposer of changes, and nothing else.")
