"""`outerloop releases`: what was shipped, by which proof, at what cost, and what production made of it."""

from typing import Annotated, Any

import typer

from outerloop.cli import output
from outerloop.cli.agents import report
from outerloop.cli.config import common
from outerloop.cli.output import AsJson
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.prices import Price, Usage, known_prices
from outerloop.store.releases import State

_SHORT = 12
# `proof` is of the decision alone: what was run to see whether the base fails the eval is not in it.
_RELEASES = """
SELECT d.agent AS agent, d.decision_id AS decision_id, d.shipped_commit AS commit, d.at AS released_at,
       d.mode_id AS mode_id, m.title AS mode, d.eval_id AS eval_id, d.change_id AS change_id,
       if(empty(d.claims), length(d.outcomes), length(d.claims)) AS claims, d.alpha AS alpha,
       d.certificate_sha256 AS certificate_sha256, t.trials AS trials, t.passed AS passed,
       t.input AS input, t.output AS output, t.models AS models,
       h.tokens AS session_tokens, h.usd AS session_usd,
       r.state AS state, r.bar AS bar, r.detectors AS detectors, r.own AS own,
       notEmpty(n.asked) AND notEmpty(r.detectors) AND NOT hasAny(r.detectors, n.asked) AS unheard,
       r.traces AS traces_since, r.failures AS failures_since,
       f.rollback_commit AS rollback_commit, f.reason AS reason
FROM (
    SELECT * FROM decisions FINAL WHERE verdict = 'ship' AND shipped_commit != ''
      AND ({agent:String} = '' OR agent = {agent:String})
) AS d
LEFT JOIN (SELECT mode_id, title FROM modes FINAL) AS m ON m.mode_id = d.mode_id
LEFT JOIN (
    SELECT decision_id, count() AS trials, countIf(passed) AS passed, sum(input_tokens) AS input,
           sum(output_tokens) AS output, arraySort(groupUniqArrayArray(models)) AS models
    FROM trials FINAL GROUP BY decision_id
) AS t ON t.decision_id = d.series
LEFT JOIN (
    SELECT change_id, sum(input_tokens + output_tokens) AS tokens, sum(usd) AS usd
    FROM harness_steps FINAL GROUP BY change_id
) AS h ON h.change_id = d.change_id
LEFT JOIN (
    SELECT decision_id, state, bar, traces, failures, detectors,
           arrayFirst(b -> b.name = mode_id, before) AS own
    FROM releases FINAL
) AS r ON r.decision_id = d.decision_id
LEFT JOIN (
    SELECT decision_id, argMax(reason, found_at) AS reason, max(rollback_commit) AS rollback_commit
    FROM release_findings FINAL GROUP BY decision_id
) AS f ON f.decision_id = d.decision_id
LEFT JOIN (
    SELECT agent, argMax(arrayConcat([toString(detector)], beside.1), occurred_at) AS asked
    FROM verdicts WHERE {agent:String} = '' OR agent = {agent:String} GROUP BY agent
) AS n ON n.agent = d.agent
ORDER BY d.at, d.decision_id
"""


def releases(
    *, agent: Annotated[str, typer.Option(help="of one agent only")] = "", as_json: AsJson = False
) -> None:
    """Releases: each with its mode, proof and cost, the mode's rate before and since, and how it stands.

    Before and since are by one detector, whichever has judged since: `detectors` names it.
    """
    rows = [_release(row) for row in output.run(_query(agent))]
    shown = rows if as_json else [_brief(row) for row in rows]
    report(shown, agent, as_json=as_json, empty="nothing has shipped")


async def _query(agent: str) -> list[dict[str, Any]]:
    db = ClickHouse(common())
    try:
        return await db.query(_RELEASES, agent=agent)
    finally:
        await db.close()


def _release(row: dict[str, Any]) -> dict[str, Any]:
    own = row.pop("own")
    _, traces, failures = own.values() if isinstance(own, dict) else own
    tokens, models = Usage(row.pop("input"), row.pop("output")), row.pop("models")
    session_tokens, session_usd = row.pop("session_tokens"), row.pop("session_usd")
    trials_usd = _usd(tokens, models)
    return row | {
        "state": row["state"] or State.WATCHING.value,
        "models": list(models),
        "detectors": list(row["detectors"]),
        "unheard": bool(row["unheard"]),
        "tokens": tokens.total + session_tokens,
        "usd": None if trials_usd is None else round(trials_usd + session_usd, 6),
        "traces_before": traces,
        "failures_before": failures,
    }


def _usd(tokens: Usage, models: list[str]) -> float | None:
    """What trials cost, if the price of each of their models is known: the dearest, as they do not tell."""
    prices = known_prices()
    known: list[Price] = [prices[model] for model in models if model in prices]
    if len(known) < len(models) or (tokens.total and not models):
        return None
    return max((price.usd(tokens) for price in known), default=0.0)


def _brief(row: dict[str, Any]) -> dict[str, Any]:
    undone = f" by {row['rollback_commit'][:_SHORT]}" if row["rollback_commit"] else ""
    usd = "" if row["usd"] is None else f", {row['usd']:.2f} USD"
    return {
        "commit": row["commit"][:_SHORT],
        "released": row["released_at"],
        "agent": row["agent"],
        "mode": row["mode"] or row["mode_id"],
        "eval": row["eval_id"][:8],
        "decision": row["decision_id"][:8],
        "proof": f"{row['claims']} claims, {row['passed']} of {row['trials']} trials",
        "cost": f"{row['tokens']:,} tokens{usd}",
        "before": _rate(row["failures_before"], row["traces_before"]),
        "since": _rate(row["failures_since"], row["traces_since"]),
        "status": row["state"] + undone + (f" ({row['reason']})" if row["reason"] else "") + _unheard(row),
    }


def _unheard(row: dict[str, Any]) -> str:
    if not row["unheard"]:
        return ""
    return f"; {', '.join(row['detectors'])} judges no more: nothing more can be proven of it"


def _rate(failures: int, traces: int) -> str:
    return f"{failures / traces:.1%} ({failures} of {traces})" if traces else ""
