"""Patches: from a directory, onto a commit, and what changed between two trees."""

import re
from pathlib import Path

from outerloop.runtime.errors import UserError
from outerloop.runtime.git import worktree
from outerloop.runtime.git.model import (
    SUBMODULE,
    NotAPatchError,
    PatchConflictError,
    TreeChange,
    checked_commit,
    is_inside,
)
from outerloop.runtime.git.objects import Objects
from outerloop.runtime.git.process import run, succeed

MAX_PATCH = 4 * 1024 * 1024
# Content is looked at for what it is up to here; what is larger counts as binary.
MAX_LOOKED_AT = 4 * 1024 * 1024

_ABSENT = "000000"


class Patches(Objects):
    """A repository's objects, and the patches between them."""

    async def checkout(self, commit: str, into: Path) -> None:
        """Write the files of `commit` into the directory `into`: their bytes as they are, and no `.git`.

        Attributes (`export-ignore`, line endings) change nothing. A submodule becomes an empty directory.

        Raises:
            UserError: if a path or a symlink of the commit leads out of the tree; `into` is then incomplete.
        """
        await worktree.write(self, await self.files(commit), into)

    async def patch_from(self, base: str, directory: Path) -> str:
        """The patch that turns `base` into what is in `directory`; "" when they are equal.

        `directory` is read as hostile content: no git runs in it, a `.git` at any depth is left out, symlinks
        are taken as links, and new files that the `.gitignore` files of `base` name are left out.

        Raises:
            UserError: if a changed text is not UTF-8, or there is too much of it.
        """
        files = await worktree.differences(self, await self.files(base), directory)
        tree = await self._tree_with(base, files)
        flags = ("--no-renames", "--full-index", "--binary", "--no-ext-diff", "--no-textconv", "--no-color")
        patch = await succeed(self.directory, "diff-tree", "-r", "-p", *flags, checked_commit(base), tree)
        if len(patch) > MAX_PATCH:
            raise UserError(f"the change is a patch of {len(patch)} bytes; {MAX_PATCH} are taken")
        try:
            return patch.decode()
        except UnicodeDecodeError as error:
            raise UserError("the change touches text that is not UTF-8") from error

    async def apply(self, base: str, patch: str) -> str:
        """The id of the tree that `patch` makes of `base`, merging three ways where the context has moved.

        Raises:
            PatchConflictError: if it does not apply.
            NotAPatchError: if the text is not a patch, or names a path that no repository may hold.
        """
        text = patch.encode(errors="surrogateescape")
        if len(text) > MAX_PATCH:
            raise NotAPatchError(f"a patch of {len(text)} bytes; {MAX_PATCH} are taken")
        parsed = await run(self.directory, "apply", "--numstat", "-z", "-", stdin=text)
        if parsed.status:
            raise NotAPatchError(f"git cannot read it as a patch: {_sentence(parsed.stderr)}")
        for record in parsed.stdout.decode(errors="surrogateescape").split("\0")[:-1]:
            path = record.split("\t", 2)[2]
            if not is_inside(path):
                raise NotAPatchError(f"the patch names {path!r}, which no repository may hold")
        async with self._index(base) as env:
            arguments = ("apply", "--cached", "--3way", "--whitespace=nowarn", "-")
            applied = await run(self.directory, *arguments, stdin=text, env=env)
            if applied.status:
                raise PatchConflictError(f"the patch does not apply to {base}: {_sentence(applied.stderr)}")
            return (await succeed(self.directory, "write-tree", env=env)).decode().strip()

    async def changed(self, base: str, tree: str) -> list[TreeChange]:
        """What differs from `base` to `tree`, in the order of paths."""
        trees = (checked_commit(base), checked_commit(tree))
        flags = ("-r", "-z", "--no-renames", "--no-ext-diff", "--no-textconv")
        raw = await succeed(self.directory, "diff-tree", "--raw", "--no-abbrev", *flags, *trees)
        fields = raw.decode(errors="surrogateescape").split("\0")[:-1]
        entries = [(fields[at].lstrip(":").split(), fields[at + 1]) for at in range(0, len(fields), 2)]
        lines = await self._line_counts(flags, trees)
        blobs = {sha for about, _ in entries for sha in _blobs(about)}
        sizes = await self.sizes(blobs)
        texts = await self._texts({sha for sha in blobs if sizes[sha] <= MAX_LOOKED_AT})
        changes: list[TreeChange] = []
        for about, path in entries:
            old_mode, new_mode, _, new_sha, status = about
            binary = not texts.issuperset(_blobs(about))
            added, removed = (0, 0) if binary else lines[path]
            size = sizes.get(new_sha, 0)
            changes.append(TreeChange(status[0], old_mode, new_mode, path, binary, added, removed, size))
        return changes

    async def _line_counts(
        self, flags: tuple[str, ...], trees: tuple[str, str]
    ) -> dict[str, tuple[int, int]]:
        """Lines added and removed by path. `--text`: what is binary is not for `.gitattributes` to say."""
        out = await succeed(self.directory, "diff-tree", "--numstat", "--text", *flags, *trees)
        counts: dict[str, tuple[int, int]] = {}
        for record in out.decode(errors="surrogateescape").split("\0")[:-1]:
            added, removed, path = record.split("\t", 2)
            counts[path] = (int(added), int(removed)) if added.isdigit() else (0, 0)
        return counts

    async def _texts(self, shas: set[str]) -> set[str]:
        return {sha for sha, content in (await self.blobs(shas)).items() if _is_text(content)}


def _blobs(about: list[str]) -> list[str]:
    """The ids of the blobs on both sides of a raw diff line."""
    old_mode, new_mode, old_sha, new_sha, _ = about
    sides = ((old_mode, old_sha), (new_mode, new_sha))
    return [sha for mode, sha in sides if mode not in {_ABSENT, SUBMODULE}]


def _is_text(content: bytes) -> bool:
    try:
        return "\0" not in content.decode()
    except UnicodeDecodeError:
        return False


def _sentence(stderr: str) -> str:
    """Git's own errors without its progress report."""
    errors = [line for line in stderr.splitlines() if re.match(r"(error|fatal): ", line)]
    return "; ".join(line.split(": ", 1)[1] for line in errors or ["error: no reason given"])[:500]
