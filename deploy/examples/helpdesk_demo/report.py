"""The end of the demo: a table of failure modes, the trajectory as a plot, queries to look further, JSON."""

import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
import plotext
from rich.console import Console
from rich.table import Table
from rich.text import Text

MODES = """
SELECT f.mode_id AS mode_id, f.title AS title, f.state AS state, e.eval_id AS eval_id,
       c.proposals AS proposals, d.shipped AS shipped
FROM failure_modes AS f
LEFT JOIN (SELECT mode_id, max(eval_id) AS eval_id FROM evals FINAL GROUP BY mode_id) AS e USING (mode_id)
LEFT JOIN (SELECT mode_id, count() AS proposals FROM changes FINAL WHERE state = 'proposed' GROUP BY mode_id)
    AS c USING (mode_id)
LEFT JOIN (SELECT mode_id, max(shipped_commit) AS shipped FROM decisions FINAL GROUP BY mode_id)
    AS d USING (mode_id)
WHERE f.state != 'emerging'
ORDER BY f.opened_at
"""
RATE = """
SELECT countIf(failed AND ({mode:String} = '' OR mode_id = {mode:String})) / greatest(count(), 1) AS rate
FROM verdicts FINAL WHERE agent = 'helpdesk' AND agent_version = {version:String}
"""
EVALS = """
SELECT count(DISTINCT eval_id) AS evals FROM decisions FINAL WHERE verdict = 'ship'
AND at <= (SELECT max(at) FROM decisions WHERE shipped_commit = {version:String})
"""
QUERIES = {
    "failure rate of each release": "SELECT * FROM failure_rates ORDER BY first_seen",
    "failure modes": "SELECT title, state, failures, versions FROM failure_modes ORDER BY failures DESC",
    "what the gate decided, and why": "SELECT at, verdict, obstacle, reason FROM decisions ORDER BY at",
    "every trial": "SELECT eval_id, count() AS runs, countIf(passed) AS passed FROM trials GROUP BY 1",
    "slowest tools": "SELECT ToolName, quantile(0.9)(Duration) / 1e6 AS ms FROM otel_traces"
    " WHERE Operation = 'execute_tool' GROUP BY ToolName ORDER BY ms DESC",
}
Row = dict[str, Any]


def table(rows: list[Row]) -> None:
    """Failure modes: found, eval, proposals, shipped commit, rate before and after."""
    shown = Table(title="Failure modes", title_justify="left", box=None, header_style="bold", pad_edge=False)
    for name in ("mode", "state", "eval", "proposals", "shipped", "rate on day 1", "rate now"):
        shown.add_column(name, overflow="fold")
    for row in rows:
        cells = (
            row["title"],
            row["state"],
            (row["eval_id"] or "")[:8],
            str(row["proposals"] or 0),
            (row["shipped"] or "")[:10],
            f"{row['before']:.1%}",
            f"{row['now']:.1%}",
        )
        shown.add_row(*map(Text, cells))
    Console(width=150, highlight=False).print(shown)


def plot(releases: list[Row], image: Path) -> None:
    """The trajectory, release by release: failure rate down, evals up; in the terminal and as an image."""
    names = [row["name"] for row in releases]
    rates = [100 * row["rate"] for row in releases]
    evals = [row["evals"] for row in releases]
    places = list(range(len(names)))
    plotext.theme("clear")
    plotext.plotsize(100, 18)
    plotext.plot(places, rates, marker="braille", label="failing requests, %")
    plotext.scatter(places, evals, marker="x", label="evals in the suite")
    plotext.xticks(places, names)
    plotext.title("Trajectory, release by release")
    chart = plotext.build()
    sys.stdout.write((chart if sys.stdout.isatty() else plotext.uncolorize(chart)) + "\n")
    _image(names, rates, evals, image)


def _image(names: list[str], rates: list[float], evals: list[int], image: Path) -> None:
    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415 - the backend must be chosen first

    figure, left = plt.subplots(figsize=(9, 4.5), layout="constrained")
    left.plot(names, rates, color="#b3261e", marker="o", label="failing requests, %")
    left.set_ylabel("failing requests, %", color="#b3261e")
    left.set_ylim(bottom=0)
    right = left.twinx()
    right.step(names, evals, where="post", color="#1b5e20", marker="s", label="evals in the suite")
    right.set_ylabel("evals in the suite", color="#1b5e20")
    right.set_ylim(0, max(evals, default=0) + 1)
    left.set_title("outerloop demo (scripted model): each release closes a failure mode for good")
    figure.savefig(image, dpi=120)
    plt.close(figure)


def queries(folder: Path) -> None:
    """Where to look further."""
    command = f".venv/bin/outerloop dev --dir {folder} --keep"
    sys.stdout.write(f"\nTo look further: `{command}`, and in another terminal\n")
    for what, query in QUERIES.items():
        sys.stdout.write(f'  # {what}\n  .venv/bin/outerloop sql "{query}"\n')
