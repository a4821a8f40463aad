"""The error ledger, durable in the agent's own repository.

    refs/outerloop/ledger     a chain of commits of its own, one entry a commit
    changes.jsonl             all entries so far; only ever appended to (see `core.entries`)
    refs/outerloop/checks     the same for people's changes (`outerloop gate check`), which have a δ of their
                              own: what passes there leaves no certificate, so nobody could hold it to one

An entry counts once the remote has its commit, and the push is compare-and-swap: of two that write at one
position one is taken. A crash before the push has written nothing; after it, the content finds its index
again. So nothing is lost and no index is given to two.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from outerloop.gate.core.entries import appended, folded
from outerloop.gate.core.spending import DELTA, Entry, Ledger, Released, Renewed, Reserved, Rested
from outerloop.runtime.errors import OutageError, UserError
from outerloop.runtime.git import Author, RefMovedError, RefUpdate, Repository, SigningKey

REF, CHECKS = "refs/outerloop/ledger", "refs/outerloop/checks"
NAME = "changes.jsonl"
# Each loss is another's entry, so this many in a row are a crowd, or a remote that refuses without saying so.
TRIES = 30
_PAUSE_SECONDS = 0.05  # times the number of losses, at most; drawn, so that rivals do not meet again
_GATE = Author("outerloop gate", "gate@outerloop.invalid")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """A content's index, and the level α it is tested at; `commit` is of a ledger that says so.

    `left` is the share of δ that no content holds.
    """

    content: str
    term: int
    index: int
    delta: float
    alpha: float
    left: float
    commit: str


async def read(
    repository: Repository, delta: float = DELTA, *, known: str = "", ref: str = REF
) -> tuple[Ledger, str]:
    """The ledger as last fetched, and its commit; an empty one and "" while there is none.

    Args:
        repository: the agent's.
        delta: the error of a term.
        known: a commit that the ledger must contain: the one that the last certificate names.
        ref: which ledger, `REF` or `CHECKS`.

    Raises:
        UserError: if somebody edited it, took something out of it, or moved it back.
    """
    ledger, _, commit = await _load(repository, ref, delta, known)
    return ledger, commit


async def reserve(
    repository: Repository,
    content: str,
    *,
    when: datetime,
    delta: float = DELTA,
    known: str = "",
    ref: str = REF,
    key: SigningKey | None = None,
) -> Reservation:
    """The index of `content`: the one it holds, else the smallest free one, which it holds from now on.

    Fetches. `delta`, `known` and `ref` are as for `read`; `key` signs the entry.

    Raises:
        SpentError: if δ is spent on failed confirmations.
        OutageError: if the remote cannot be reached, or others were quicker again and again.
        UserError: as `read`.
    """

    def entry(ledger: Ledger) -> Entry | None:
        reserved = ledger.reservation(content)
        return None if ledger.holds(content) else reserved

    ledger, commit = await _write(repository, entry, "", when, (ref, delta, known), key=key)
    reserved = ledger.reservation(content)
    return Reservation(
        content=content,
        term=reserved.term,
        index=reserved.index,
        delta=delta,
        alpha=ledger.alpha(reserved),
        left=ledger.left,
        commit=commit,
    )


async def rest(
    repository: Repository,
    content: str,
    trials: int,
    *,
    when: datetime,
    ref: str = REF,
    key: SigningKey | None = None,
) -> None:
    """Note how many trials of `content`, which holds an index, are on record; nothing if that is known.

    Raises:
        OutageError: as `reserve`.
        UserError: as `read`.
    """

    def entry(ledger: Ledger) -> Entry | None:
        known = not ledger.holds(content) or ledger.least_trials(content) >= trials
        return None if known else Rested(content, trials)

    await _write(repository, entry, "", when, (ref, DELTA, ""), key=key)


async def releasing(
    repository: Repository, content: str, *, when: datetime, ref: str = REF, key: SigningKey | None = None
) -> RefUpdate:
    """What frees the index of `content`, as part of the push that ships it: no crash can lie between the two.

    If that push says that a ref has moved, ask again: it may have been this one.

    Raises:
        RefMovedError: if the content holds no index any more: another has shipped it.
        OutageError: if the remote cannot be reached.
        UserError: as `read`.
    """
    await repository.fetch()
    ledger, text, commit = await _load(repository, ref, DELTA, "")
    if not ledger.holds(content):
        raise RefMovedError(f"{ref}: {content} holds no index any more")
    return await _append(repository, (ref, text, commit), Released(content), "", when, key=key)


async def renew(repository: Repository, *, by: str, why: str, when: datetime, ref: str = REF) -> int:
    """Grant δ once more, in a person's name: the new term. Those who renew at once renew once.

    Raises:
        OutageError: if the remote cannot be reached.
        UserError: as `read`.
    """
    await repository.fetch()
    term = (await read(repository, ref=ref))[0].term + 1

    def entry(ledger: Ledger) -> Entry | None:
        return Renewed(by, term) if ledger.term < term else None

    await _write(repository, entry, why, when, (ref, DELTA, ""))
    return term


async def _write(
    repository: Repository,
    choose: Callable[[Ledger], Entry | None],
    why: str,
    when: datetime,
    reading: tuple[str, float, str],
    *,
    key: SigningKey | None = None,
) -> tuple[Ledger, str]:
    """Append what `choose` makes of the ledger as it is (None: nothing to write); the ledger with it."""
    for losses in range(TRIES):
        await repository.fetch()
        ledger, text, commit = await _load(repository, *reading)
        entry = choose(ledger)
        if entry is None:
            return ledger, commit
        update = await _append(repository, (reading[0], text, commit), entry, why, when, key=key)
        try:
            await repository.push_atomic([update])
        except RefMovedError:
            await asyncio.sleep(random.uniform(0, _PAUSE_SECONDS * (losses + 1)))  # noqa: S311 - no secret
        else:
            ledger.apply(entry)
            return ledger, update.new
    raise OutageError(f"{reading[0]} was moved by others {TRIES} times in a row")


async def _append(
    repository: Repository,
    before: tuple[str, bytes, str],
    entry: Entry,
    why: str,
    when: datetime,
    *,
    key: SigningKey | None,
) -> RefUpdate:
    ref, text, parent = before
    tree = await repository.tree_with(None, {NAME: appended(text, entry, when, why)})
    parents = [parent] if parent else []
    message = _message(entry, why)
    commit = await repository.commit(tree, parents, message, when=when, author=_GATE, key=key)
    return RefUpdate(ref, commit, parent)


async def _load(repository: Repository, ref: str, delta: float, known: str) -> tuple[Ledger, bytes, str]:
    commit = await repository.resolve(ref) or ""
    if known and not (commit and await repository.is_ancestor(known, commit)):
        raise UserError(f"{ref} does not contain {known}, which a certificate names: {_restore(ref, known)}")
    if not commit:
        return Ledger(delta), b"", ""
    text = await repository.show(commit, NAME)
    if text is None:
        raise UserError(f"{ref} at {commit} has no {NAME}: {_restore(ref, 'its last good commit')}")
    try:
        return folded(text, f"{NAME} at {commit}", delta), text, commit
    except UserError as error:
        restore = _restore(ref, "its last good commit")
        raise UserError(f"{error}. Somebody has edited it: {restore}") from error


def _restore(ref: str, to: str) -> str:
    return f"set {ref} to {to} or what was built on that (`git log {ref}`, or a clone that has it)"


def _message(entry: Entry, why: str) -> str:
    match entry:
        case Reserved(content=content, index=index, term=term):
            return f"Reserve index {index} of term {term}\n\nto confirm {content}\n"
        case Released(content=content):
            return f"Release an index: what held it has shipped\n\n{content}\n"
        case Rested(content=content, trials=trials):
            return f"Note {trials} trials of what is not proven\n\n{content}\n"
        case Renewed(by=by, term=term):
            said = f"{' '.join(by.split())}: {' '.join(why.split())}"
            return f"Renew the gate's error: term {term}\n\nby {said}\n"
