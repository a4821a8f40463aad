"""Between a tree and a plain directory, without git in that directory: its content may be hostile."""

import asyncio
import hashlib
import os
import stat
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import BinaryIO

from outerloop.runtime.errors import UserError
from outerloop.runtime.git.model import EXECUTABLE, PLAIN, SUBMODULE, SYMLINK, GitError, TreeEntry, is_inside
from outerloop.runtime.git.objects import Objects
from outerloop.runtime.git.process import run

MAX_FILE = 16 * 1024 * 1024
MAX_FILES = 20_000
MAX_CHANGED = 64 * 1024 * 1024
_BATCH = 64 * 1024 * 1024
_CHUNK = 1024 * 1024

# By path: mode and content. None: not there any more, or nothing to say of it.
Files = dict[str, tuple[str, bytes] | None]


async def write(objects: Objects, entries: Sequence[TreeEntry], into: Path) -> None:
    """Write `entries` into `into`, symlinks last, so that no file is ever written through one.

    Raises:
        UserError: if a path or a symlink leads out of `into`, or `into` is not empty.
    """
    await asyncio.to_thread(_prepare, into)
    if outside := [entry.path for entry in entries if not is_inside(entry.path)]:
        raise UserError(f"the commit holds the path {outside[0]!r}, which cannot be written")
    ordered = sorted(entries, key=lambda entry: entry.mode == SYMLINK)
    batches = _Batches()
    for _, group in groupby(ordered, key=batches.number):
        batch = list(group)
        contents = await objects.blobs([entry.sha for entry in batch if entry.mode != SUBMODULE])
        await asyncio.to_thread(_write, into, batch, contents)
    _check_links(into, [entry.path for entry in entries if entry.mode == SYMLINK])


def _prepare(into: Path) -> None:
    into.mkdir(parents=True, exist_ok=True)
    if any(into.iterdir()):
        raise UserError(f"{into} is not empty: a commit is written into a directory of its own")


class _Batches:
    """Numbers entries so that those of one number fit into memory together."""

    def __init__(self) -> None:
        self._seen = 0

    def number(self, entry: TreeEntry) -> int:
        self._seen += entry.size
        return self._seen // _BATCH


def _write(into: Path, entries: Sequence[TreeEntry], contents: dict[str, bytes]) -> None:
    for entry in entries:
        path = into / entry.path
        path.parent.mkdir(parents=True, exist_ok=True)
        if entry.mode == SUBMODULE:
            path.mkdir(exist_ok=True)
        elif entry.mode == SYMLINK:
            path.symlink_to(os.fsdecode(contents[entry.sha]))
        else:
            path.write_bytes(contents[entry.sha])
            path.chmod(0o755 if entry.mode == EXECUTABLE else 0o644)


def _check_links(into: Path, links: Sequence[str]) -> None:
    root = into.resolve()
    leading_out = [link for link in links if not _stays(root / link, root)]
    for link in leading_out:
        (into / link).unlink()
    if leading_out:
        raise UserError(f"the symlink {leading_out[0]!r} leads out of the repository, or in a circle")


def _stays(link: Path, root: Path) -> bool:
    try:
        return link.resolve().is_relative_to(root)
    except RuntimeError:  # pathlib's word for a circle
        return False


async def differences(objects: Objects, entries: Sequence[TreeEntry], directory: Path) -> Files:
    """What in `directory` is not as in `entries`, the files of a commit. A submodule is left as it is.

    Raises:
        UserError: if there are too many new files, or a changed one is too large.
    """
    known = {entry.path: entry for entry in entries}
    found = await asyncio.to_thread(_read, directory, known)
    submodules = {entry.path for entry in entries if entry.mode == SUBMODULE}
    gone: Files = {path: None for path in known if path not in found and path not in submodules}
    ignored = await _ignored(objects, entries, [path for path in found if path not in known])
    changed = {path: file for path, file in found.items() if file is not None and path not in ignored}
    # Removals first: a file may have become a directory.
    return {**gone, **changed}


def _read(directory: Path, known: dict[str, TreeEntry]) -> Files:
    """Every file of `directory`; None where it is the same as the known one."""
    found: Files = {}
    size = 0
    for path, (mode, content) in _walk(directory, known):
        entry = known.get(path)
        same = entry and entry.mode == mode and (content is None or entry.sha == _blob_id(content))
        if content is None and not same:
            raise _too_large(path)
        found[path] = None if same or content is None else (mode, content)
        size += 0 if same or content is None else len(content)
        # How many a commit has is for whoever made it.
        if len(found) > len(known) + MAX_FILES or size > MAX_CHANGED:
            raise UserError(f"more than {MAX_FILES} new files, or more than {MAX_CHANGED} changed bytes")
    return found


def _walk(directory: Path, known: Mapping[str, TreeEntry]) -> Iterator[tuple[str, tuple[str, bytes | None]]]:
    """Path, mode and content of what a commit can hold: no devices, sockets, pipes, and no `.git`.

    The content is None of a file that is larger than what is taken, and still the known one. Everything is
    opened relative to the folder that was listed, so that a link which appears meanwhile in the place of a
    folder leads nowhere.
    """
    for folder, folders, names, descriptor in os.fwalk(directory, follow_symlinks=False):
        prefix = Path(folder).relative_to(directory)
        for name in sorted((*names, *folders)):
            path = (prefix / name).as_posix()
            mode = os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_mode
            if is_inside(name) and stat.S_ISLNK(mode):
                yield path, (SYMLINK, os.fsencode(os.readlink(name, dir_fd=descriptor)))
            elif is_inside(name) and stat.S_ISREG(mode):
                content = _content(name, descriptor, path, known.get(path))
                yield path, (EXECUTABLE if mode & stat.S_IXUSR else PLAIN, content)
        folders[:] = sorted(name for name in folders if is_inside(name))


def _content(name: str, folder: int, path: str, known: TreeEntry | None) -> bytes | None:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(name, flags, dir_fd=folder), "rb") as file:
            content = file.read(MAX_FILE + 1)
            if len(content) <= MAX_FILE:
                return content
            if known and _is_still(known, content, file):
                return None
    except OSError as error:
        raise UserError(f"{path!r} cannot be read: {error.strerror}") from error
    raise _too_large(path)


def _is_still(known: TreeEntry, begins: bytes, rest: BinaryIO) -> bool:
    """Whether a file has the content of a known one, of which no more is read than that has."""
    digest = hashlib.sha1(b"blob %d\0" % known.size, usedforsecurity=False)
    digest.update(begins)
    left = known.size - len(begins)
    while left > 0 and (chunk := rest.read(min(left, _CHUNK))):
        digest.update(chunk)
        left -= len(chunk)
    return left == 0 and not rest.read(1) and digest.hexdigest() == known.sha


def _too_large(path: str) -> UserError:
    return UserError(f"{path!r} has more than the {MAX_FILE} bytes that are taken of a changed file")


def _blob_id(content: bytes) -> str:
    data = b"blob %d\0" % len(content) + content
    return hashlib.sha1(data).hexdigest()  # noqa: S324 - git's own name for the content, no secret


async def _ignored(objects: Objects, entries: Sequence[TreeEntry], paths: Sequence[str]) -> set[str]:
    """Which of `paths` the `.gitignore` files among `entries` name: those of the directory do not count."""
    rules = [entry for entry in entries if entry.path.split("/")[-1] == ".gitignore" and entry.mode == PLAIN]
    if not rules or not paths:
        return set()
    with tempfile.TemporaryDirectory(prefix="outerloop-ignore-") as temporary:
        await write(objects, rules, Path(temporary))
        stdin = "".join(f"{path}\0" for path in paths).encode(errors="surrogateescape")
        arguments = ("check-ignore", "--no-index", "-z", "--stdin")
        env = {"GIT_LITERAL_PATHSPECS": "0"}  # check-ignore takes paths only, and refuses to be told so
        ended = await run(objects.directory, *arguments, stdin=stdin, work_tree=Path(temporary), env=env)
    if ended.status not in {0, 1}:
        raise GitError(f"git check-ignore ended with {ended.status}: {ended.stderr}")
    return set(ended.stdout.decode(errors="surrogateescape").split("\0")[:-1])
