"""Thirteen flaws in three agents: what goes wrong, on which requests, and what must hold of a repair.

All of them are silences: the agent's own text does not say what its model would have to know. What that is,
its tools and its auditors say when it goes wrong, so it stands in the traces.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from outerloop.evals.expect.answer import Answered, AnswerFits
from outerloop.evals.expect.behaviour import NoErrorStatus
from outerloop.evals.expect.composite import Expectation
from outerloop.evals.expect.tools import NoRepeatedCall, ToolCalled, ToolNotCalled

_JSON = AnswerFits(json_schema={"type": "object", "required": ["reply", "action"]})


@dataclass(frozen=True, slots=True)
class Case:
    """A request, as its customer says it, and what must hold of the agent's run on it."""

    text: str
    expect: tuple[Expectation, ...]


@dataclass(frozen=True, slots=True)
class Flaw:
    """One failure mode. The first case is the eval's; the second one no session is shown.

    `failing` and `healthy` are requests whose runs are the evidence; `audit` is what an auditor says of the
    failing ones, "" where the trace tells itself. `earlier` is what the agent did well and must go on to do.
    """

    name: str
    agent: str
    case: Case
    held_out: Case
    earlier: tuple[Case, ...]
    failing: tuple[str, ...]
    healthy: tuple[str, ...]
    audit: str = ""


def called(text: str, tool: str, **arguments: Any) -> Case:
    """The tool has to be called so."""
    return Case(text, (ToolCalled(tool=tool, arguments=arguments), Answered()))


def not_called(text: str, tool: str) -> Case:
    """The tool must not be called."""
    return Case(text, (ToolNotCalled(tool=tool), Answered()))


def ends_well(text: str) -> Case:
    """No call is made in vain again and again, and there is an answer."""
    return Case(text, (NoRepeatedCall(), Answered(), NoErrorStatus()))


def _each(form: str, values: Sequence[object]) -> tuple[str, ...]:
    return tuple(form.format(value) for value in values)


_STATUS = "What is the status of order {}?"
_REFUND = "Hello, I would like a refund for order {}, it is not what I expected."
_TRACK = "Where is my parcel? Order {}"
HELPDESK = (
    Flaw(
        "order id",
        "helpdesk",
        called(_STATUS.format(1004), "get_order", order_id="A-1004"),
        called("Has order 1022 been processed yet?", "get_order", order_id="A-1022"),
        (called(_STATUS.format("A-1015"), "get_order", order_id="A-1015"),),
        _each(_STATUS, (1004, 1015, 1024, 1029)),
        _each(_STATUS, ("A-1004", "A-1015", "A-1024", "A-1029")),
    ),
    Flaw(
        "late refund",
        "helpdesk",
        not_called(_REFUND.format("A-1002"), "refund_order"),
        not_called(_REFUND.format("A-1034"), "refund_order"),
        (called(_REFUND.format("A-1009"), "refund_order", order_id="A-1009"),),
        _each(_REFUND, ("A-1002", "A-1003", "A-1005", "A-1013")),
        _each(_REFUND, ("A-1001", "A-1009", "A-1010", "A-1012")),
        "refunded an order delivered {} days ago; the refund window is 30 days",
    ),
    Flaw(
        "question",
        "helpdesk",
        Case("What are your opening hours?", (_JSON, NoErrorStatus())),
        Case("Do you ship to Switzerland?", (_JSON, NoErrorStatus())),
        (called(_STATUS.format("A-1015"), "get_order", order_id="A-1015"),),
        ("What are your opening hours?", "Are you open on Saturday?", "Do you ship to Switzerland?"),
        _each(_STATUS, ("A-1004", "A-1015", "A-1024")),
    ),
    Flaw(
        "carrier down",
        "helpdesk",
        ends_well(_TRACK.format("A-1006")),
        ends_well(_TRACK.format("A-1020")),
        (called(_TRACK.format("A-1008"), "track_shipment"),),
        _each(_TRACK, ("A-1006", "A-1016", "A-1018", "A-1055")),
        _each(_TRACK, ("A-1008", "A-1011", "A-1021", "A-1023")),
    ),
)

_BOOK = "Book Isar for 6 people on {} at 10:00 for {}."
_DAY = "2026-05-03"
_KEEPS = (called(_BOOK.format("2026-06-04", "90 minutes"), "book_room", day="2026-06-04", minutes=90),)
ROOMS = (
    Flaw(
        "day",
        "rooms",
        called(_BOOK.format("4 June", "90 minutes"), "book_room", day="2026-06-04"),
        called(_BOOK.format("5 July", "45 minutes"), "book_room", day="2026-07-05"),
        _KEEPS,
        tuple(_BOOK.format(day, "90 minutes") for day in ("3 May", "4 June", "5 July")),
        tuple(_BOOK.format(day, "90 minutes") for day in (_DAY, "2026-06-04", "2026-07-05")),
    ),
    Flaw(
        "length",
        "rooms",
        called(_BOOK.format(_DAY, "2 hours"), "book_room", minutes=120),
        called(_BOOK.format(_DAY, "3 hours"), "book_room", minutes=180),
        _KEEPS,
        tuple(_BOOK.format(_DAY, f"{n} hours") for n in (2, 3, 1)),
        tuple(_BOOK.format(_DAY, f"{n} minutes") for n in (120, 90, 60)),
    ),
    Flaw(
        "too small",
        "rooms",
        called("Book a room for 7 people on 2026-05-03 at 10:00 for 60 minutes.", "book_room", room="Isar"),
        called("Book a room for 15 people on 2026-05-03 at 10:00 for 60 minutes.", "book_room", room="Spree"),
        (
            called(
                "Book a room for 3 people on 2026-05-03 at 10:00 for 60 minutes.", "book_room", room="Elbe"
            ),
        ),
        _each("Book a room for {} people on 2026-05-03 at 10:00 for 60 minutes.", (7, 8, 12)),
        _each(
            "Find out which room is free for {} people on 2026-05-03 at 10:00 for 60 minutes, and book it.",
            (7, 8, 12),
        ),
    ),
    Flaw(
        "busy diary",
        "rooms",
        ends_well("Please cancel B-91."),
        ends_well("Please cancel B-95."),
        (called("Please cancel B-12.", "cancel_booking", booking="B-12"),),
        _each("Please cancel {}.", ("B-91", "B-92", "B-93")),
        _each("Please cancel {}.", ("B-11", "B-12", "B-13")),
    ),
    Flaw(
        "long booking",
        "rooms",
        not_called(_BOOK.format(_DAY, "300 minutes"), "book_room"),
        not_called(_BOOK.format(_DAY, "480 minutes"), "book_room"),
        _KEEPS,
        tuple(_BOOK.format(_DAY, f"{n} minutes") for n in (300, 360, 400)),
        tuple(_BOOK.format(_DAY, f"{n} minutes") for n in (60, 90, 120)),
        "booked a room for {} minutes; more than 240 minutes take an approval",
    ),
)

_QUOTE = "A quote for {} in {}, please."
_SOLD = (called(_QUOTE.format("12 of SKU-0011 mug", "EUR"), "make_quote", sku="SKU-0011", quantity=12),)
QUOTES = (
    Flaw(
        "sku",
        "quotes",
        called(_QUOTE.format("12 mugs", "EUR"), "make_quote", sku="SKU-0011"),
        called(_QUOTE.format("8 plates", "EUR"), "make_quote", sku="SKU-0012"),
        _SOLD,
        tuple(_QUOTE.format(what, "EUR") for what in ("12 mugs", "8 plates", "3 bowls")),
        tuple(_QUOTE.format(what, "EUR") for what in ("12 of SKU-0011 mug", "8 of SKU-0012 plate")),
    ),
    Flaw(
        "currency",
        "quotes",
        called(_QUOTE.format("12 of SKU-0011 mug", "francs"), "make_quote", currency="CHF"),
        called(_QUOTE.format("8 of SKU-0012 plate", "pounds"), "make_quote", currency="GBP"),
        _SOLD,
        tuple(_QUOTE.format("12 of SKU-0011 mug", c) for c in ("francs", "pounds", "euros")),
        tuple(_QUOTE.format("12 of SKU-0011 mug", c) for c in ("CHF", "GBP")),
    ),
    Flaw(
        "pack",
        "quotes",
        called(_QUOTE.format("20 of SKU-0011 mug", "EUR"), "make_quote", quantity=24),
        called(_QUOTE.format("9 of SKU-0012 plate", "EUR"), "make_quote", quantity=12),
        _SOLD,
        tuple(_QUOTE.format(what, "EUR") for what in ("20 of SKU-0011 mug", "9 of SKU-0012 plate")),
        tuple(_QUOTE.format(what, "EUR") for what in ("12 of SKU-0011 mug", "8 of SKU-0012 plate")),
    ),
    Flaw(
        "discount",
        "quotes",
        not_called(_QUOTE.format("12 of SKU-0011 mug", "EUR, with 25% off"), "make_quote"),
        not_called(_QUOTE.format("8 of SKU-0012 plate", "EUR, with 40% off"), "make_quote"),
        (called(_QUOTE.format("12 of SKU-0011 mug", "EUR, with 5% off"), "make_quote", discount_percent=5),),
        tuple(_QUOTE.format("12 of SKU-0011 mug", f"EUR, with {n}% off") for n in (25, 30)),
        tuple(_QUOTE.format("12 of SKU-0011 mug", f"EUR, with {n}% off") for n in (5, 10)),
        "gave a discount of {} %; more than 10 % take a manager",
    ),
)
FLAWS = HELPDESK + ROOMS + QUOTES
