"""Wording: asks a model for a request in other words; of another case none is taken (core/variants)."""

from string import Template
from typing import Any, cast

from anthropic.types import Message, ToolParam

from outerloop.draft import prompts
from outerloop.draft.asking import Asker, Question
from outerloop.draft.record import Opening
from outerloop.trace import quote

PROMPT = "reword/1"  # raise it with any change of a prompt
_REQUEST_CHARS = 4_000


class Wording:
    """Asks the model of the settings, once for each draft."""

    def __init__(self, asker: Asker) -> None:
        self._asker = asker

    async def of(self, opening: Opening, request: str, most: int) -> list[str]:
        """Up to `most` other wordings of a request; none of one that is too long to be worded anew.

        Raises:
            OutageError: when the model is away.
            UserError: when the provider does not know it.
        """
        if len(request) > _REQUEST_CHARS:
            return []
        task = Template(prompts.load("reword.md")).substitute(
            count=most, request=quote.fenced(request, "text", _REQUEST_CHARS)
        )
        async with self._asker.connected() as client:
            said = await self._asker.ask(client, opening, 1, _QUESTION, [{"role": "user", "content": task}])
        return _wordings(said)[:most]


def _wordings(said: Message) -> list[str]:
    used = next((block for block in said.content if block.type == "tool_use"), None)
    given = cast("dict[str, Any]", used.input) if used and isinstance(used.input, dict) else {}
    requests = given.get("requests")
    return [text.strip() for text in requests if isinstance(text, str)] if isinstance(requests, list) else []


_TOOL: ToolParam = {
    "name": "reword",
    "description": "Give the request in other words.",
    "input_schema": {
        "type": "object",
        "properties": {"requests": {"type": "array", "minItems": 1, "items": {"type": "string"}}},
        "required": ["requests"],
    },
}
_QUESTION = Question(PROMPT, "reword_system.md", _TOOL, lambda said: f"{len(_wordings(said))} wordings")
