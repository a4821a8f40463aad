"""The messages of a session, and the request that they make."""

from typing import Any, cast

from anthropic.types import CacheControlEphemeralParam, MessageParam, ToolParam
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming

from outerloop.propose.compaction import compact
from outerloop.propose.context import stable
from outerloop.propose.record import Blocks

_CACHED: CacheControlEphemeralParam = {"type": "ephemeral"}


class Conversation:
    """Turns in order, the first and every second one ours."""

    def __init__(
        self, *, model: str, max_tokens: int, system: str, tools: list[ToolParam], first: str
    ) -> None:
        self._model = model
        self._max_tokens = max_tokens
        self._system = system
        self._tools = tools
        head, rest = stable(first)
        blocks: Blocks = [{"type": "text", "text": rest}]
        if head.strip():  # what the sessions of one agent share is read from the cache by all of them
            blocks.insert(0, {"type": "text", "text": head, "cache_control": _CACHED})
        self._messages: list[dict[str, Any]] = [{"role": "user", "content": blocks}]

    def request(self) -> MessageCreateParamsNonStreaming:
        """The next request. Tools, system prompt and earlier turns are read from the cache."""
        messages = [dict(message) for message in self._messages]
        # Our last two turns: where the cache is to end now, and where it ended a step ago.
        for message in [m for m in messages if m["role"] == "user"][-2:]:
            *before, last = message["content"]
            message["content"] = [*before, {**last, "cache_control": _CACHED}]
        return {
            "model": self._model,
            "max_tokens": self._max_tokens,
            "system": [{"type": "text", "text": self._system, "cache_control": _CACHED}],
            "tools": self._tools,
            "messages": cast("list[MessageParam]", messages),
        }

    def add(self, content: Blocks, reply: Blocks) -> None:
        """The model's turn, as it came, and our answer to it."""
        # The API takes back neither a blank text nor a turn without content, though a model may give them.
        said = [block for block in content if block["type"] != "text" or block["text"].strip()]
        if said:
            self._messages += [{"role": "assistant", "content": said}, {"role": "user", "content": reply}]
        else:
            self._messages[-1]["content"] += reply

    def compact(self, tokens: int) -> None:
        """Leave out what can be seen again, about so many tokens of it, the oldest first."""
        compact(self._messages, tokens)
