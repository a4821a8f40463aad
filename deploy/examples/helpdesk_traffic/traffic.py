"""Traffic: a day of requests to the helpdesk, seeded.

About 73 % are what the agent's first version serves well; the others are of the four kinds that it fumbles,
each with healthy neighbours: the same wish, written differently or about another order.
No order is refunded, cancelled or readdressed twice in a day; what is left over becomes a status question.
"""

import json
import random
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Literal

from helpdesk_traffic import wording

ORDERS = Path(__file__).parent.parent / "helpdesk" / "data" / "orders.json"
WINDOW_DAYS = 30
UNREACHABLE_CARRIER = "Hermes"

Kind = Literal["healthy", "bare_id", "late_refund", "question", "carrier_down"]
Pool = Literal["recent", "old", "placed", "shipped", "carrier_down", "any"]

# Kind, the customer's wish, which orders it may be about, and how many of a hundred requests are such.
MIX: tuple[tuple[Kind, str, Pool, int], ...] = (
    ("healthy", "refund", "recent", 19),
    ("healthy", "cancel", "placed", 13),
    ("healthy", "address", "placed", 9),
    ("healthy", "status", "any", 18),
    ("healthy", "track", "shipped", 14),
    ("bare_id", "refund", "recent", 6),
    ("bare_id", "status", "any", 1),
    ("bare_id", "cancel", "placed", 1),
    ("late_refund", "refund", "old", 6),
    ("question", "question", "any", 8),
    ("carrier_down", "track", "carrier_down", 5),
)
ONCE: Collection[str] = {"recent", "old", "placed"}


@dataclass(frozen=True, slots=True)
class Request:
    """A customer's message. `kind` says what the first version makes of it; a question has no `order_id`."""

    text: str
    kind: Kind
    order_id: str = ""

    def line(self, request_id: str) -> str:
        """The request as the agent reads it on stdin."""
        message = {"role": "user", "parts": [{"type": "text", "content": self.text}]}
        return json.dumps({"id": request_id, "messages": [message]})


def requests(seed: int, n: int, *, spent: Collection[str] = ()) -> list[Request]:
    """`n` requests in random order; orders in `spent` are only asked about, not acted on."""
    rng = random.Random(seed)
    shop = _Shop.load(rng, spent)
    return [_request(rng, shop, *which) for which in _plan(rng, n)]


def _plan(rng: random.Random, n: int) -> list[tuple[Kind, str, Pool]]:
    """Kinds in their exact shares, so that 200 requests hold some of each; the remainder is healthy."""
    plan = [(kind, wish, pool) for kind, wish, pool, share in MIX for _ in range(round(n * share / 100))]
    healthy = [(kind, wish, pool) for kind, wish, pool, _ in MIX if kind == "healthy"]
    plan += [rng.choice(healthy) for _ in range(n - len(plan))]
    rng.shuffle(plan)
    return plan[:n]


def _request(rng: random.Random, shop: "_Shop", kind: Kind, wish: str, pool: Pool) -> Request:
    if wish == "question":
        return Request(rng.choice(wording.GREETINGS) + rng.choice(wording.QUESTIONS), kind)
    order_id = shop.draw(pool)
    if order_id is None:
        kind, wish, order_id = "healthy", "status", shop.draw("any") or ""
    form = rng.choice(wording.BARE if kind == "bare_id" else wording.PROPER)
    written = form.format(id=order_id, number=order_id.removeprefix("A-"))
    text = rng.choice(wording.ORDERS[wish]).format(id=written, address=rng.choice(wording.ADDRESSES))
    return Request(text.replace("order no.", "order").replace("order number", "order"), kind, order_id)


@dataclass
class _Shop:
    """The orders by what may be asked about them, shuffled."""

    rng: random.Random
    pools: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def load(cls, rng: random.Random, spent: Collection[str]) -> "_Shop":
        data = json.loads(ORDERS.read_text())
        today = date.fromisoformat(data["today"])
        shop = cls(rng)
        for order in data["orders"]:
            pool = _pool(order, today)
            shop.pools.setdefault("any", []).append(order["id"])
            if pool and not (pool in ONCE and order["id"] in spent):
                shop.pools.setdefault(pool, []).append(order["id"])
        for ids in shop.pools.values():
            rng.shuffle(ids)
        return shop

    def draw(self, pool: str) -> str | None:
        """An order of the pool; None when a pool that is used up once is empty."""
        ids = self.pools.get(pool, [])
        if pool in ONCE:
            return ids.pop() if ids else None
        return self.rng.choice(ids)


def _pool(order: dict[str, Any], today: date) -> str | None:
    match order["status"]:
        case "placed":
            return "placed"
        case "shipped":
            return "carrier_down" if order["carrier"] == UNREACHABLE_CARRIER else "shipped"
        case "delivered":
            age = (today - date.fromisoformat(order["delivered_on"])).days
            return "old" if age > WINDOW_DAYS else "recent"
    return None
