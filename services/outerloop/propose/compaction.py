"""Compaction: what a long conversation may forget, so that it goes on without being told anew. Pure.

By delta, never by rewriting: only results of tools are replaced, each by one line that says what it was and
how to see it again. The first message, what the model said, every edit and every refusal stay word for word,
so does the last run of tests and of evals, and the last turns. A result that was left out stays left out, so
the conversation that a session goes on with after a crash is the one that it had.
"""

from collections.abc import Iterator
from typing import Any

from outerloop.propose.record import Blocks

KEPT_TURNS = 3
# Shorter ones are not worth a line in their place.
_LEAST = 400
_CHARS_PER_TOKEN = 4
# Their last result is what the model goes by: it cannot be had again without paying again.
_VERDICTS = frozenset({"run_tests", "run_eval"})
_SHOWN = 120
_MARK = "[left out to save room: "


def compact(messages: list[dict[str, Any]], tokens: int) -> int:
    """Replace results in `messages`, the oldest first, until about `tokens` are saved; gives what was saved.

    `messages` are a conversation as on the wire; those that change are replaced, not changed in place.
    """
    saved = 0
    calls = {block["id"]: block for block in _blocks(messages, "tool_use")}
    given = [b["tool_use_id"] for b in _blocks(messages, "tool_result") if not b.get("is_error")]
    # Of the tests, of the eval, and of each recorded run that the agent was tried on.
    last = {(calls[each]["name"], calls[each]["input"].get("trace_id", "")): each for each in given}
    kept = {identifier for (name, _), identifier in last.items() if name in _VERDICTS}
    for at, message in enumerate(messages[: -2 * KEPT_TURNS or None]):
        if saved >= tokens:
            break
        blocks = [_shortened(block, calls, kept) for block in message["content"]]
        less = sum(
            len(_text(old)) - len(_text(new)) for old, new in zip(message["content"], blocks, strict=True)
        )
        if less:
            messages[at] = {**message, "content": blocks}
            saved += less // _CHARS_PER_TOKEN
    return saved


def _shortened(block: dict[str, Any], calls: dict[str, Any], kept: set[str]) -> dict[str, Any]:
    text = _text(block)
    if block["type"] != "tool_result" or block.get("is_error") or block["tool_use_id"] in kept:
        return block
    call = calls[block["tool_use_id"]]
    if call["name"] == "edit_file" or len(text) < _LEAST or text.startswith(_MARK):
        return block
    given = ", ".join(f"{name}={value!r}"[:_SHOWN] for name, value in call["input"].items())
    again = f"{_MARK}the {len(text)} characters that {call['name']}({given}) gave; call it again to see them]"
    return {**block, "content": again}


def _blocks(messages: list[dict[str, Any]], kind: str) -> Iterator[dict[str, Any]]:
    for message in messages:
        content: Blocks = message["content"]
        yield from (block for block in content if block["type"] == kind)


def _text(block: dict[str, Any]) -> str:
    return str(block.get("content", ""))
