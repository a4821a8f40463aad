"""The ledger: one JSON line for every refund that was paid, for the shop's end-of-day audit.

A line is {trace_id, span_id, order_id, amount_cents, delivered_on, today}; the span is the root of the
request that paid. A line is written whole, so the file can be read while the agent runs.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

FIELDS = ("order_id", "amount_cents", "delivered_on", "today")


@dataclass(frozen=True)
class Ledger:
    """Appends to the file at `path`."""

    path: Path
    _lock: Lock = field(default_factory=Lock)

    def record(self, trace_id: str, span_id: str, refund: dict[str, Any]) -> None:
        """Writes down `refund`, the result of refund_order."""
        line = {"trace_id": trace_id, "span_id": span_id, **{name: refund[name] for name in FIELDS}}
        with self._lock, self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")
