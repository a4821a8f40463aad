"""Git, by the real program, hardened: one repository a `Repository`, content only and never behaviour.

`process` runs the program, `objects` reads and builds trees and commits, `worktree` is the way to and from a
directory, `patches` makes and applies patches, `repository` is the remote: fetch and the atomic push.
`signing` is the key that commits may be signed with.
"""

from outerloop.runtime.git.model import (
    EXECUTABLE,
    PLAIN,
    SUBMODULE,
    SYMLINK,
    Author,
    GitError,
    NotAPatchError,
    PatchConflictError,
    PushRefusedError,
    RefMovedError,
    RefUpdate,
    TreeChange,
    TreeEntry,
)
from outerloop.runtime.git.repository import Repository, init_bare
from outerloop.runtime.git.signing import SigningKey

__all__ = [
    "EXECUTABLE",
    "PLAIN",
    "SUBMODULE",
    "SYMLINK",
    "Author",
    "GitError",
    "NotAPatchError",
    "PatchConflictError",
    "PushRefusedError",
    "RefMovedError",
    "RefUpdate",
    "Repository",
    "SigningKey",
    "TreeChange",
    "TreeEntry",
    "init_bare",
]
