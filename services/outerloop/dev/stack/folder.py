"""The directory of a stack: `data` for the engines, `logs/NAME.log`, and `stack.lock`, held while it runs."""

import fcntl
import os
import shutil
from pathlib import Path
from typing import IO

from outerloop.dev.stack.process import StackError


class FolderInUseError(StackError):
    """Another stack runs on this directory, or it is somebody else's."""


class Folder:
    """A stack's directory. Between `claim` and `release` it belongs to this process alone."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.data = path / "data"
        self.logs = path / "logs"
        self._lock: IO[str] | None = None

    def claim(self, *, keep: bool) -> None:
        """Locks the directory, and empties it unless `keep`.

        Raises:
            FolderInUseError: another stack holds it, or it has a `data` or `logs` that no stack made.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        mark = self.path / "stack.lock"
        strange = [folder.name for folder in (self.data, self.logs) if folder.exists() and not mark.exists()]
        if strange:  # a mistyped path must not cost anybody their files
            raise FolderInUseError(
                f"{self.path} has {' and '.join(strange)} but was not made by outerloop: choose another"
            )
        lock = mark.open("a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            holder = lock.read().strip()
            lock.close()
            raise FolderInUseError(f"another stack (process {holder}) runs on {self.path}") from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        self._lock = lock
        for folder in (self.data, self.logs):
            if not keep:
                shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(exist_ok=True)

    def release(self) -> None:
        """Lets another stack have the directory. What is in it stays."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None
