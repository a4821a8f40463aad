"""One process of a stack: what to run, and one run of it."""

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from outerloop.dev.stack.leash import leashed
from outerloop.dev.stack.output import Output
from outerloop.dev.stack.probes import Probe, started

_POLL_SECONDS = 0.05


class StackError(Exception):
    """The stack cannot go on. The message is for the person at the terminal."""


class ProcessDiedError(StackError):
    """A process ended that should have gone on, or ended badly."""

    def __init__(self, name: str, code: int, output: Output) -> None:
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        super().__init__(f"{name} {how}; the end of {output.path}:\n{output.tail()}")
        self.name = name
        self.code = code


class NotReadyError(StackError):
    """A process runs, but its condition did not come true in time."""


@dataclass(frozen=True)
class Process:
    """What to run.

    Attributes:
        name: unique in the stack; also the name of the log.
        argv: the command line.
        env: added to the environment of the supervisor.
        ready: the condition for others to build on it.
        ready_within: seconds until it counts as failed to start.
        once: it does its work and ends; it is ready when it has ended with exit code 0.
        restarts: how many unexpected ends are answered by starting it again, with growing pauses.
        stop_within: seconds between SIGTERM and SIGKILL.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    ready: Probe = started
    ready_within: float = 30.0
    once: bool = False
    restarts: int = 0
    stop_within: float = 10.0


class Run:
    """One run of a process, from `launch` to its end."""

    def __init__(self, process: Process, child: asyncio.subprocess.Process, output: Output) -> None:
        self.process = process
        self.output = output
        self.pid = child.pid
        self.exited = asyncio.create_task(child.wait())

    @classmethod
    async def launch(cls, process: Process, logs: Path) -> "Run":
        """Starts the process, in a session of its own, its output going to the end of its log."""
        with (logs / f"{process.name}.log").open("ab") as log:
            output = Output(Path(log.name), log.tell())
            child = await asyncio.create_subprocess_exec(
                *leashed(list(process.argv)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=asyncio.subprocess.STDOUT,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **process.env},
                start_new_session=True,
            )
        return cls(process, child, output)

    async def until_ready(self) -> None:
        """Waits for the process's condition.

        Raises:
            ProcessDiedError: it ended first.
            NotReadyError: the time is over.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.process.ready_within
        while not (self.process.once or await self.process.ready(self.output)):
            if await self._ends(within=_POLL_SECONDS):
                raise self.died()
            if loop.time() > deadline:
                raise self._late()
        if self.process.once and not await self._ends(within=self.process.ready_within):
            raise self._late()
        # A condition can be true of another program, such as the one that has the port.
        if self.exited.done() and not (self.process.once and self.exited.result() == 0):
            raise self.died()

    async def stop(self) -> None:
        """SIGTERM, then SIGKILL for what is left of its session when the time is over."""
        self._signal(signal.SIGTERM)
        try:
            await self._ends(within=self.process.stop_within)
        finally:
            self.kill()
        await self.exited

    def kill(self) -> None:
        """SIGKILL, now, to the process and to all that it started in its group."""
        self._signal(signal.SIGKILL)

    def died(self) -> ProcessDiedError:
        """The report of its end."""
        return ProcessDiedError(self.process.name, self.exited.result(), self.output)

    async def _ends(self, *, within: float) -> bool:
        done, _ = await asyncio.wait({self.exited}, timeout=within)
        return bool(done)

    def _late(self) -> NotReadyError:
        name, seconds = self.process.name, self.process.ready_within
        return NotReadyError(
            f"{name} was not ready within {seconds:g} s; the end of {self.output.path}:\n{self.output.tail()}"
        )

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):  # nothing of it is left
            os.killpg(self.pid, number)
