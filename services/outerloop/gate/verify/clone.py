"""Clone: where the refs that carry the proof are, in an ordinary clone or in a bare mirror."""

import re
from dataclasses import dataclass
from pathlib import Path

from outerloop.evals import suite as suites
from outerloop.gate.release import ledger
from outerloop.runtime.agentfile import agentfile_at
from outerloop.runtime.errors import UserError
from outerloop.runtime.git import Repository
from outerloop.runtime.git.process import run

FETCH = "git fetch origin '+refs/heads/*:refs/remotes/origin/*' '+refs/outerloop/*:refs/outerloop/*'"


@dataclass(frozen=True, slots=True)
class Clone:
    """A repository, and the commits that its release branch, suite and ledger are at ("": it has none)."""

    repository: Repository
    branch: str
    head: str
    suite: str
    ledger: str

    async def commit(self, revision: str) -> str:
        """The id of the commit that a person names.

        Raises:
            UserError: if there is none.
        """
        found = await _commit(self.repository, revision)
        if not found:
            raise UserError(f"there is no commit {revision!r} here")
        return found


async def open_clone(directory: Path, branch: str = "") -> Clone:
    """The clone that `directory` is in; `branch` is the release branch ("": what `outerloop.yaml` says).

    Raises:
        UserError: if there is no repository, or it does not have the whole history, or no such branch.
    """
    repository = Repository(str(directory), _git_directory(directory))
    shallow = await run(repository.directory, "rev-parse", "--is-shallow-repository")
    if shallow.stdout.strip() != b"false":
        raise UserError(f"{directory} has no whole history: git fetch --unshallow (or is no repository)")
    name = branch or await _release_branch(repository)
    head = await _tip(repository, name)
    if not head:
        raise UserError(f"{directory} has no branch {name}: fetch it, or name another with --branch")
    suite = await _tip(repository, suites.BRANCH)
    return Clone(repository, name, head, suite, await _commit(repository, ledger.REF))


def _git_directory(directory: Path) -> Path:
    start = directory.absolute()
    for folder in (start, *start.parents):
        inner = folder / ".git"
        if inner.is_dir():
            return inner
        if inner.is_file() and (named := re.fullmatch(r"gitdir: (.+)\n?", inner.read_text())):
            return (folder / named[1]).resolve()
        if (folder / "HEAD").is_file() and (folder / "objects").is_dir():
            return folder
    raise UserError(f"{directory} is in no git repository")


async def _release_branch(repository: Repository) -> str:
    head = await _commit(repository, "HEAD")
    if not head:
        raise UserError("HEAD is at no commit whose outerloop.yaml names the release branch: use --branch")
    return (await agentfile_at(repository, head)).release.branch


async def _tip(repository: Repository, branch: str) -> str:
    """What was fetched of the remote's branch, before what is only here."""
    remote = await _commit(repository, f"refs/remotes/origin/{branch}")
    return remote or await _commit(repository, f"refs/heads/{branch}")


async def _commit(repository: Repository, name: str) -> str:
    arguments = ("--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    return (await run(repository.directory, "rev-parse", *arguments)).stdout.decode().strip()
