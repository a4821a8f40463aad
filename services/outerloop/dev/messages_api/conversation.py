"""What a conversation must hold beyond its shape: who may say what, and that every tool use is answered.

Each rule raises ApiError with the sentence of the real API, as far as it is known.
"""

import re
from collections import Counter

from outerloop.dev.messages_api.catalogue import Model
from outerloop.dev.messages_api.errors import ApiError, invalid
from outerloop.dev.messages_api.shapes import Block, CountRequest, Message, Text, ToolResult

_MAX_MESSAGES = 100_000
_ONLY_IN = {
    "image": "user",
    "tool_result": "user",
    "tool_use": "assistant",
    "thinking": "assistant",
    "redacted_thinking": "assistant",
}


def check_content(request: CountRequest, model: Model) -> None:
    """Messages as they were sent: none empty, each block in a role that may say it, no loose end."""
    messages = request.messages
    if not messages:
        raise invalid("messages: at least one message is required")
    if len(messages) > _MAX_MESSAGES:
        raise invalid(f"messages: at most {_MAX_MESSAGES} messages are allowed")
    if messages[0].role != "user":
        raise invalid('messages: first message must use the "user" role')
    _check_texts("system", request.system)
    for index, message in enumerate(messages):
        _check_message(index, message, final=message is messages[-1])
    final = messages[-1]
    if final.role == "assistant" and not any(block.type == "tool_use" for block in final.content):
        _check_prefill(final.content, model)


def _check_message(index: int, message: Message, *, final: bool) -> None:
    if not message.content and not (final and message.role == "assistant"):
        raise invalid(
            f"messages.{index}: all messages must have non-empty content except for the optional final "
            "assistant message"
        )
    for block in message.content:
        role = _ONLY_IN.get(block.type, message.role)
        if role != message.role:
            raise invalid(f"messages.{index}: `{block.type}` blocks can only be in `{role}` messages")
    _check_texts("messages", message.content)


def _check_prefill(content: list[Block], model: Model) -> None:
    if not model.prefill:
        raise invalid(
            "This model does not support assistant message prefill. The conversation must end with a user "
            "message."
        )
    if content and isinstance(content[-1], Text) and re.search(r"\s$", content[-1].text):
        raise invalid("messages: final assistant content cannot end with trailing whitespace")


def _check_texts(where: str, blocks: list[Block] | list[Text]) -> None:
    for block in blocks:
        if isinstance(block, ToolResult):
            _check_texts(where, [inner for inner in block.content if isinstance(inner, Text)])
        if not isinstance(block, Text):
            continue
        if not block.text:
            raise invalid(f"{where}: text content blocks must be non-empty")
        if not block.text.strip():
            raise invalid(f"{where}: text content blocks must contain non-whitespace text")


def check_turns(request: CountRequest) -> None:
    """Turns, once messages of one role are combined: every tool use is answered, at once, exactly once."""
    pending: list[str] = []
    seen: set[str] = set()
    for turn, message in enumerate(request.messages):
        if message.role == "user":
            _check_results(turn, message.content, pending)
            pending = []
            continue
        for index, block in enumerate(message.content):
            if block.type == "tool_use":
                if block.id in seen:
                    raise invalid(f"messages.{turn}.content.{index}: `tool_use` ids must be unique")
                seen.add(block.id)
                pending.append(block.id)
    if pending:
        raise _unanswered(len(request.messages) - 1, pending)


def _check_results(turn: int, content: list[Block], pending: list[str]) -> None:
    """A user turn opens with one result for each pending tool use; a result after text answers nothing."""
    results = [(index, block) for index, block in enumerate(content) if isinstance(block, ToolResult)]
    for index, block in results:
        if block.tool_use_id not in pending:
            raise invalid(
                f"messages.{turn}.content.{index}: unexpected `tool_use_id` found in `tool_result` blocks: "
                f"{block.tool_use_id}. Each `tool_result` block must have a corresponding `tool_use` block "
                "in the previous message."
            )
    for identifier, count in Counter(block.tool_use_id for _, block in results).items():
        if count > 1:
            raise invalid(
                f"messages.{turn}: each tool_use must have a single result. Found multiple `tool_result` "
                f"blocks with id: {identifier}"
            )
    leading = {block.tool_use_id for place, (index, block) in enumerate(results) if place == index}
    if missing := [identifier for identifier in pending if identifier not in leading]:
        raise _unanswered(turn - 1, missing)


def _unanswered(turn: int, identifiers: list[str]) -> ApiError:
    return invalid(
        f"messages.{turn}: `tool_use` ids were found without `tool_result` blocks immediately after: "
        f"{', '.join(identifiers)}. Each `tool_use` block must have a corresponding `tool_result` block in "
        "the next message."
    )
