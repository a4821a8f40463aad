"""Series: what a candidate's trials count for: the content that an index of the ledger is held by.

Two candidates are one content if every eval has the same fingerprint (`core.fingerprint`) at both, and at the
heads that they are built on, before the same suite: the claims on both are the same claims. So when somebody
pushes to the release branch what no eval depends on, a hearing goes on where it was, at the level that it
has: nothing is rolled again, and no other index is spent. Whatever else moves makes another content, whose
trials all begin anew. (Claims that are the same in it might go on too, but not at its own level: of many
failed e-processes somebody could choose the one that is nearly certified, and have it tested at a lower
index that a ship has freed. The union bound over indices does not cover that choice.)
"""

import logging

from outerloop.gate.release import ledger
from outerloop.gate.trials.bench import Records
from outerloop.runtime.envelope import stable_id
from outerloop.runtime.git import Repository

log = logging.getLogger(__name__)


def series_of(heard: str) -> str:
    """The first series of what is heard (`fingerprint.heard`)."""
    return stable_id("hearing", heard)


def after_loss(series: str) -> str:
    """The series that takes the place of one whose trials are lost."""
    return stable_id("again", series)


async def unspent(
    repository: Repository, records: Records, series: str, *, known: str = "", ref: str = ledger.REF
) -> str:
    """The series to hear: this one, or if the ledger knows of trials of it that are lost, one after it.

    With an index and without its trials, a content would be rolled for a second time at the same level. The
    series after it has an index of its own, so it pays for itself. `known` and `ref`: see `ledger.read`.

    Raises:
        UserError: as `ledger.read`.
    """
    spent, _ = await ledger.read(repository, known=known, ref=ref)
    while spent.holds(series):
        least, kept = max(1, spent.least_trials(series)), len(await records.of(series))
        if kept >= least:
            break
        log.warning(
            "%s holds an index and %d of its trials are lost: it is heard again with another index",
            *(series, least - kept),
        )
        series = after_loss(series)
    return series
