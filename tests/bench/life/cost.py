"""Cost: what a life's verdicts took, beside the least that any gate with the same guarantee could need."""

from collections import defaultdict
from dataclasses import dataclass

from bench.life import evals
from bench.life.history import Release
from bench.life.oracle import Oracle
from outerloop.contracts.v1.decision_pb2 import DecisionReached
from outerloop.evals.suite import Suite
from outerloop.gate.core.case import Kind, Terms
from outerloop.gate.core.certificate import Certificate
from outerloop.gate.core.lower_bound import trials_to_certify, trials_to_reject
from outerloop.runtime.clickhouse import ClickHouse

_SPENT = """
SELECT decision_id, subject, count() AS trials, sum(model_calls) AS calls, sum(seconds) AS seconds
FROM trials FINAL WHERE agent = {agent:String} GROUP BY decision_id, subject
"""


@dataclass(frozen=True, slots=True)
class Spent:
    """Trials that were run: of candidates by decision, of bases in all; and the model calls of them all."""

    candidate: dict[str, int]
    base: int
    model_calls: int
    seconds: float

    @property
    def trials(self) -> int:
        """All of them."""
        return sum(self.candidate.values()) + self.base


async def spent(db: ClickHouse) -> Spent:
    """What is on record."""
    rows = await db.query(_SPENT, agent=evals.AGENT)
    candidate: defaultdict[str, int] = defaultdict(int)
    for row in rows:
        if row["subject"] == "candidate":
            candidate[row["decision_id"]] += int(row["trials"])
    return Spent(
        candidate=dict(candidate),
        base=sum(int(row["trials"]) for row in rows if row["subject"] != "candidate"),
        model_calls=sum(int(row["calls"]) for row in rows),
        seconds=sum(float(row["seconds"]) for row in rows),
    )


async def least_of_shipped(release: Release, suite: Suite, oracle: Oracle) -> float:
    """The bound for a change that shipped, by its certificate: 0 if that spent nothing.

    The screen and the proof that the base fails are the price of the gate's other promises, so they are not
    in the bound, but they are in what was spent.
    """
    spending = release.certificate.spending
    claims = [(c.name, c.bar) for c in release.certificate.claims if c.kind in {Kind.NEW, Kind.PRIOR}]
    if spending is None:
        return 0.0
    found = [(await _rate(release.tree, name, suite, oracle), bar) for name, bar in claims]
    return sum(trials_to_certify(rate, bar, spending.alpha, spending.beta) for rate, bar in found)


async def least_of_rejected(decision: DecisionReached, suite: Suite, oracle: Oracle) -> float:
    """The bound for a change that takes evals below their bars: told from one that is as good as the base.

    0 for others: what a good fix would pass at is not known.
    """
    standings = Certificate.from_json(suite.last or b"").standings
    broken: list[tuple[float, float]] = []
    for claim in decision.claims:
        if claim.kind == Kind.PRIOR:
            rate = await _rate(decision.candidate_commit, claim.name, suite, oracle)
            if rate <= claim.bar:
                broken.append((rate, max(standings[claim.name].anchor, claim.bar)))
    return trials_to_reject(broken, decision.alpha, Terms(alpha=decision.alpha).beta) if broken else 0.0


async def _rate(tree: str, eval_id: str, suite: Suite, oracle: Oracle) -> float:
    entry = suite.get(eval_id)
    if entry is None:
        raise ValueError(f"the suite has no eval {eval_id}")
    return await oracle.rate(tree, entry.eval)
