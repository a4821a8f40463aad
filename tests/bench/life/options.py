"""Options: what a life is made of."""

from dataclasses import dataclass
from pathlib import Path
from random import Random

from bench.life.patches import Kind

# Of sixty proposals.
SHARES = {
    Kind.GOOD: 12,
    Kind.COSMETIC: 14,
    Kind.REGRESSING: 12,
    Kind.HARDCODING: 8,
    Kind.HOSTILE: 14,
}


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says."""

    folder: Path
    proposals: int
    evals: int
    kills: int
    seed: int
    within: float

    def kinds(self) -> list[Kind]:
        """The kind of each proposal, in order: the shares, rounded so that none is left out, shuffled."""
        whole, total = sum(SHARES.values()), self.proposals
        counts = {kind: total * share // whole for kind, share in SHARES.items()}
        for kind in sorted(SHARES, key=lambda k: (-(total * SHARES[k] % whole), k))[
            : total - sum(counts.values())
        ]:
            counts[kind] += 1
        made = [kind for kind, count in counts.items() for _ in range(count)]
        Random(self.seed).shuffle(made)  # noqa: S311 - repeatable by design
        return made
