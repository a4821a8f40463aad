"""Opening files below a directory that may hold anything, without ever leaving it.

Code that is being repaired runs in the sandbox over the same tree, so what a path means may change between a
check and its use. Every component is therefore opened relative to the one before, never through a symlink.
"""

import os
import stat
import unicodedata
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path


class RefusedError(Exception):
    """What was asked for is not allowed or not there; the sentence is for the model."""


def check(path: str) -> tuple[str, ...]:
    """The components of a plain relative path.

    Raises:
        RefusedError: absolute, not plain (`.`, `..`, empty components, backslashes), not in Unicode's NFKC
            form, with invisible characters, or in git's own directory.
    """
    parts = tuple(path.split("/"))
    if not path:
        raise RefusedError("the path is empty")
    if path.startswith(("/", "~")) or "\\" in path:
        raise RefusedError(
            f"{path!r}: give a path relative to the root of the repository, with / between folders"
        )
    if any(part in {"", ".", ".."} for part in parts):
        raise RefusedError(f"{path!r}: a path must not have '.', '..' or empty components")
    # A look-alike could be taken for another path by a reader, or by a file system that folds Unicode.
    if unicodedata.normalize("NFKC", path) != path or not path.isprintable():
        raise RefusedError(f"{path!r}: a path must be printable and in Unicode's NFKC form")
    if any(part.casefold() == ".git" for part in parts):
        raise RefusedError(f"{path!r}: git's own directory is out of reach")
    return parts


def open_below(root: Path, path: str, flags: int) -> int:
    """A descriptor, the caller's to close, of the regular file at `path` below `root`, opened with `flags`.

    Raises:
        RefusedError: the path is not allowed, or there is no such regular file, or a symlink is on the way.
    """
    *folders, name = check(path)
    folder_flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    descriptor = os.open(root, folder_flags)
    for folder in folders:
        descriptor = _step(descriptor, folder, folder_flags, path)
    # O_NONBLOCK: a named pipe must not hold us up before we can see what it is.
    descriptor = _step(descriptor, name, flags | os.O_NONBLOCK | os.O_CLOEXEC, path)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise RefusedError(f"{path!r} is not a file")
    return descriptor


def walk(root: Path) -> Iterator[tuple[str, int]]:
    """Path and size in bytes of each regular file below `root` that `check` allows, in order of path."""
    found: list[tuple[str, int]] = []
    for folder, folders, names, descriptor in os.fwalk(root, follow_symlinks=False):
        folders[:] = [name for name in folders if name.casefold() != ".git"]
        prefix = Path(folder).relative_to(root)
        for name in names:
            path = (prefix / name).as_posix()
            with suppress(OSError, RefusedError):
                check(path)
                about = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
                if stat.S_ISREG(about.st_mode):
                    found.append((path, about.st_size))
    yield from sorted(found)


def _step(parent: int, name: str, flags: int, path: str) -> int:
    """The descriptor of `name` in `parent`, which is closed."""
    try:
        return os.open(name, flags | os.O_NOFOLLOW, dir_fd=parent)
    except OSError as error:
        raise RefusedError(
            f"{path!r} cannot be opened: {error.strerror} (links are never followed)"
        ) from error
    finally:
        os.close(parent)


def text(root: Path, path: str) -> str:
    """The text of a file below `root`.

    Raises:
        RefusedError: there is no such file, or it is not UTF-8.
    """
    with open(open_below(root, path, os.O_RDONLY), "rb") as file:
        try:
            return file.read().decode()
        except UnicodeDecodeError as error:
            raise RefusedError(f"{path!r} is not UTF-8 text") from error
