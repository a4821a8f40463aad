"""A request cut into records of one trace each, so that a trace has one key; none larger than Kafka takes."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message

_FRAMING = 16  # bytes of tags and lengths around a part, at most


@dataclass(slots=True)
class Piece:
    """Part of a request: `items` spans or log records of one trace. `key`: its id in hex, if it has one."""

    key: bytes | None
    message: Any
    items: int = 0
    size: int = 0
    place: tuple[int, int] = (-1, -1)  # the group and the scope that its last item stands in


def pieces(request: Any, groups: str, scopes: str, items: str, most: int) -> Iterator[Piece]:
    """Cut a request into pieces of about `most` bytes; only an item that is larger has a larger one, alone.

    `groups`, `scopes` and `items` are the names of the fields, as `resource_spans`, `scope_spans`, `spans`.
    """
    whole = _whole(request, groups, scopes, items, most)
    if whole:
        yield whole
        return
    open_: dict[bytes, Piece] = {}
    for number, group in enumerate(getattr(request, groups)):
        heading = _without(group, scopes)
        for second, scope in enumerate(getattr(group, scopes)):
            scope_heading = _without(scope, items)
            around = heading.ByteSize() + scope_heading.ByteSize() + 2 * _FRAMING
            for item in getattr(scope, items):
                size = item.ByteSize() + _FRAMING
                piece = open_.get(item.trace_id)
                if piece and piece.size + size + around > most:
                    yield open_.pop(item.trace_id)
                    piece = None
                if piece is None:
                    piece = Piece(_key(item.trace_id), type(request)())
                    open_[item.trace_id] = piece
                _enter(piece, (number, second), heading, scope_heading, (groups, scopes))
                getattr(getattr(getattr(piece.message, groups)[-1], scopes)[-1], items).append(item)
                piece.items += 1
                piece.size += size
    yield from open_.values()


def _whole(request: Any, groups: str, scopes: str, items: str, most: int) -> Piece | None:
    """The request as its only piece, where it is of one trace and small enough: most are."""
    every = [
        i for g in getattr(request, groups) for scope in getattr(g, scopes) for i in getattr(scope, items)
    ]
    traces = {item.trace_id for item in every}
    if len(traces) != 1 or request.ByteSize() > most:
        return None
    return Piece(_key(every[0].trace_id), request, len(every), request.ByteSize())


def _enter(
    piece: Piece, place: tuple[int, int], heading: Message, scope_heading: Message, names: tuple[str, str]
) -> None:
    """Open the group and the scope at `place` in the piece, where they are not open yet."""
    groups, scopes = names
    if piece.place[0] != place[0]:
        getattr(piece.message, groups).append(heading)
        piece.size += heading.ByteSize() + _FRAMING
    if piece.place != place:
        getattr(getattr(piece.message, groups)[-1], scopes).append(scope_heading)
        piece.size += scope_heading.ByteSize() + _FRAMING
    piece.place = place


def _without(message: Any, field: str) -> Any:
    """A copy of a message that lacks one field. Whatever else is there comes along, known to us or not."""
    copy = type(message)()
    copy.CopyFrom(message)
    copy.ClearField(field)
    return copy


def _key(trace_id: bytes) -> bytes | None:
    return trace_id.hex().encode() or None
