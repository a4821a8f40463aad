"""The demo's course: a day of production, the loop at work, another day of production."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.progress import Progress

from helpdesk_demo import report
from helpdesk_demo.chaos import Chaos
from helpdesk_demo.production import Production
from helpdesk_demo.watch import Watch

_JUDGED = """
SELECT count() AS n FROM verdicts FINAL WHERE agent = 'helpdesk' AND agent_version = {version:String}
"""
_AUDITED = "SELECT count() AS n FROM evaluations FINAL"
# What the audit called bad is judged to be bad.
_BELIEVED = """
SELECT countIf(e.trace_id IN (SELECT trace_id FROM failures)) = count() AS done
FROM evaluations AS e FINAL WHERE e.bad
"""
# Modes that wait for nobody but the loop, and changes without a verdict.
_OPEN = """
SELECT (SELECT count() FROM failure_modes WHERE state NOT IN ('emerging', 'closed', 'parked', 'muted'))
     + (SELECT count() FROM changes FINAL WHERE state IN ('written', 'proposed')
        AND change_id NOT IN (SELECT change_id FROM decisions)) AS open
"""
_COUNTS = """
SELECT (SELECT count() FROM failure_modes WHERE state != 'emerging') AS modes_found,
       (SELECT count() FROM failure_modes WHERE state = 'closed') AS modes_closed,
       (SELECT count() FROM evals FINAL WHERE state = 'accepted') AS evals,
       (SELECT count() FROM changes FINAL WHERE state = 'proposed') AS proposals,
       (SELECT count() FROM decisions FINAL WHERE verdict = 'reject') AS rejected,
       (SELECT count() FROM decisions FINAL WHERE verdict = 'ship') AS shipped,
       (SELECT count() FROM trials FINAL) AS trials
"""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says."""

    folder: Path
    requests: int
    seed: int
    disobedience: float
    within: float
    kill: tuple[str, ...]
    live_cap_usd: float | None


class Course:
    """What happens. `reached` is kept up to date, for the case that it does not come to its end."""

    def __init__(
        self,
        options: Options,
        production: Production,
        watch: Watch,
        chaos: Chaos,
        reached: dict[str, Any],
    ) -> None:
        self._options = options
        self._production = production
        self._watch = watch
        self._chaos = chaos
        self._reached = reached
        self._say = watch.teller.say

    async def run(self) -> None:
        """From day 1 to the report."""
        first = self._production.releases[0]
        self._say("production", f"day 1: {self._options.requests} requests to commit {first[:10]}")
        await self._day()
        self._say("production", "the shop's audit job looks at the day's refunds")
        await self._audit()
        self._say("loop", "failure modes are worked on, one change at a time; traffic goes on")
        await self._repair()
        await self._chaos.done()
        await self._last_days()
        await self._watch.catch_up()
        await self._report()

    async def _last_days(self) -> None:
        """A day of the final version; another one if that day brought a release."""
        lived = ""
        while (commit := await self._production.move()) != lived:
            lived = commit
            self._say("production", f"another day: {self._options.requests} requests to commit {lived[:10]}")
            await self._day()
            await self._audit()
            await self._repair()

    async def _day(self) -> None:
        """A day's requests, until every one of them is judged."""
        n = self._options.requests
        version = self._production.releases[-1]
        before = self._production.sent.get(version, 0)
        with Progress(transient=True, disable=not sys.stdout.isatty()) as bar:
            task = bar.add_task("requests", total=n)
            await self._production.serve(n, per_second=n / 10, progress=lambda: bar.advance(task))
        sent = self._production.sent.get(version, 0)
        self._say("production", f"{sent - before} requests answered; waiting until they are judged")
        await self._watch.until(_JUDGED, sent, version=version)

    async def _audit(self) -> None:
        known = (await self._watch.ask(_AUDITED))[0]["n"]
        await self._watch.until(_AUDITED, known + await self._production.audit())
        await self._watch.until(_BELIEVED, 1)

    async def _repair(self) -> None:
        """Keep some traffic going until the loop has nothing left to do."""
        while (await self._watch.ask(_OPEN))[0]["open"]:
            await self._count()
            await self._production.serve(2, per_second=0.25, progress=lambda: None)

    async def _count(self) -> None:
        self._reached.update((await self._watch.ask(_COUNTS))[0])

    async def _report(self) -> None:
        first, last = self._production.releases[0], self._production.releases[-1]
        rows = await self._watch.ask(report.MODES)
        for row in rows:
            row["before"] = await self._rate(first, row["mode_id"])
            row["now"] = await self._rate(last, row["mode_id"])
        releases = [
            {
                "name": "day 1" if version == first else version[:7],
                "rate": await self._rate(version),
                "evals": (await self._watch.ask(report.EVALS, version=version))[0]["evals"],
            }
            for version in self._production.releases
        ]
        image = self._options.folder / "trajectory.png"
        sys.stdout.write("\n")
        report.table(rows)
        sys.stdout.write("\n")
        report.plot(releases, image)
        self._say("plot", str(image))
        report.queries(self._options.folder)
        await self._count()
        self._reached["failure_rate_day1"] = round(await self._rate(first), 4)
        self._reached["failure_rate_now"] = round(await self._rate(last), 4)

    async def _rate(self, version: str, mode_id: str = "") -> float:
        """The share of failing requests of a version: of this mode, or of any."""
        rows = await self._watch.ask(report.RATE, mode=mode_id, version=version)
        return float(rows[0]["rate"])
