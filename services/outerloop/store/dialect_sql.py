"""The table of dialects (trace/dialects.py) as SQL: what the columns of otel_traces are made of.

A column that is asked by, and small, is a DEFAULT: made when a span is stored, whoever inserts it. Content
(messages, arguments, results) is an ALIAS: it stands in SpanAttributes already, and a second copy would
double the disk. `python -m outerloop.store.dialect_sql` writes the newest migration of them; a test compares.
"""

import sys
from collections.abc import Iterable

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

# Column of otel_traces -> field of Span.
DEFAULTS = {
    "Operation": "operation",
    "AgentName": "agent",
    "AgentVersion": "agent_version",
    "SessionId": "session_id",
    "Provider": "provider",
    "Model": "model",
    "ToolName": "tool",
    "ErrorType": "error_type",
    "InputTokens": "input_tokens",
    "OutputTokens": "output_tokens",
    "CacheReadTokens": "cache_read_tokens",
    "CacheWriteTokens": "cache_write_tokens",
    "ReasoningTokens": "reasoning_tokens",
    "Cost": "cost",
}
ALIASES = {
    "ToolArguments": "arguments",
    "ToolResult": "result",
    "Input": "input",
    "Output": "output",
}
_MAP = "SpanAttributes"
_TYPES = {"session_id": "String", "cost": "Float64"} | dict.fromkeys(COUNTS, "UInt64")
_CODECS = {"SessionId": "ZSTD(1)", "Cost": "ZSTD(1)"}


_HEAD = """\
-- What the columns of a span are made of, by trace/dialects.py. A DEFAULT says it of spans that are stored
-- from now on, an ALIAS of all. Written by `python -m outerloop.store.dialect_sql`. Writer: ingest.
"""


def migration() -> str:
    """The text of a migration's file that makes the columns say what the dialects say; harmless to repeat."""
    kinds = {c: _TYPES.get(field, "LowCardinality(String)") for c, field in DEFAULTS.items()}
    codecs = {c: "T64, ZSTD(1)" if kind == "UInt64" else _CODECS.get(c, "") for c, kind in kinds.items()}
    declared = [
        f"{c} {kinds[c]} DEFAULT {_default(field)}" + (f" CODEC({codecs[c]})" if codecs[c] else "")
        for c, field in DEFAULTS.items()
    ]
    declared += [f"{c} String ALIAS {_alias(field)}" for c, field in ALIASES.items()]
    return f"{_HEAD}{_alter(f'MODIFY COLUMN {column}' for column in declared)};\n"


def json_string(text: str) -> str:
    """JSON of a text or of an array of texts, with a plain `/` whatever the server's settings say of that."""
    return f"replaceAll(toJSONString({text}), trim(BOTH '\"' FROM toJSONString('/')), '/')"


def _alter(what: Iterable[str]) -> str:
    return "ALTER TABLE otel_traces\n    " + ",\n    ".join(what)


def _default(field: str) -> str:
    if field in COUNTS:
        return f"toUInt64OrZero({_looking_like(_first(COUNTS[field], number=True), COUNT)})"
    if field in COSTS:
        return f"toFloat64OrZero({_looking_like(_first(COSTS[field], number=True), COST)})"
    named = f"if({_first(NAMED_AS_TOOL)} != '', SpanName, '')"
    otherwise = {
        "operation": f"transform(lower({_first(KIND_NAMES)}), {_array(KINDS)}, {_array(KINDS.values())}, '')",
        "agent": "if(Operation = 'invoke_agent', ResourceAttributes['service.name'], '')",
        "agent_version": "ResourceAttributes['service.version']",
        "tool": f"if(Operation = 'execute_tool', {_first(TOOL_ENTITY, named)}, '')",
        "error_type": f"if({_value(ERROR_LEVEL)} = {_text(ERROR)}, {_text(ERROR)}, '')",
    }
    return _first(FIELDS[field], otherwise.get(field, "''"))


def _alias(field: str) -> str:
    plain = {
        "arguments": _first(PLAIN_INPUT + TOOL_PARAMETERS),
        "result": _tool_said(_first(PLAIN_OUTPUT)),
        "input": _first(PLAIN_INPUT),
        "output": _first(PLAIN_OUTPUT),
    }
    of_tool = field in ("arguments", "result")
    otherwise = f"if(Operation {'=' if of_tool else '!='} 'execute_tool', {plain[field]}, '')"
    for dialect in reversed(INDEXED.get(field, ())):
        nested = _nested(dialect)
        otherwise = f"if({nested} != '', {nested}, {otherwise})"
    return _first(FIELDS[field], otherwise)


def _tool_said(otherwise: str) -> str:
    """The result of a tool where it is not simply an attribute; as trace.understand does it."""
    name, content, known_by = RESULT_MESSAGE
    message, known = (_text_at(_value(name), _texts(path)) for path in (content, known_by))
    texts = f"arrayMap(b -> {_text_at('b', _text('text'))}, JSONExtractArrayRaw({_value(RESULT_BLOCKS)}))"
    joined = f"arrayStringConcat(arrayFilter(t -> t != '', {texts}), '\\n')"
    return (
        f"multiIf({known} != '' AND {message} != '', {message}, {joined} != '', {joined}, "
        f"{_value(RESULT_BLOCKS)} != '', {_value(RESULT_BLOCKS)}, {otherwise})"
    )


def _first(names: tuple[str, ...], otherwise: str = "''", *, number: bool = False) -> str:
    values = [_value(name, number=number) for name in names]
    return f"multiIf({', '.join(f'{value} != {_text()}, {value}' for value in values)}, {otherwise})"


def _value(name: str, *, number: bool = False) -> str:
    name, _, member = name.partition("#")
    value = f"{_MAP}[{_text(name)}]"
    if not member:
        return value
    return f"JSONExtractRaw({value}, {_text(member)})" if number else _text_at(value, _text(member))


def _text_at(value: str, path: str) -> str:
    # JSONExtractString makes a text of a number as well.
    return f"if(JSONType({value}, {path}) = 'String', JSONExtractString({value}, {path}), '')"


def _looking_like(value: str, pattern: str) -> str:
    return f"if(match({value}, {_text(pattern)}), {value}, '')"


def _nested(dialect: Indexed) -> str:
    """Flattened messages as GenAI messages, '' where there are none; as trace.understand does it."""
    base = f"concat({_text(dialect.start)}, toString(i), {_text(dialect.inner)})"
    content = _at(base, ".content")
    text = f'concat(\'{{"type":"text","content":\', {json_string("%s")}, \'}}\')'
    contents = (
        f"arrayMap(j -> {_at(_item(base, dialect.contents), '')}, {_numbers(_list(base, dialect.contents))})"
    )
    texts = f"arrayMap(c -> {text % 'c'}, arrayFilter(c -> c != '', arrayConcat([{content}], {contents})))"
    call = _item(base, dialect.calls)
    calls = (
        'arrayMap(j -> concat(\'{"type":"tool_call","id":\', '
        f"{json_string(_at(call, '.id'))}, ',\"name\":', {json_string(_at(call, dialect.call_name))}, "
        f"',\"arguments\":', {json_string(_at(call, dialect.call_arguments))}, '}}'), "
        f"{_numbers(_list(base, dialect.calls))})"
    )
    message = (
        f"concat('{{\"role\":', {json_string(_at(base, '.role'))}, ',\"parts\":[', "
        f"arrayStringConcat(arrayConcat({texts}, {calls}), ','), ']}}')"
    )
    numbers = _numbers(_text(dialect.start))
    messages = f"arrayStringConcat(arrayMap(i -> {message}, {numbers}), ',')"
    return f"if(empty({numbers}), '', concat('[', {messages}, ']'))"


def _list(base: str, of: tuple[str, str]) -> str:
    return f"concat({base}, {_text(of[0])})"


def _item(base: str, of: tuple[str, str]) -> str:
    return f"concat({base}, {_text(of[0])}, toString(j), {_text(of[1])})"


def _at(base: str, end: str) -> str:
    return f"{_MAP}[concat({base}, {_text(end)})]" if end else f"{_MAP}[{base}]"


def _numbers(start: str) -> str:
    rest = f"substring(k, length({start}) + 1)"
    of_list = f"startsWith(k, {start}) AND match({rest}, {_text(NUMBER)})"
    keys = f"arrayFilter(k -> {of_list}, CAST(mapKeys({_MAP}), 'Array(String)'))"
    return f"arraySort(arrayDistinct(arrayMap(k -> toUInt16(extract({rest}, {_text(NUMBER)})), {keys})))"


def _array(texts: Iterable[str]) -> str:
    return f"[{_texts(texts)}]"


def _texts(texts: Iterable[str]) -> str:
    return ", ".join(map(_text, texts))


def _text(text: str = "") -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


if __name__ == "__main__":
    sys.stdout.write(migration())
