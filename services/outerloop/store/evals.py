"""Table evals: evals from draft to acceptance, and modes for which there is none yet. Writer: draft."""

from dataclasses import asdict, dataclass, fields
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from outerloop.evals.model import Cassette, Eval
from outerloop.runtime.clickhouse import ClickHouse


class State(StrEnum):
    """How far an eval is. `_STEPS` says which state replaces which."""

    # No eval could be proven: the row says for which mode, and on how many failures and healthy runs.
    UNDRAFTABLE = "undraftable"
    # It holds on recorded traces, and the base is being run again: not to be reviewed yet.
    PROVING = "proving"
    DRAFTED = "drafted"
    REJECTED = "rejected"
    # The release branch passes it, and another one was drafted in its place.
    SET_ASIDE = "set aside"
    ACCEPTED = "accepted"
    # A person has retired it: it binds no longer.
    RETIRED = "retired"
    # An accepted eval, `linked_eval`, catches the mode already.
    LINKED = "linked"


# A row replaces one of the same or an earlier step: what is done again after a crash takes nothing back.
_STEPS = {
    State.UNDRAFTABLE: 0,
    State.PROVING: 1,
    State.DRAFTED: 1,
    State.LINKED: 1,
    State.REJECTED: 2,
    State.SET_ASIDE: 2,
    State.ACCEPTED: 3,
    State.RETIRED: 4,
}
_WITHOUT_EVAL = (State.UNDRAFTABLE, State.LINKED)


# What still fails so long after a change has shipped is not what the change closed: by then it is deployed.
DEPLOYED = timedelta(days=1)


class Reproduction(StrEnum):
    """Whether the release branch failed the eval when it was drafted."""

    UNASKED = "unasked"  # draft has no repository of the agent, or it could not be run: the gate asks
    REPRODUCED = "reproduced"
    NOT_REPRODUCED = "not reproduced"  # it never gates


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalRecord:
    """One eval with its proof. UNDRAFTABLE or LINKED, it has neither text nor cassette.

    `failing_caught` of `failing` recorded failures fail it, `healthy_passed` of `healthy` runs that had no
    part in choosing it pass, it fails `mutants_killed` of `mutants` healthy runs that were broken on purpose
    (`survivors` are the others, in words; `mutants_equivalent` more are as good runs are), and `base_passed`
    of `base_trials` trials of `base_commit` pass.
    `tries` counts the evals drafted for one opening of its mode. Its first sign is `signal_kind` about
    `signal_subject`, shown by `span_id`. Of the last `traffic` runs, `similar` are on a request like its own.
    `reason` is the reviewer's, or why there is none, or what a reviewer should know. It has so many held-out
    `variants` (table heldout).
    """

    eval_id: str
    agent: str
    mode_id: str
    title: str
    state: State
    eval_yaml: str
    cassette_jsonl: str
    content_sha256: str
    failing_caught: int
    failing: int
    healthy_passed: int
    healthy: int
    reviewer: str
    at: datetime
    drafter: str = ""
    tries: int = 1
    signal_kind: str = ""
    signal_subject: str = ""
    span_id: str = ""
    reason: str = ""
    linked_eval: str = ""
    similar: int = 0
    traffic: int = 0
    mutants_killed: int = 0
    mutants: int = 0
    mutants_equivalent: int = 0
    survivors: tuple[str, ...] = ()
    reproduction: Reproduction = Reproduction.UNASKED
    base_commit: str = ""
    base_passed: int = 0
    base_trials: int = 0
    variants: int = 0

    @property
    def gates(self) -> bool:
        """Whether a change may be made for it and judged by it."""
        return self.state is State.ACCEPTED and self.reproduction is not Reproduction.NOT_REPRODUCED

    @property
    def as_drafted(self) -> bool:
        """Whether it is the drafter's for a mode: no person wrote it anew or brought it along."""
        return self.mode_id != self.eval_id and self.eval.provenance.drafted_by == self.drafter

    @property
    def recall(self) -> float:
        """Of the recorded failures of its mode, the share that it fails."""
        return self.failing_caught / self.failing if self.failing else 0.0

    @property
    def precision(self) -> float:
        """Of the recorded runs that it fails, the share that was judged bad."""
        failed = self.failing_caught + self.healthy - self.healthy_passed
        return self.failing_caught / failed if failed else 0.0

    @property
    def mutation_score(self) -> float:
        """Of healthy runs that were broken on purpose, the share that it fails."""
        return self.mutants_killed / self.mutants if self.mutants else 0.0

    @property
    def flake_rate(self) -> float:
        """Of good runs, the share that it is expected to fail: Jeffreys' estimate from healthy ones."""
        return (self.healthy - self.healthy_passed + 0.5) / (self.healthy + 1)

    @property
    def eval(self) -> Eval:
        """The eval itself."""
        return Eval.from_yaml(self.eval_yaml, f"eval {self.eval_id}")

    @property
    def cassette(self) -> Cassette:
        """The world that it runs in."""
        return Cassette.from_jsonl(self.cassette_jsonl, f"cassette of eval {self.eval_id}")


_COLUMNS = ", ".join(field.name for field in fields(EvalRecord))


@dataclass(frozen=True, slots=True)
class Link:
    """A mode without an eval of its own, the eval that catches it, and the mode that it was written for."""

    mode_id: str
    eval_id: str
    by_mode: str


async def links(db: ClickHouse, agent: str) -> list[Link]:
    """The modes of an agent whose last opening was linked to an eval of another mode."""
    rows = await db.query(
        "SELECT l.mode_id AS mode_id, e.eval_id AS eval_id, e.mode_id AS by_mode FROM"
        " (SELECT mode_id, argMax(linked_eval, at) AS eval_id FROM evals FINAL WHERE agent = {agent:String}"
        " GROUP BY mode_id) AS l"
        " INNER JOIN (SELECT eval_id, mode_id FROM evals FINAL WHERE agent = {agent:String}) AS e"
        " ON e.eval_id = l.eval_id WHERE e.mode_id != l.mode_id ORDER BY mode_id",
        agent=agent,
    )
    return [Link(**row) for row in rows]


async def insert(db: ClickHouse, record: EvalRecord) -> None:
    """Store an eval; a later state replaces an earlier one."""
    await db.insert("evals", [asdict(record) | {"step": _STEPS[record.state]}])


async def get(db: ClickHouse, eval_id: str) -> EvalRecord | None:
    """One eval."""
    found = await _select(db, "eval_id = {eval_id:String}", eval_id=eval_id)
    return found[0] if found else None


async def of_agent(db: ClickHouse, agent: str, state: State | None = None) -> list[EvalRecord]:
    """The evals of an agent ("": of every agent), in the order in which they reached their state.

    Without a state asked for, all that there is an eval of: none that is UNDRAFTABLE or LINKED.
    """
    return await _select(
        db,
        "({agent:String} = '' OR agent = {agent:String})"
        " AND if({state:String} = '', NOT has({without:Array(String)}, state), state = {state:String})",
        without=[each.value for each in _WITHOUT_EVAL],
        agent=agent,
        state=state.value if state else "",
    )


async def missing(db: ClickHouse) -> list[EvalRecord]:
    """The modes of every agent for which nothing has come since there was no eval: their UNDRAFTABLE rows."""
    return await _select(
        db,
        "eval_id IN (SELECT argMax(eval_id, at) FROM evals FINAL GROUP BY agent, mode_id"
        " HAVING argMax(state, at) = {state:String})",
        state=State.UNDRAFTABLE.value,
    )


async def _select(db: ClickHouse, where: str, **parameters: str | list[str]) -> list[EvalRecord]:
    rows = await db.query(
        f"SELECT {_COLUMNS} FROM evals FINAL WHERE {where} ORDER BY at, eval_id",  # noqa: S608 - ours only
        **parameters,
    )
    return [_record(row) for row in rows]


def _record(row: dict[str, Any]) -> EvalRecord:
    typed = {"state": State(row["state"]), "reproduction": Reproduction(row["reproduction"])}
    return EvalRecord(**row | typed | {"survivors": tuple(row["survivors"])})
