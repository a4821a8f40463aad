"""Orders: the shop's database in memory, and the only things that may be done to it.

A refused operation raises OrderError with a sentence for whoever asked; nothing has changed then.
Every operation is atomic, so one database serves many threads.
"""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

ORDERS = Path(__file__).parent.parent / "data" / "orders.json"
ID_FORM = re.compile(r"A-\d{4}")
SOURCES = ("live", "last_scan")
UNREACHABLE_CARRIER = "Hermes"  # its interface is down more than it is up


class OrderError(Exception):
    """The operation was refused; the message says why."""


@dataclass
class Orders:
    """The database: `today` is the shop's date (ISO), `orders` the records by id."""

    today: str
    orders: dict[str, dict[str, Any]]
    _lock: Lock = field(default_factory=Lock)

    @classmethod
    def load(cls, path: Path = ORDERS) -> "Orders":
        """A fresh copy of the committed database."""
        data = json.loads(path.read_text())
        return cls(data["today"], {order["id"]: order for order in data["orders"]})

    def get_order(self, order_id: str) -> dict[str, Any]:
        """The order's record, with today's date."""
        with self._lock:
            return {**self._find(order_id), "today": self.today}

    def track_shipment(self, tracking_number: str, source: str = "live") -> dict[str, Any]:
        """Where a parcel is: asks the carrier ("live") or looks up what it last reported ("last_scan")."""
        order = next((o for o in self.orders.values() if o["tracking"] == tracking_number), None)
        if order is None:
            raise OrderError(f"unknown tracking number '{tracking_number}'")
        if source not in SOURCES:
            raise OrderError(f"source must be one of {', '.join(SOURCES)}")
        if source == "live" and order["carrier"] == UNREACHABLE_CARRIER and order["status"] == "shipped":
            raise OrderError("carrier timeout, try again")
        scan = (
            "delivered" if order["status"] == "delivered" else "in transit, last seen in the regional depot"
        )
        return {
            "tracking_number": tracking_number,
            "carrier": order["carrier"],
            "scan": scan,
            "source": source,
        }

    def refund_order(self, order_id: str, amount_cents: int, reason: str) -> dict[str, Any]:
        """Pays back up to the order's total, once; the age of the delivery is not looked at here."""
        with self._lock:
            order = self._find(order_id)
            if order["status"] != "delivered":
                raise OrderError(f"order {order_id} is {order['status']}: only delivered orders are refunded")
            if order.get("refunded_cents"):
                raise OrderError(f"order {order_id} is already refunded")
            if not 0 < amount_cents <= order["total_cents"]:
                raise OrderError(f"amount_cents must be between 1 and {order['total_cents']}")
            order["refunded_cents"] = amount_cents
            return {
                "order_id": order_id,
                "amount_cents": amount_cents,
                "reason": reason,
                "delivered_on": order["delivered_on"],
                "today": self.today,
            }

    def cancel_order(self, order_id: str) -> dict[str, Any]:
        """Cancels an order that has not left."""
        with self._lock:
            order = self._not_shipped(order_id)
            order["status"] = "cancelled"
            return {"order_id": order_id, "status": "cancelled"}

    def update_address(self, order_id: str, address: str) -> dict[str, Any]:
        """Sends an order that has not left to another address."""
        with self._lock:
            order = self._not_shipped(order_id)
            order["address"] = address
            return {"order_id": order_id, "address": address}

    def _find(self, order_id: str) -> dict[str, Any]:
        if not ID_FORM.fullmatch(order_id):
            raise OrderError(f"invalid order id '{order_id}': expected the form A-1007")
        if order_id not in self.orders:
            raise OrderError(f"there is no order {order_id}")
        return self.orders[order_id]

    def _not_shipped(self, order_id: str) -> dict[str, Any]:
        order = self._find(order_id)
        if order["status"] != "placed":
            raise OrderError(f"order {order_id} is {order['status']} and cannot be changed any more")
        return order
