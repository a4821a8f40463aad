"""Protobuf as it lies in memory: some fields of a message replaced, every other byte as it was.

Parsing a request, walking all of it and writing it again would cost more than all the rest of ingest, for the
sake of a field or two; and it would lose nothing only if the parser knew every field.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

_VALUE = 2  # of a KeyValue
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MORE = 0x80  # a varint goes on
_LONGEST_VARINT = 10
_DEEPEST = 250  # levels: protobuf's own parsers take 100 messages, each AnyValue in a list being two


class WireError(ValueError):
    """These bytes are no protobuf message."""


@dataclass(slots=True)
class Shape:
    """A message type, as far as it matters: which of its fields are messages, and which hold text."""

    name: str
    messages: dict[int, "Shape"] = field(default_factory=dict)
    texts: set[int] = field(default_factory=set)


@cache
def shape_of_traces() -> Shape:
    """Of ExportTraceServiceRequest."""
    return _shape(ExportTraceServiceRequest.DESCRIPTOR, {})


@cache
def shape_of_logs() -> Shape:
    """Of ExportLogsServiceRequest."""
    return _shape(ExportLogsServiceRequest.DESCRIPTOR, {})


def fields(data: bytes, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """(number, where the field begins, where its content does, where it ends) of length-delimited fields.

    Raises:
        WireError: when it is no message.
    """
    position = start
    while position < end:
        begins = position
        tag, position = _varint(data, position, end)
        kind = tag & 7
        if kind == _BYTES:
            length, position = _varint(data, position, end)
            content, position = position, position + length
        elif kind == _VARINT:
            content, (_, position) = position, _varint(data, position, end)
        elif kind in (_FIXED64, _FIXED32):
            content, position = position, position + (8 if kind == _FIXED64 else 4)
        else:
            raise WireError(f"wire type {kind} at byte {begins}")
        if position > end or not tag >> 3:
            raise WireError(f"a field that begins at byte {begins} does not end in its message")
        if kind == _BYTES:
            yield tag >> 3, begins, content, position


def length_delimited(number: int, content: bytes) -> bytes:
    """A field with this content."""
    return _written(number << 3 | _BYTES) + _written(len(content)) + content


@dataclass(frozen=True)
class Editor:
    """Replaces texts in messages.

    Args:
        text: the new content of a text field, from its content and the marks that lie in it, counted from
            its beginning.
        value: the new content of a KeyValue's value (an AnyValue), from the key and the value; None: look at
            it as at anything else.
    """

    text: Callable[[bytes, list[tuple[int, int]]], bytes]
    value: Callable[[bytes, bytes], bytes | None]

    def edit(self, data: bytes, shape: Shape, marks: list[tuple[int, int]]) -> bytes:
        """The message with what lies under the marks (end offset, kind; in order) looked at.

        Raises:
            WireError: when a message on the way is none.
        """
        return _Editing(self, data, marks).message(0, len(data), shape, 0)


@dataclass(frozen=True)
class _Editing:
    editor: Editor
    data: bytes
    marks: list[tuple[int, int]]

    def message(self, start: int, end: int, shape: Shape, depth: int) -> bytes:
        """The message that lies there, edited."""
        if depth > _DEEPEST:
            raise WireError(f"more than {_DEEPEST} levels")
        parts: list[bytes] = []
        copied, key = start, b""
        for number, begins, content, ends in fields(self.data, start, end):
            if shape.name == "KeyValue" and number == 1:
                key = self.data[content:ends]
            new = None
            if key and number == _VALUE:  # a key's own mark lies before its value
                new = self.editor.value(key, self.data[content:ends])
            if new is None and (marks := self._marks_in(content, ends)):
                if inner := shape.messages.get(number):
                    new = self.message(content, ends, inner, depth + 1)
                elif number in shape.texts:
                    new = self.editor.text(self.data[content:ends], marks)
            if new is not None:
                parts += (self.data[copied:begins], length_delimited(number, new))
                copied = ends
        parts.append(self.data[copied:end])
        return b"".join(parts)

    def _marks_in(self, start: int, end: int) -> list[tuple[int, int]]:
        """The marks that end in there, counted from its start."""
        first = bisect_left(self.marks, (start + 1, -1))
        found = self.marks[first : bisect_left(self.marks, (end + 1, -1))]
        return [(at - start, kind) for at, kind in found]


def hidden(value: bytes, hide: Callable[[bytes], bytes]) -> bytes:
    """An AnyValue in which every text, at any depth, is what `hide` makes of it.

    Raises:
        WireError: when it is none.
    """
    return _hidden(value, shape_of_traces().messages[1].messages[1].messages[1].messages[2], hide, 0)


def _hidden(data: bytes, shape: Shape, hide: Callable[[bytes], bytes], depth: int) -> bytes:
    if depth > _DEEPEST:
        raise WireError(f"more than {_DEEPEST} levels")
    parts: list[bytes] = []
    copied = 0
    for number, begins, content, ends in fields(data, 0, len(data)):
        inner = data[content:ends]
        if number in shape.messages:
            new = _hidden(inner, shape.messages[number], hide, depth + 1)
        elif number in shape.texts and shape.name == "AnyValue":
            new = hide(inner)
        else:
            continue
        parts += (data[copied:begins], length_delimited(number, new))
        copied = ends
    return b"".join([*parts, data[copied:]])


def _shape(descriptor: Descriptor, known: dict[str, Shape]) -> Shape:
    if descriptor.full_name in known:
        return known[descriptor.full_name]
    shape = known[descriptor.full_name] = Shape(descriptor.name)
    for each in descriptor.fields:
        if each.message_type:
            shape.messages[each.number] = _shape(each.message_type, known)
        elif each.type == FieldDescriptor.TYPE_STRING or _is_text(each):
            shape.texts.add(each.number)
    return shape


def _is_text(each: Any) -> bool:
    # The other fields of bytes are ids.
    return bool(each.type == FieldDescriptor.TYPE_BYTES and each.containing_type.name == "AnyValue")


def _varint(data: bytes, position: int, end: int) -> tuple[int, int]:
    value = 0
    for place in range(_LONGEST_VARINT):
        if position >= end:
            break
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << 7 * place
        if byte < _MORE:
            return value, position
    raise WireError(f"a number that ends at byte {position} is none")


def _written(number: int) -> bytes:
    out = bytearray()
    while number >= _MORE:
        out.append(number & 0x7F | _MORE)
        number >>= 7
    out.append(number)
    return bytes(out)
