"""What happens in the loop, read from ClickHouse and told as it happens."""

import asyncio
import sys
import time
from dataclasses import dataclass, field
from typing import Any

from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.errors import OutageError

_POLL_SECONDS = 0.4
_EVENTS = r"""
SELECT at, what, id, text FROM (
    SELECT min(at) AS at, 'mode' AS what, mode_id AS id, any(title) AS text
    FROM mode_states INNER JOIN (SELECT mode_id, title FROM modes FINAL) AS m USING (mode_id)
    WHERE state = 'open' GROUP BY mode_id
    UNION ALL
    SELECT at, 'draft', eval_id,
           concat(title, ' (fails on ', toString(failing_caught), ' of ', toString(failing), ' failures,',
                  ' passes on ', toString(healthy_passed), ' of ', toString(healthy), ' healthy runs)')
    FROM evals WHERE state = 'drafted'
    UNION ALL
    SELECT at, 'accepted', eval_id, concat(title, ' (by ', reviewer, ')') FROM evals WHERE state = 'accepted'
    UNION ALL
    SELECT at, 'change', change_id,
           concat('attempt ', toString(attempt), ': ', splitByChar('\n', diagnosis)[1])
    FROM changes WHERE state = 'proposed'
    UNION ALL
    SELECT at, verdict, decision_id, reason FROM decisions
    UNION ALL
    SELECT at, 'parked', mode_id, detail FROM mode_states WHERE state = 'parked'
)
ORDER BY at, what
"""
_SAYS = {
    "mode": ("triage", "a failure mode:"),
    "draft": ("draft", "an eval for it:"),
    "accepted": ("person", "accepted:"),
    "change": ("propose", "a change,"),
    "ship": ("gate", "SHIPPED:"),
    "reject": ("gate", "REJECTED:"),
    "inconclusive": ("gate", "undecided:"),
    "parked": ("loop", "given up:"),
}
_WIDTH = 150


class Teller:
    """Prints lines with the time since the start."""

    def __init__(self) -> None:
        self.started = time.monotonic()

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self.started

    def say(self, who: str, text: str) -> None:
        """One line; what comes from production is cleaned of control characters."""
        clean = "".join(c if c.isprintable() else " " for c in text)
        clean = clean if len(clean) <= _WIDTH else clean[: _WIDTH - 1] + "…"
        sys.stdout.write(f"{self.seconds:6.1f} s  {who:<10} {clean}\n")
        sys.stdout.flush()


@dataclass
class Watch:
    """Tells events once each, and answers questions about how far the loop is."""

    db: ClickHouse
    teller: Teller
    _told: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])

    async def tell(self) -> None:
        """For as long as the demo lasts."""
        while True:
            await self.catch_up()
            await asyncio.sleep(_POLL_SECONDS)

    async def catch_up(self) -> None:
        """Tell what is new."""
        for row in await self.ask(_EVENTS):
            key = (row["what"], row["id"])
            if key not in self._told:
                self._told.add(key)
                who, verb = _SAYS[row["what"]]
                self.teller.say(who, f"{verb} {row['text']}")

    async def ask(self, sql: str, **parameters: Any) -> list[dict[str, Any]]:
        """Rows; while ClickHouse is away, wait."""
        while True:
            try:
                return await self.db.query(sql, **parameters)
            except OutageError:
                await asyncio.sleep(_POLL_SECONDS)

    async def until(self, sql: str, reached: int, **parameters: Any) -> None:
        """Wait until the first column of the first row is `reached` or more."""
        while True:
            rows = await self.ask(sql, **parameters)
            if rows and next(iter(rows[0].values())) >= reached:
                return
            await asyncio.sleep(_POLL_SECONDS)
