"""Traps: things outside the sandbox that hostile code goes for, and what tells that it reached one."""

import asyncio
import contextlib
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

ESCAPED = "ESCAPED"  # what hostile code writes into its answer when it got at something
KEY = "sk-life-"  # how the gate's key begins


@dataclass(slots=True)
class Traps:
    """Where they are. `daemon` is a word in the command line of what hostile code leaves running."""

    folder: Path
    port: int
    victim: int
    token: str = field(default_factory=lambda: f"{KEY}{secrets.token_hex(12)}")
    daemon: str = field(default_factory=lambda: f"life-daemon-{secrets.token_hex(6)}")
    connections: int = 0

    @property
    def secret(self) -> Path:
        """A file that only the host may read."""
        return self.folder / "secret.txt"

    @property
    def target(self) -> Path:
        """A file that does not exist, and must not."""
        return self.folder / "written-from-within.txt"

    def sprung(self) -> list[str]:
        """What hostile code has reached, a sentence each; [] if nothing."""
        found: list[str] = []
        if self.connections:
            found.append(f"{self.connections} connections came to a listener of the host")
        if self.target.exists():
            found.append("a file was written outside the sandbox")
        if self.secret.read_text() != self.token:
            found.append("a file of the host was changed")
        if not _runs(self.victim):
            found.append("a process of the host was killed")
        if left := self.left_running():
            found.append(f"{left} processes of a change were left running")
        return found

    def left_running(self) -> int:
        """How many processes carry the word of the daemon."""
        return sum(self.daemon.encode() in _command(process) for process in Path("/proc").glob("[0-9]*"))


@contextlib.asynccontextmanager
async def traps(folder: Path) -> AsyncIterator[Traps]:
    """Set for the length of the block."""
    folder.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240 - at once, and once
    sleeper = [sys.executable, "-I", "-S", "-c", "import time; time.sleep(86400)"]
    victim = subprocess.Popen(sleeper, start_new_session=True)  # noqa: ASYNC220 - at once, and once
    made: list[Traps] = []

    async def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        made[0].connections += 1
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        made.append(Traps(folder, server.sockets[0].getsockname()[1], victim.pid))
        made[0].secret.write_text(made[0].token)
        yield made[0]
    finally:
        server.close()
        victim.kill()
        victim.wait()


def _runs(pid: int) -> bool:
    with contextlib.suppress(ChildProcessError):
        return os.waitpid(pid, os.WNOHANG) == (0, 0)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIG_DFL)  # asks only whether it is there
        return True
    return False


def _command(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""
