"""What the git wrapper speaks of: entries, changes, updates, its errors, and which names it takes."""

import re
from dataclasses import dataclass

from outerloop.runtime.errors import OuterloopError, UserError

SYMLINK = "120000"
SUBMODULE = "160000"
PLAIN = "100644"
EXECUTABLE = "100755"

_COMMIT = re.compile(r"[0-9a-f]{40}")  # SHA-1: what every forge serves
# Narrower than git's own rule: nothing that could be read as an option or a revision expression.
_REF = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]*(/[A-Za-z0-9_][A-Za-z0-9._+-]*)*")


class GitError(OuterloopError):
    """Git failed in a way that nothing here foresees; says the command and what git said."""


class RefMovedError(OuterloopError):
    """A ref of the remote is not what the push expected it to be; nothing was pushed."""


class PushRefusedError(UserError):
    """The remote is there, its refs are as expected, and yet it does not take the push (rights, a hook)."""


class PatchConflictError(OuterloopError):
    """A patch does not apply to this commit, three-way merge included."""


class NotAPatchError(UserError):
    """A text that is no git patch, or one with a path that no repository may hold."""


@dataclass(frozen=True, slots=True)
class TreeEntry:
    """One file of a commit. `size` is 0 for a submodule."""

    mode: str
    sha: str
    size: int
    path: str


@dataclass(frozen=True, slots=True)
class TreeChange:
    """One path that differs between two trees. A rename is a removal and an addition.

    `status` is A, M, D or T (another type of file). A mode is "000000" where the path is absent. `binary`:
    either side is not UTF-8 text, by content and not by what `.gitattributes` says; its line counts are 0.
    A path that is not UTF-8 carries surrogate escapes, as everywhere in Python.
    """

    status: str
    old_mode: str
    new_mode: str
    path: str
    binary: bool
    added_lines: int
    removed_lines: int
    new_size: int


@dataclass(frozen=True, slots=True)
class RefUpdate:
    """Move `ref` (full name) to the commit `new`, if it is at `expected` now ("": if it does not exist)."""

    ref: str
    new: str
    expected: str


@dataclass(frozen=True, slots=True)
class Author:
    """Who a commit is by."""

    name: str
    email: str


def checked_commit(text: str) -> str:
    """`text`, if it is a full object id.

    Raises:
        UserError: if it is anything else, an abbreviation included.
    """
    if not _COMMIT.fullmatch(text):
        raise UserError(f"{text!r} is not a full commit id (40 hex digits)")
    return text


def full_ref(name: str) -> str:
    """The full name of a ref: "main" is a branch, "refs/..." is taken as it is.

    Raises:
        UserError: if git, or anything that reads the name, could take it for something else.
    """
    plain = _REF.fullmatch(name) and ".." not in name and "//" not in name
    if not plain or any(part.endswith((".lock", ".")) for part in name.split("/")):
        raise UserError(f"{name!r} is not a name that a ref can have here")
    return name if name.startswith("refs/") else f"refs/heads/{name}"


def is_inside(path: str) -> bool:
    """Whether `path` names a file inside a work tree: relative, no dot parts, nothing that is git's own."""
    parts = path.split("/")
    return not any(
        part in {"", ".", ".."} or "\0" in part or part.lower().rstrip(" .") in {".git", "git~1"}
        for part in parts
    )
