"""The objects of one repository: reading commits, and building trees and commits without a work tree."""

import re
import tempfile
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

from outerloop.runtime.errors import UserError
from outerloop.runtime.git.model import (
    PLAIN,
    SUBMODULE,
    Author,
    GitError,
    TreeEntry,
    checked_commit,
    is_inside,
)
from outerloop.runtime.git.process import run, succeed
from outerloop.runtime.git.signing import SigningKey


class Objects:
    """The object database of the bare repository at `directory`.

    Where a method takes a commit it takes a tree as well: both by full id, never by name.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory.absolute()  # git is started in other directories

    async def show(self, commit: str, path: str) -> bytes | None:
        """The bytes of the file `path` at `commit`; None if there is no such file.

        Raises:
            GitError: if the commit is not in this repository.
        """
        entries = await self._list(commit, paths=(path,))
        sha = next((entry.sha for entry in entries if entry.path == path and entry.mode != SUBMODULE), None)
        return (await self.blobs([sha]))[sha] if sha else None

    async def files(self, commit: str, *folders: str) -> list[TreeEntry]:
        """All files, symlinks and submodules of `commit`, in git's order; with `folders`, those below them.

        Raises:
            GitError: if the commit is not in this repository.
        """
        return await self._list(commit, "-r", paths=folders)

    async def _list(self, commit: str, *flags: str, paths: Sequence[str] = ()) -> list[TreeEntry]:
        arguments = ("-z", "-l", "--full-tree", *flags, checked_commit(commit), "--", *paths)
        out = await succeed(self.directory, "ls-tree", *arguments)
        entries: list[TreeEntry] = []
        for record in out.decode(errors="surrogateescape").split("\0")[:-1]:
            about, path = record.split("\t", 1)
            mode, kind, sha, size = about.split()
            if kind != "tree":
                entries.append(TreeEntry(mode, sha, 0 if size == "-" else int(size), path))
        return entries

    async def blobs(self, shas: Iterable[str]) -> dict[str, bytes]:
        """The contents of these blobs, by their ids.

        Raises:
            GitError: if one is not there, or together they are larger than what one command may write.
        """
        wanted = list(dict.fromkeys(shas))
        if not wanted:
            return {}
        out = await succeed(
            self.directory, "cat-file", "--batch", stdin="".join(f"{sha}\n" for sha in wanted).encode()
        )
        contents: dict[str, bytes] = {}
        at = 0
        for sha in wanted:
            end = out.index(b"\n", at)
            header = out[at:end].split()
            if len(header) != 3 or header[1] != b"blob":  # noqa: PLR2004 - "<id> <type> <size>"
                raise GitError(f"object {sha} is not a blob of this repository")
            at = end + 1 + int(header[2])
            contents[sha] = out[end + 1 : at]
            at += 1
        return contents

    async def sizes(self, shas: Iterable[str]) -> dict[str, int]:
        """How many bytes each of these blobs has."""
        wanted = list(dict.fromkeys(shas))
        asked = "".join(f"{sha}\n" for sha in wanted).encode()
        out = await succeed(
            self.directory, "cat-file", "--batch-check=%(objecttype) %(objectsize)", stdin=asked
        )
        lines = [line.split() for line in out.decode().splitlines()]
        return {sha: int(line[1]) for sha, line in zip(wanted, lines, strict=True) if line[0] == "blob"}

    async def tree_of(self, commit: str) -> str:
        """The id of a commit's tree."""
        out = await succeed(
            self.directory, "rev-parse", "--verify", "--quiet", f"{checked_commit(commit)}^{{tree}}"
        )
        return out.decode().strip()

    async def message(self, commit: str) -> str:
        """A commit's message, trailers included."""
        out = await succeed(self.directory, "cat-file", "commit", checked_commit(commit))
        return out.partition(b"\n\n")[2].decode(errors="replace")

    async def tree_with(self, base: str | None, files: Mapping[str, bytes]) -> str:
        """The id of the tree of `base` (None: the empty tree) with these plain files added or replaced.

        Raises:
            UserError: if a path lies outside the tree or is git's own.
        """
        return await self._tree_with(base, {path: (PLAIN, content) for path, content in files.items()})

    async def _tree_with(self, base: str | None, files: Mapping[str, tuple[str, bytes] | None]) -> str:
        """As `tree_with`, with each file's mode; None removes the file."""
        if outside := [path for path in files if not is_inside(path)]:
            raise UserError(f"{outside[0]!r} is not a path that a repository may hold")
        lines: list[str] = []
        for path, file in files.items():
            if file is None:
                lines.append(f"0 {'0' * 40}\t{path}")
            else:
                mode, content = file
                sha = await succeed(
                    self.directory, "hash-object", "-w", "--stdin", "--no-filters", stdin=content
                )
                lines.append(f"{mode} {sha.decode().strip()}\t{path}")
        async with self._index(base) as env:
            stdin = "".join(f"{line}\0" for line in lines).encode(errors="surrogateescape")
            await succeed(self.directory, "update-index", "-z", "--index-info", stdin=stdin, env=env)
            return (await succeed(self.directory, "write-tree", env=env)).decode().strip()

    @asynccontextmanager
    async def _index(self, base: str | None) -> AsyncIterator[dict[str, str]]:
        """The environment of a temporary index that holds `base`."""
        with tempfile.TemporaryDirectory(prefix="outerloop-index-") as temporary:
            env = {"GIT_INDEX_FILE": f"{temporary}/index"}
            await succeed(self.directory, "read-tree", checked_commit(base) if base else "--empty", env=env)
            yield env

    async def commit(
        self,
        tree: str,
        parents: Sequence[str],
        message: str,
        *,
        when: datetime,
        author: Author,
        key: SigningKey | None = None,
    ) -> str:
        """The id of a commit that no ref holds yet, signed by `key`. The same arguments give the same id.

        Raises:
            UserError: if the key cannot sign.
        """
        date = f"@{int(when.timestamp())} +0000"
        env = {
            **{f"GIT_{role}_NAME": author.name for role in ("AUTHOR", "COMMITTER")},
            **{f"GIT_{role}_EMAIL": author.email for role in ("AUTHOR", "COMMITTER")},
            **{f"GIT_{role}_DATE": date for role in ("AUTHOR", "COMMITTER")},
        }
        ancestry = [word for parent in parents for word in ("-p", checked_commit(parent))]
        arguments = ("commit-tree", *ancestry, checked_commit(tree))
        text = re.sub(r"\x00", "", message).encode(errors="replace")
        if key is None:
            return (await succeed(self.directory, *arguments, stdin=text, env=env)).decode().strip()
        env.update(key.environment())
        ended = await run(self.directory, *arguments, "-S", stdin=text, env=env)
        if ended.status:
            raise key.refusal(ended.stderr)
        return ended.stdout.decode().strip()

    async def is_ancestor(self, ancestor: str, commit: str) -> bool:
        """Whether `commit` contains `ancestor`; False too when either is not here."""
        names = (checked_commit(ancestor), checked_commit(commit))
        return (await run(self.directory, "merge-base", "--is-ancestor", *names)).status == 0
