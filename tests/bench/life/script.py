"""The scripted model: `reply` for outerloop's Messages API server. A script, not a model."""

import os
from typing import Any

from bench.life.behaviour import asked, is_flaky, rate
from outerloop.dev.messages_api import Dice, Reply

# The server loads a script by its path alone, so this is how it is told which world it is in.
EVALS = int(os.environ.get("LIFE_EVALS", "40"))


def reply(request: dict[str, Any], dice: Dice) -> Reply:
    """One step of the support agent: the right call by a coin, then a word to the customer."""
    first = request["messages"][0]["content"]
    text = first if isinstance(first, str) else "".join(block.get("text", "") for block in first)
    if len(request["messages"]) > 1:
        return _say("It is done. I am sorry for the trouble.")
    topic, order = asked(text)
    if topic is None or dice.draw() >= rate(request.get("system", ""), text, flaky=is_flaky(topic, EVALS)):
        return _say("I am sorry to hear that.")
    tool, argument, value = topic.call
    return {"content": [{"type": "tool_use", "name": tool, "input": {"order_id": order, argument: value}}]}


def _say(text: str) -> Reply:
    return {"content": [{"type": "text", "text": text}]}
