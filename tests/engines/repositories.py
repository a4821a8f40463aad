"""A remote repository of an agent, on disk, with the real git."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from outerloop.runtime.git import Author, RefUpdate, Repository, init_bare

WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
TEAM = Author("The team", "team@example.com")
POLICY = "".join(f"Rule {number}: be kind.\n" for number in range(1, 21))
AGENT = {
    "outerloop.yaml": b"agent: helpdesk\nrun: [python, -m, helpdesk]\nmutable: [prompts/**, tools/*.yaml]\n",
    "prompts/policy.md": POLICY.encode(),
    "tools/refund.yaml": b"description: refunds\n",
    "helpdesk.py": b"print()\n",
}


async def agent_repository(folder: Path, files: Mapping[str, bytes] = AGENT) -> tuple[Repository, str]:
    """A mirror in `folder`/cache of a new remote in `folder`/remote, and the one commit of its main."""
    await init_bare(folder / "remote")
    repository = await Repository.open(str(folder / "remote"), folder / "cache")
    return repository, await advance(repository, files)


async def advance(repository: Repository, files: Mapping[str, bytes]) -> str:
    """A commit by the team on the main branch, with these files added or replaced."""
    head = await repository.resolve("main")
    tree = await repository.tree_with(head, files)
    commit = await repository.commit(tree, [head] if head else [], "Work", when=WHEN, author=TEAM)
    await repository.push_atomic([RefUpdate("refs/heads/main", commit, head or "")])
    return commit
