"""Retire: a person takes an eval out of what binds. Its tombstone is a commit on the suite branch."""

from datetime import datetime

from outerloop.evals import suite as suites
from outerloop.gate.release.ship import GATE, whole_suite
from outerloop.runtime.errors import OutageError
from outerloop.runtime.git import RefMovedError, RefUpdate, Repository, SigningKey

TRIES = 10  # each time the suite grew meanwhile


async def retire(
    repository: Repository,
    eval_id: str,
    *,
    by: str,
    reason: str,
    when: datetime,
    key: SigningKey | None = None,
) -> str | None:
    """The commit of the tombstone; None where the suite never had the eval, so that there is none to bury.

    Retired before, it stays as it is.

    Raises:
        OutageError: if the remote cannot be reached.
        UserError: if the suite is not whole, or nobody, or no reason, is named.
    """
    for _ in range(TRIES):
        await repository.fetch()
        suite = await whole_suite(repository)
        if eval_id in {entry.eval.id for entry in suite.retired}:
            return suite.commit
        if suite.get(eval_id) is None:
            return None
        tree = await repository.tree_with(
            suite.commit, suites.burial(suite, eval_id, by=by, reason=reason, when=when)
        )
        said = f"Retire eval {eval_id}\n\nWho retired it and why is in its tombstone.\n"
        commit = await repository.commit(tree, [suite.commit], said, when=when, author=GATE, key=key)
        try:
            await repository.push_atomic([RefUpdate(suites.REF, commit, suite.commit)])
        except RefMovedError:
            continue
        return commit
    raise OutageError(f"the suite moved {TRIES} times while eval {eval_id} was to be retired: try again")
