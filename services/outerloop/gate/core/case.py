"""Case: what a confirmation is about, and what comes out of it: trials to make, evidence, a verdict."""

from dataclasses import dataclass, replace
from enum import StrEnum

from outerloop.gate.core.claim import Claim, State

TRIALS_A_DECISION, TRIALS_FOR_EACH_CLAIM = 20_000, 40


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEval:
    """The eval that the change is to close; `variants` is how many held-out ones it has."""

    eval_id: str
    bar: float
    variants: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorEval:
    """An earlier eval with its frozen bar and anchor (the base's rate at closing).

    `passes` of `trials` is the base's history. `hazard` says how likely the change is to break it (see
    `order.hazard`), `cost` what a trial of it costs; only their ratio among the evals matters.
    """

    eval_id: str
    bar: float
    anchor: float
    passes: int
    trials: int
    hazard: float = 1.0
    cost: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A change's claims. `seed` draws the held-out variants.

    A change that closes no failure, as a person's, has no `new`.
    """

    new: NewEval | None
    priors: tuple[PriorEval, ...]
    seed: str

    def __post_init__(self) -> None:
        ids = [prior.eval_id for prior in self.priors] + ([self.new.eval_id] if self.new else [])
        if len(set(ids)) != len(ids):
            raise ValueError("no eval is judged twice")

    @property
    def claims(self) -> int:
        """m: how many claims there are but for those on drift."""
        return len(self.priors) + (0 if self.new is None else 1 + (self.new.variants > 0))

    def without(self, eval_id: str) -> "Case":
        """The case without a prior eval: one that the base fails too (see `base`). Play it from the start.

        Raises:
            ValueError: if it is not among the prior ones.
        """
        left = tuple(prior for prior in self.priors if prior.eval_id != eval_id)
        if len(left) == len(self.priors):
            raise ValueError(f"{eval_id} is no prior eval of this case")
        return replace(self, priors=left)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """On which terms: α_k; β, the error of blocking a change as good as the base; caps on trials.

    `trials_a_decision` None stands for 20,000, or 40 for each claim of a case that has more than 500: a good
    change takes about 23 a claim at the standard margin, so that a flat 20,000 would leave every change to a
    suite of more than about 850 evals inconclusive.
    """

    alpha: float
    beta: float = 0.02
    trials_a_claim: int = 500
    trials_a_decision: int | None = None

    def cap(self, claims: int) -> int:
        """The most trials that a decision on so many claims may count."""
        if self.trials_a_decision is not None:
            return self.trials_a_decision
        return max(TRIALS_A_DECISION, TRIALS_FOR_EACH_CLAIM * claims)


@dataclass(frozen=True, slots=True, order=True)
class Trial:
    """One run to make: the `index`-th (from 0) of an eval; of its `variant`-th held-out variant, or 0."""

    eval_id: str
    index: int
    variant: int = 0


class Kind(StrEnum):
    """What a claim is of."""

    SCREEN = "screen"
    NEW = "new"
    HELD_OUT = "held_out"
    PRIOR = "prior"
    DRIFT = "drift"


class Outcome(StrEnum):
    """What became of a change."""

    SHIP = "ship"
    REJECT = "reject"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class Evidence:
    """One claim with its counts. `up` and `dn` are its e-values as logarithms: see `claim`.

    `name` is an eval's id, or a stratum's name for a claim on drift.
    """

    kind: Kind
    name: str
    state: State
    trials: int
    passes: int
    bar: float
    p1: float
    g: float
    up: float
    dn: float

    @classmethod
    def of(cls, kind: Kind, name: str, claim: Claim) -> "Evidence":
        """What a claim has shown so far."""
        bet = claim.bet
        counts = (claim.state, claim.trials, claim.passes)
        return cls(kind, name, *counts, bet.bar, bet.p1, bet.g, claim.up, claim.dn)


@dataclass(frozen=True, slots=True)
class Stop:
    """Why it does not go on: this claim is blocked, or at its cap; of a decision at its cap, `name` is ""."""

    outcome: Outcome
    kind: Kind | None
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The verdict with its evidence.

    `trials` is how many counted, those of the screen included. `screen` is (passes, trials) of the throw-away
    ones. `expected` is of an inconclusive verdict: about how many more trials its open claims would take;
    None if, going by what was seen, they would never certify.
    """

    outcome: Outcome
    stop: Stop | None
    alpha: float
    trials: int
    expected: int | None
    screen: tuple[int, int]
    claims: tuple[Evidence, ...]

    @property
    def undecided(self) -> tuple[Evidence, ...]:
        """The claims that are still open."""
        return tuple(claim for claim in self.claims if claim.state is State.OPEN)
