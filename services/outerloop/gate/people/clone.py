"""Clone: a repository as a person or a CI system has it, with the suite in it."""

from pathlib import Path

from outerloop.evals import suite as suites
from outerloop.evals.suite import Suite
from outerloop.gate.release.ship import whole_suite
from outerloop.runtime.errors import UserError
from outerloop.runtime.git import Repository
from outerloop.runtime.git.process import run

FETCH = f"git fetch origin '+{suites.REF}:{suites.REF}' '+refs/outerloop/*:refs/outerloop/*'"


async def suite_in(repository: Repository) -> Suite:
    """The suite.

    Raises:
        UserError: if it is not there, or not whole.
    """
    if await repository.resolve(suites.BRANCH) is None:
        raise UserError(
            f"there is no branch {suites.BRANCH} here, and no proof without evals; in a clone with its whole"
            f" history: {FETCH}"
        )
    return await whole_suite(repository)


async def mirror_of(clone: Path, cache: Path) -> tuple[Repository, Path]:
    """A mirror that sees every object of the clone, also what no branch holds; and the clone's git folder.

    What is pushed to it lands in the clone.

    Raises:
        UserError: if `clone` is none.
    """
    git = Path(
        await _asked(clone, f"{clone} is no git repository", "--path-format=absolute", "--git-common-dir")
    )
    repository = await Repository.open(str(git), cache)
    alternates = cache / "objects/info/alternates"
    alternates.parent.mkdir(exist_ok=True)
    alternates.write_text(f"{git / 'objects'}\n")
    return repository, git


async def commit_in(clone: Path, name: str) -> str:
    """The commit that a person names in the clone.

    Raises:
        UserError: if there is none.
    """
    wanted = ("--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    return await _asked(clone, f"{clone} has no commit {name!r}", *wanted)


async def _asked(clone: Path, otherwise: str, *arguments: str) -> str:
    """What `git rev-parse` says in the clone, which may be a work tree of another one, or bare."""
    found = await run(_git_of(clone), "rev-parse", *arguments, work_tree=clone)
    if found.status:
        raise UserError(f"{otherwise}: see --agent, --base and --head")
    return found.stdout.decode().strip()


def _git_of(clone: Path) -> Path:
    if not clone.is_dir():
        raise UserError(f"{clone} is no folder: see --agent")
    return clone / ".git" if (clone / ".git").exists() else clone
