"""Spending: how the error δ of a whole life is given out to confirmations.

A confirmation reserves the smallest free index k and is tested at α_k = δ / (H_1000·k). A ship releases its
index (so does a certificate that waits for a person to merge it); anything else keeps it for ever. Up to the
first false ship the indices of regressing candidates are distinct, so P(a regressing change ever ships) ≤
Σ α_k = δ, whatever the proposer does. A content that comes back gets its own index back: there is no second
roll.

The ledger is an append-only list of entries, and its state a fold over them. Where they are kept must refuse
two entries at one position (a compare-and-swap); to write the same entry again does no harm.

A second roll also needs the trials of the first: they are kept elsewhere, and may be lost. So the ledger is
told how many there were whenever a confirmation rests, and what has fewer of them is not taken up (`court`).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from heapq import heappop, heappush

from outerloop.runtime.errors import UserError

DELTA = 0.05
INDICES = 1000
HARMONIC = sum(1 / k for k in range(1, INDICES + 1))  # 7.4855
# What is spent beside δ. A model upgrade affects every eval, and is confirmed from a ledger of its own, with
# δ·MODEL_SHARE. And a confirmation at α_k that finds a prior eval broken on the base too drops its claim:
# the base is proven broken at α_k·BASE_SHARE. A change that regresses must get every eval that it breaks
# certified or dropped, so with both, P(ever) ≤ δ·(1 + MODEL_SHARE)·(1 + BASE_SHARE).
MODEL_SHARE = 0.2
BASE_SHARE = 0.1


class SpentError(UserError):
    """All of δ is spent on failed confirmations: only a person can renew it."""


def alpha_of(index: int, delta: float = DELTA) -> float:
    """α_k = δ / (H_1000·k), of an index k from 1 to 1,000."""
    if not 1 <= index <= INDICES:
        raise ValueError(f"an index is from 1 to {INDICES}, not {index}")
    return delta / (HARMONIC * index)


@dataclass(frozen=True, slots=True)
class Reserved:
    """A content, by its hash, is confirmed at this index of this term of δ."""

    content: str
    index: int
    term: int = 0


@dataclass(frozen=True, slots=True)
class Released:
    """The content shipped: its index is free again."""

    content: str


@dataclass(frozen=True, slots=True)
class Renewed:
    """A person granted δ once more: a new term, with indices of its own."""

    by: str
    term: int


@dataclass(frozen=True, slots=True)
class Rested:
    """The content was left, or failed, with so many trials of its own on record: there are no fewer."""

    content: str
    trials: int


Entry = Reserved | Released | Renewed | Rested


@dataclass(slots=True)
class Ledger:
    """What the entries so far amount to. Change it by `apply` only."""

    delta: float = DELTA
    term: int = 0
    _held: dict[str, Reserved] = field(default_factory=dict)
    _rested: dict[str, int] = field(default_factory=dict)  # trials of what is held
    _taken: dict[int, str] = field(default_factory=dict)  # of this term
    _freed: list[int] = field(default_factory=list)  # a heap
    _next: int = 1

    @classmethod
    def fold(cls, entries: Iterable[Entry], delta: float = DELTA) -> "Ledger":
        """The state after `entries`, the oldest first.

        Raises:
            ValueError: if they are no ledger: an index held by two contents, or one that was not next.
        """
        ledger = cls(delta)
        for entry in entries:
            ledger.apply(entry)
        return ledger

    @property
    def open_or_failed(self) -> int:
        """How many indices of this term are held."""
        return len(self._taken)

    @property
    def left(self) -> float:
        """The share of δ that no index of this term holds, from 0 to 1."""
        return max(0.0, 1 - sum(1 / index for index in self._taken) / HARMONIC)

    @property
    def next_index(self) -> int:
        """The smallest free index; `INDICES` + 1 when there is none."""
        return self._freed[0] if self._freed else self._next

    def holds(self, content: str) -> bool:
        """Whether `content` holds an index, of whatever term."""
        return content in self._held

    def least_trials(self, content: str) -> int:
        """How many trials of `content` must be on record at least."""
        return self._rested.get(content, 0)

    def reservation(self, content: str) -> Reserved:
        """The entry to write before `content` is confirmed; its own one if it holds an index.

        Raises:
            SpentError: after 1,000 failed confirmations.
        """
        if content in self._held:
            return self._held[content]
        if self.next_index > INDICES:
            raise SpentError(
                f"{INDICES} confirmations have failed and the gate's error δ = {self.delta} is spent:"
                " look at what is proposed, then run `outerloop gate renew`"
            )
        return Reserved(content, self.next_index, self.term)

    def alpha(self, reserved: Reserved) -> float:
        """The level at which a reserved content is tested."""
        return alpha_of(reserved.index, self.delta)

    def apply(self, entry: Entry) -> None:
        """Take an entry into account; one that is there already changes nothing."""
        match entry:
            case Reserved():
                self._reserve(entry)
            case Released(content=content):
                self._release(content)
            case Renewed(term=term):
                self._renew(term)
            case Rested(content=content, trials=trials):
                self._rest(content, trials)

    def _reserve(self, entry: Reserved) -> None:
        if self._held.get(entry.content) == entry:
            return
        if entry.content in self._held or entry.term != self.term or entry.index != self.next_index:
            raise ValueError(f"the ledger is broken: {entry} where index {self.next_index} is the next")
        if self._freed:
            heappop(self._freed)
        else:
            self._next += 1
        self._held[entry.content] = entry
        self._taken[entry.index] = entry.content

    def _rest(self, content: str, trials: int) -> None:
        if content not in self._held:
            raise ValueError(f"the ledger is broken: {content} rests, and holds no index")
        self._rested[content] = max(trials, self.least_trials(content))

    def _release(self, content: str) -> None:
        self._rested.pop(content, None)
        reserved = self._held.pop(content, None)
        if reserved is not None and reserved.term == self.term:
            del self._taken[reserved.index]
            heappush(self._freed, reserved.index)

    def _renew(self, term: int) -> None:
        if term == self.term:
            return
        if term != self.term + 1:
            raise ValueError(f"the ledger is broken: term {term} after term {self.term}")
        self.term, self._next = term, 1
        self._taken.clear()
        self._freed.clear()
