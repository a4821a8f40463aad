"""One agent's repository: its remote, seen through a bare mirror that may be lost at any time."""

import asyncio
import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from outerloop.runtime.errors import OutageError, UserError
from outerloop.runtime.git.model import (
    GitError,
    PushRefusedError,
    RefMovedError,
    RefUpdate,
    checked_commit,
    full_ref,
)
from outerloop.runtime.git.objects import Objects
from outerloop.runtime.git.patches import Patches
from outerloop.runtime.git.process import REMOTE_SECONDS, Ended, run, succeed

_PAUSES = (0.1, 0.3, 0.0)  # seconds after a push that was refused, the last one for good
_SPECS = ("+refs/heads/*:refs/heads/*", "+refs/outerloop/*:refs/outerloop/*")


class Repository(Patches):
    """The repository at `url`, mirrored in `cache` (a directory that belongs to this process alone).

    Reading is of the remote as it was when last fetched. Nothing but `push_atomic` changes the remote.
    """

    def __init__(self, url: str, cache: Path) -> None:
        super().__init__(cache)
        self._url = str(Path(url).absolute()) if Path(url).exists() else url
        self._fetching = asyncio.Lock()

    @classmethod
    async def open(cls, url: str, cache: Path) -> Self:
        """Mirror the remote: into a new cache, or by fetching what an older one misses.

        A cache that git can no longer work with (a lock that a killed process left) is made anew.

        Raises:
            OutageError: if the remote cannot be reached.
            UserError: if `url` is not an address that git may be given.
        """
        if not url or url.startswith("-") or re.match(r"\w*::", url) or not url.isprintable():
            raise UserError(f"{_without_secret(url)!r} is not the address of a git repository")
        repository = cls(url, cache)
        if not (cache / "HEAD").is_file():
            await repository._create()
        try:
            await repository.fetch()
        except GitError:
            await repository._create()
            await repository.fetch()
        return repository

    async def _create(self) -> None:
        self.directory.parent.mkdir(parents=True, exist_ok=True)
        if self.directory.exists():
            await asyncio.to_thread(shutil.rmtree, self.directory)
        # Under a name of its own first: a cache that exists is whole.
        with tempfile.TemporaryDirectory(
            dir=self.directory.parent, prefix=f".{self.directory.name}-"
        ) as temporary:
            fresh = Path(temporary) / "mirror"
            await init_bare(fresh)
            fresh.rename(self.directory)

    async def fetch(self) -> None:
        """Learn what the remote's branches and `refs/outerloop/*` are now.

        Raises:
            OutageError: if the remote cannot be reached.
            GitError: if it can, and yet git does not fetch: the cache is damaged.
        """
        flags = ("--prune", "--no-tags", "--no-write-fetch-head", "--quiet")
        async with self._fetching:
            ended = await self._remotely("fetch", *flags, "--", self._url, *_SPECS)
        if ended.status:
            await self._remote_refs()
            raise GitError(f"git fetch from {self._shown} failed: {self._said(ended)}")

    async def resolve(self, ref: str) -> str | None:
        """The commit that `ref` ("main", "outerloop/suite", "refs/...") is at; None if there is no such ref.

        Raises:
            UserError: if `ref` is not a name that a ref can have.
        """
        name = f"{full_ref(ref)}^{{commit}}"
        ended = await run(self.directory, "rev-parse", "--verify", "--quiet", "--end-of-options", name)
        return ended.stdout.decode().strip() or None

    async def push_atomic(self, updates: Sequence[RefUpdate]) -> None:
        """Move all these refs of the remote, or none of them. Already being there counts as moved.

        Raises:
            RefMovedError: if one of them is not at its `expected`.
            OutageError: if the remote cannot be reached.
            PushRefusedError: if it can, all is as expected, and it still does not take the push.
        """
        for update in updates:
            checked_commit(update.new)
            if not update.ref.startswith("refs/") or full_ref(update.ref) != update.ref:
                raise UserError(f"{update.ref!r} is not the full name of a ref")
        leases = [f"--force-with-lease={update.ref}:{update.expected}" for update in updates]
        specs = [f"{update.new}:{update.ref}" for update in updates]
        async with self._fetching:
            for pause in _PAUSES:
                ended = await self._remotely(
                    "push", "--atomic", "--porcelain", "--no-verify", *leases, "--", self._url, *specs
                )
                if not ended.status or await self._is_there(updates):
                    break
                # Refused, though all is as expected: while another moves a ref, the remote has it locked.
                await asyncio.sleep(pause)
            else:
                raise PushRefusedError(f"{self._shown} did not take the push: {self._said(ended)}")
            lines = "".join(f"update {update.ref} {update.new}\n" for update in updates)
            await succeed(self.directory, "update-ref", "--stdin", stdin=lines.encode())

    async def _is_there(self, updates: Sequence[RefUpdate]) -> bool:
        """Why a push failed, by what the remote's refs are: git's words for it differ by transport.

        True if it did not fail after all: the connection broke once the remote had moved its refs.

        Raises:
            RefMovedError: if another has moved one of them.
        """
        refs = await self._remote_refs()
        if all(refs.get(update.ref) == update.new for update in updates):
            return True
        for update in updates:
            if refs.get(update.ref, "") != update.expected:
                found = refs.get(update.ref) or "absent"
                raise RefMovedError(f"{update.ref} is {found}, not {update.expected or 'absent'} as expected")
        return False

    async def _remote_refs(self) -> dict[str, str]:
        ended = await self._remotely("ls-remote", "--quiet", "--refs", "--", self._url)
        if ended.status:
            raise OutageError(f"the git remote {self._shown} cannot be reached: {self._said(ended)}")
        lines = [line.split("\t", 1) for line in ended.stdout.decode(errors="replace").splitlines()]
        return {ref: sha for sha, ref in lines}

    async def _remotely(self, *arguments: str) -> Ended:
        try:
            return await run(self.directory, *arguments, seconds=REMOTE_SECONDS)
        except GitError as error:
            raise OutageError(f"git {arguments[0]} with {self._shown}: {error}") from error

    @property
    def _shown(self) -> str:
        return _without_secret(self._url)

    def _said(self, ended: Ended) -> str:
        refusals = [
            line for line in ended.stdout.decode(errors="replace").splitlines() if line.startswith("!")
        ]
        return _without_secret("; ".join((*refusals, ended.stderr)))[-1000:] or f"status {ended.status}"


def _without_secret(text: str) -> str:
    """Addresses may carry a token; messages travel further than addresses."""
    return re.sub(r"://[^/@\s]+@", "://", text)


async def init_bare(path: Path) -> None:
    """Make an empty bare repository whose first branch is `main`, with no hooks.

    Raises:
        GitError: if git cannot.
    """
    directory = Objects(path).directory
    await asyncio.to_thread(directory.mkdir, parents=True, exist_ok=True)
    await succeed(directory, "init", "--quiet", "--bare", "--template=", "--initial-branch=main")
