"""What was rolled back: its patch may not ship again, whoever proposes it."""

from outerloop.gate.core.certificate import Certificate
from outerloop.runtime.git import Repository
from outerloop.runtime.git.process import succeed

_ROLLBACKS = "refs/outerloop/rollbacks/"


def rollback_ref(decision_id: str) -> str:
    """The ref that the rollback of what this decision shipped leaves."""
    return f"{_ROLLBACKS}{decision_id}"


async def rollback_of(repository: Repository, suite_commit: str, patch_sha256: str) -> str:
    """The commit that undid a change with this patch, as last fetched; "" if there is none.

    Reads the certificates of what was undone in the suite ("": none yet), which are few.
    """
    if not suite_commit:
        return ""
    listed = await succeed(
        repository.directory, "for-each-ref", "--format=%(objectname) %(refname)", _ROLLBACKS
    )
    for line in listed.decode().splitlines():
        commit, ref = line.split(" ", 1)
        path = f"certificates/{ref.removeprefix(_ROLLBACKS)}.json"
        content = await repository.show(suite_commit, path)
        if content and Certificate.from_json(content, path).patch_sha256 == patch_sha256:
            return commit
    return ""
