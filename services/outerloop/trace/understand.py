"""The table of dialects, read in Python: for traces that do not come from ClickHouse (trials, samples).

What it says of a span, the columns of otel_traces say too.
"""

import json
import re
from collections.abc import Mapping

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
    NUMBER,
    PLAIN_INPUT,
    PLAIN_OUTPUT,
    TOOL_ENTITY,
    Indexed,
)
from outerloop.trace.text import quoted

_COUNT, _COST = re.compile(COUNT, re.ASCII), re.compile(COST, re.ASCII)
_NUMBER = re.compile(NUMBER, re.ASCII)


class _Number(str):
    """A number of a JSON text, as it is written there."""

    __slots__ = ()


def understand(attributes: Mapping[str, str], resource: Mapping[str, str]) -> dict[str, str | int | float]:
    """The fields of Span that `attributes` speak of; a field that nothing says is left out."""
    fields: dict[str, str | int | float] = {}
    for field, names in FIELDS.items():
        if value := _first(attributes, names):
            fields[field] = value
    for field, names in COUNTS.items():
        if _COUNT.fullmatch(value := _first(attributes, names)):
            fields[field] = int(value)
    for field, names in COSTS.items():
        if _COST.fullmatch(value := _first(attributes, names)):
            fields[field] = float(value)
    kind = _first(attributes, KIND_NAMES).encode().lower().decode()
    operation = fields.setdefault("operation", KINDS.get(kind, ""))
    _messages(fields, str(operation), attributes)
    if attributes.get(ERROR_LEVEL) == ERROR:
        fields.setdefault("error_type", ERROR)
    if version := resource.get("service.version"):
        fields.setdefault("agent_version", version)
    if operation == "invoke_agent":
        fields.setdefault("agent", resource.get("service.name", ""))
    return fields


def _messages(fields: dict[str, str | int | float], operation: str, attributes: Mapping[str, str]) -> None:
    for field, dialects in INDEXED.items():
        for dialect in dialects:
            if field not in fields and (messages := _nested(attributes, dialect)):
                fields[field] = messages
    if operation == "execute_tool" and (name := _first(attributes, TOOL_ENTITY)):
        fields.setdefault("tool", name)
    into = ("arguments", "result") if operation == "execute_tool" else ("input", "output")
    for field, names in zip(into, (PLAIN_INPUT, PLAIN_OUTPUT), strict=True):
        if value := _first(attributes, names):
            fields.setdefault(field, value)


def _first(attributes: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((value for name in names if (value := _value(attributes, name))), "")


def _value(attributes: Mapping[str, str], name: str) -> str:
    name, _, member = name.partition("#")
    value = attributes.get(name, "")
    return _member(value, member) if member and value else value


def _member(text: str, member: str) -> str:
    try:
        found = json.loads(text, parse_int=_Number, parse_float=_Number)
    except (ValueError, RecursionError):
        return ""
    value = found.get(member) if isinstance(found, dict) else None
    return value if isinstance(value, _Number) else ""


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
