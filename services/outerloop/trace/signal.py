"""Signal: one sign that a trace is bad."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Signal:
    """Its kind, what it is about, what was seen (text from production), and the span that shows it."""

    kind: str
    subject: str
    detail: str
    span_id: str
