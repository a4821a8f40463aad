"""The office's diary: rooms, and what may be done with them.

A wrong request is a DiaryError, for the model to read.
"""

import re
from typing import Any

ROOMS = {"Elbe": 4, "Isar": 8, "Spree": 20}
SHORTEST, LONGEST = 15, 600  # minutes
BUSY = "B-9"  # bookings that begin so are held by another system, which never lets go
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")

TOOLS: dict[str, dict[str, str]] = {
    "find_rooms": {"seats": "integer"},
    "book_room": {
        "room": "string",
        "day": "string",
        "start": "string",
        "minutes": "integer",
        "seats": "integer",
    },
    "cancel_booking": {"booking": "string"},
}


class DiaryError(Exception):
    """What is wrong with a request."""


def call(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Does what a tool does."""
    if name not in TOOLS or set(arguments) != set(TOOLS[name]):
        raise DiaryError(f"{name} takes {', '.join(TOOLS.get(name, ()))}")
    match name:
        case "find_rooms":
            return {"rooms": [room for room, seats in ROOMS.items() if seats >= arguments["seats"]]}
        case "book_room":
            return _book(**arguments)
        case _:
            return _cancel(**arguments)


def _book(room: str, day: str, start: str, minutes: int, seats: int) -> dict[str, Any]:
    if room not in ROOMS:
        raise DiaryError(f"there is no room '{room}'")
    if not _DAY.fullmatch(day):
        raise DiaryError(f"invalid day '{day}': expected the form 2026-05-03")
    if not SHORTEST <= minutes <= LONGEST:
        raise DiaryError(f"invalid minutes '{minutes}': give the whole length in minutes, 15 to 600")
    if seats > ROOMS[room]:
        raise DiaryError(f"{room} seats {ROOMS[room]}, and {seats} people are coming")
    return {"room": room, "day": day, "start": start, "minutes": minutes, "booking": f"B-1{len(day + room)}"}


def _cancel(booking: str) -> dict[str, Any]:
    if booking.startswith(BUSY):
        raise DiaryError("the diary is busy, try again")
    return {"booking": booking, "status": "cancelled"}
