"""The table of dialects, read in Python: for traces that do not come from ClickHouse (trials, samples).

What it says of a span, the columns of otel_traces say too.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from outerloop.trace.dialects import (
    COST,
    COSTS,
    COUNT,
    COUNTS,
    ERROR,
    ERROR_LEVEL,
    FIELDS,
    INDEXED,
    KIND_NAMES,
    KINDS,
    NAMED_AS_TOOL,
    NUMBER,
    PLAIN_INPUT,
    PLAIN_OUTPUT,
    RESULT_BLOCKS,
    RESULT_MESSAGE,
    TOOL_ENTITY,
    TOOL_PARAMETERS,
    Indexed,
)
from outerloop.trace.text import quoted

_COUNT, _COST = re.compile(COUNT, re.ASCII), re.compile(COST, re.ASCII)
_NUMBER = re.compile(NUMBER, re.ASCII)
_HALF = re.compile("[\ud800-\udfff]")


class _Number(str):
    """A number of a JSON text, as it is written there."""

    __slots__ = ()


def understand(
    attributes: Mapping[str, str], resource: Mapping[str, str], name: str = ""
) -> dict[str, str | int | float]:
    """The fields of Span that the attributes of span `name` speak of; one that nothing says is left out."""
    fields: dict[str, str | int | float] = {}
    for field, names in FIELDS.items():
        if value := _first(attributes, names):
            fields[field] = value
    for field, names in COUNTS.items():
        if _COUNT.fullmatch(value := _first(attributes, names, number=True)):
            fields[field] = int(value)
    for field, names in COSTS.items():
        if _COST.fullmatch(value := _first(attributes, names, number=True)):
            fields[field] = float(value)
    kind = _first(attributes, KIND_NAMES).encode().lower().decode()
    operation = fields.setdefault("operation", KINDS.get(kind, ""))
    _messages(fields, str(operation), attributes, name)
    if attributes.get(ERROR_LEVEL) == ERROR:
        fields.setdefault("error_type", ERROR)
    if version := resource.get("service.version"):
        fields.setdefault("agent_version", version)
    if operation == "invoke_agent":
        fields.setdefault("agent", resource.get("service.name", ""))
    return fields


def _messages(
    fields: dict[str, str | int | float], operation: str, attributes: Mapping[str, str], name: str
) -> None:
    for field, dialects in INDEXED.items():
        for dialect in dialects:
            if field not in fields and (messages := _nested(attributes, dialect)):
                fields[field] = messages
    plain = {"input": _first(attributes, PLAIN_INPUT), "output": _first(attributes, PLAIN_OUTPUT)}
    if operation == "execute_tool":
        plain = {
            "tool": _first(attributes, TOOL_ENTITY) or (name if _first(attributes, NAMED_AS_TOOL) else ""),
            "arguments": plain["input"] or _first(attributes, TOOL_PARAMETERS),
            "result": _tool_said(attributes) or plain["output"],
        }
    for field, value in plain.items():
        if value:
            fields.setdefault(field, value)


def _tool_said(attributes: Mapping[str, str]) -> str:
    """The result of a tool where it is not simply an attribute, "" where it is."""
    name, content, known_by = RESULT_MESSAGE
    message = _parsed(attributes.get(name, ""))
    if _text_at(message, known_by) and (text := _text_at(message, content)):
        return text
    blocks = attributes.get(RESULT_BLOCKS, "")
    listed = _parsed(blocks)
    texts = [_text_at(block, ("text",)) for block in listed] if isinstance(listed, list) else []
    return "\n".join(filter(None, texts)) or blocks


def _first(attributes: Mapping[str, str], names: tuple[str, ...], *, number: bool = False) -> str:
    return next((value for name in names if (value := _value(attributes, name, number=number))), "")


def _value(attributes: Mapping[str, str], name: str, *, number: bool) -> str:
    name, _, member = name.partition("#")
    value = attributes.get(name, "")
    if not member or not value:
        return value
    found = _parsed(value)
    if not number:
        return _text_at(found, (member,))
    written = found.get(member) if isinstance(found, dict) else None
    return written if isinstance(written, _Number) else ""


def _parsed(text: str) -> Any:
    try:
        return json.loads(text, parse_int=_Number, parse_float=_Number) if text else None
    except (ValueError, RecursionError):
        return None


def _text_at(value: Any, path: tuple[str, ...]) -> str:
    for member in path:
        value = value.get(member) if isinstance(value, dict) else None
    # Half of a surrogate pair is a str in Python, and not text anywhere else.
    is_text = isinstance(value, str) and not isinstance(value, _Number) and not _HALF.search(value)
    return value if is_text else ""


def _nested(attributes: Mapping[str, str], dialect: Indexed) -> str:
    """Flattened messages as GenAI messages, "" where there are none."""
    messages = []
    for number in _numbers(attributes, dialect.start):
        base = f"{dialect.start}{number}{dialect.inner}"
        parts = [
            f'{{"type":"text","content":{quoted(text)}}}'
            for name in [f"{base}.content", *_items(attributes, base, dialect.contents)]
            if (text := attributes.get(name, ""))
        ]
        parts += [
            f'{{"type":"tool_call","id":{quoted(attributes.get(f"{call}.id", ""))}'
            f',"name":{quoted(attributes.get(call + dialect.call_name, ""))}'
            f',"arguments":{quoted(attributes.get(call + dialect.call_arguments, ""))}}}'
            for call in _items(attributes, base, dialect.calls)
        ]
        role = quoted(attributes.get(f"{base}.role", ""))
        messages.append(f'{{"role":{role},"parts":[{",".join(parts)}]}}')
    return f"[{','.join(messages)}]" if messages else ""


def _items(attributes: Mapping[str, str], base: str, of: tuple[str, str]) -> list[str]:
    start = base + of[0]
    return [f"{start}{number}{of[1]}" for number in _numbers(attributes, start)]


def _numbers(attributes: Mapping[str, str], start: str) -> list[int]:
    """The numbers that follow `start` in names, in order."""
    rests = (name[len(start) :] for name in attributes if name.startswith(start))
    return sorted({int(found[1]) for rest in rests if (found := _NUMBER.match(rest))})
