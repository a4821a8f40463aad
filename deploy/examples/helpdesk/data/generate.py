"""Writes orders.json: `python data/generate.py`, once. The same seed writes the same file.

Ids are dealt at random over the states, so that an id says nothing about its order.
"""

import json
import random
from datetime import date, timedelta
from pathlib import Path
from typing import Any

TODAY = date(2026, 11, 20)
STATES = {"recent": 200, "old": 70, "placed": 130, "shipped": 80, "cancelled": 20}
CARRIERS = ("DHL", "DPD", "GLS", "DHL", "DPD", "Hermes")
FIRST = ("Ada", "Ben", "Chloe", "Dario", "Elif", "Finn", "Greta", "Hugo", "Ines", "Jonas", "Kira", "Liam")
LAST = ("Berg", "Costa", "Dubois", "Eriksen", "Fischer", "Garcia", "Hansen", "Ivanova", "Jensen", "Keller")
STREETS = ("Lindenweg", "Harbour Street", "Rue du Lac", "Birkenallee", "Mill Lane", "Via Roma")
CITIES = ("20095 Hamburg", "Leeds LS1 4DY", "74000 Annecy", "8001 Zurich", "Cork T12 X70A", "20121 Milano")
ITEMS = {
    "trail tent": 18900,
    "down jacket": 14950,
    "hiking boots": 12900,
    "headlamp": 3490,
    "camping stove": 5990,
    "sleeping bag": 9900,
    "dry bag": 2250,
    "trekking poles": 6400,
    "water filter": 4150,
    "merino shirt": 5500,
}


def generate(seed: int = 7) -> dict[str, Any]:
    """The database: {"today", "orders": [...]}, orders by id."""
    rng = random.Random(seed)
    states = [state for state, count in STATES.items() for _ in range(count)]
    rng.shuffle(states)
    orders = [_order(rng, f"A-{1001 + i}", state) for i, state in enumerate(states)]
    return {"today": TODAY.isoformat(), "orders": orders}


def _order(rng: random.Random, order_id: str, state: str) -> dict[str, Any]:
    items = rng.sample(sorted(ITEMS), rng.choice((1, 1, 1, 2, 2, 3)))
    sent = state in {"recent", "old", "shipped"}
    age = {"recent": rng.randint(2, 26), "old": rng.randint(34, 90)}.get(state)
    carrier = rng.choice(CARRIERS)
    return {
        "id": order_id,
        "customer": f"{rng.choice(FIRST)} {rng.choice(LAST)}",
        "items": items,
        "total_cents": sum(ITEMS[item] for item in items),
        "status": "delivered" if age else state,
        "delivered_on": (TODAY - timedelta(days=age)).isoformat() if age else None,
        "carrier": carrier if sent else None,
        "tracking": f"{carrier[0]}{rng.randint(10**9, 10**10 - 1)}" if sent else None,
        "address": f"{rng.choice(STREETS)} {rng.randint(1, 90)}, {rng.choice(CITIES)}",
    }


def write(path: Path) -> None:
    """Writes the database with one order a line, so that a difference can be read."""
    data = generate()
    lines = ",\n".join(json.dumps(order) for order in data["orders"])
    path.write_text(f'{{"today": "{data["today"]}", "orders": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    write(Path(__file__).with_name("orders.json"))
