"""A server process that a test can stop, kill and start again on the same data."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from outerloop.dev.stack.leash import leashed

_POLL_SECONDS = 0.02


class Server:
    """A child process, synchronous because fixtures of every scope and loop share it.

    Args:
        argv: the command line.
        log: the file that takes its output.
        ready: answers whether it takes requests.
        within: seconds until it must.
    """

    def __init__(
        self, argv: Sequence[str], log: Path, ready: Callable[[], bool], *, within: float = 60
    ) -> None:
        self._argv = leashed(list(argv))
        self._log = log
        self._ready = ready
        self._within = within

    def start(self) -> float:
        """Starts it and waits until it is ready; returns the seconds that took."""
        began = time.monotonic()
        with self._log.open("ab") as log:
            self._child = subprocess.Popen(
                self._argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        while not self._ready():
            if self._child.poll() is not None or time.monotonic() - began > self._within:
                self.kill()
                tail = "\n".join(self._log.read_text(errors="replace").splitlines()[-20:])
                pytest.fail(f"{self._argv[4]} does not start:\n{tail}")
            time.sleep(_POLL_SECONDS)
        return time.monotonic() - began

    def stop(self, within: float = 20) -> int:
        """SIGTERM; returns the exit code. A server that does not go is killed, and that is a failure."""
        self._child.send_signal(signal.SIGTERM)
        try:
            return self._child.wait(within)
        except subprocess.TimeoutExpired:
            self.kill()
            pytest.fail(f"{self._argv[4]} did not stop on SIGTERM")

    def kill(self) -> None:
        """SIGKILL: what a power cut does, short of losing the page cache."""
        self._child.kill()
        self._child.wait()

    @contextlib.contextmanager
    def hanging(self) -> Iterator[None]:
        """It takes connections and answers nothing, for the length of the block."""
        self._child.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._child.send_signal(signal.SIGCONT)

    def cpu_seconds(self) -> float:
        """What it has computed until now, with the processes that it started."""
        ticks = 0
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):  # gone meanwhile
                fields = stat.read_text().rpartition(")")[2].split()
                if int(fields[3]) == self._child.pid:  # the session that it leads
                    ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def accepts(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0
