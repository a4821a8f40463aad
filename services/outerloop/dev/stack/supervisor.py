"""The supervisor: stages of processes, started in order, watched, and stopped in reverse order."""

import asyncio
import signal
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from outerloop.dev.stack.folder import Folder
from outerloop.dev.stack.process import Process, ProcessDiedError, Run, StackError

_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.5, 10.0


class Stack:
    """Processes on one directory, as an async context manager: none of them outlives the block.

    Entering it locks the directory and empties it, unless `keep`. The processes of a stage start together,
    once all of the stage before are ready. SIGTERM ends the block as Ctrl-C does, with exit code 143 after
    all is stopped.

    Args:
        path: the directory.
        stages: the processes, in the order in which they are started.
        keep: go on with the data and logs of the last time.
        report: is told, in a line, what happened on its own: an end, a restart.
    """

    def __init__(
        self,
        path: Path,
        stages: Sequence[Sequence[Process]],
        *,
        keep: bool = False,
        report: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._folder = Folder(path)
        self._stages = stages
        self._processes = {process.name: process for stage in stages for process in stage}
        self._keep = keep
        self._report = report
        self._runs: dict[str, Run] = {}
        self._watchers: dict[str, asyncio.Task[None]] = {}
        self._revivals: Counter[str] = Counter()
        self._terminated = False

    @property
    def logs(self) -> Path:
        """The directory with a NAME.log for each process."""
        return self._folder.logs

    def pid(self, name: str) -> int:
        """The process id of the current run; KeyError if it does not run."""
        return self._runs[name].pid

    async def __aenter__(self) -> Self:
        self._folder.claim(keep=self._keep)
        self._failure: asyncio.Future[StackError] = asyncio.get_running_loop().create_future()
        self._on_sigterm(asyncio.current_task())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        try:
            await self._stop_all()
        finally:
            self._on_sigterm(None)
            self._folder.release()
        if self._terminated and kind is asyncio.CancelledError:
            raise SystemExit(128 + signal.SIGTERM)

    async def start(self, *names: str) -> None:
        """Starts the named processes together, or all of them stage by stage, and waits until they are ready.

        Raises:
            StackError: one of them died first, or was not ready in time.
        """
        for stage in [[self._processes[name] for name in names]] if names else self._stages:
            await _together(self._launch(process) for process in stage)

    async def stop(self, *names: str) -> None:
        """Stops the named processes together: SIGTERM, and SIGKILL for those that take too long."""
        await _together(run.stop() for run in self._release(names))

    async def kill(self, name: str) -> None:
        """SIGKILL, for tests of what a crash does. It stays dead until started again."""
        for run in self._release([name]):
            run.kill()
            await run.exited

    async def restart(self, name: str) -> None:
        """Stops the process if it runs, and starts it again."""
        await self.stop(name)
        await self.start(name)

    def check(self) -> None:
        """Raises the ProcessDiedError of a process that has died for good."""
        if self._failure.done():
            raise self._failure.result()

    async def wait(self) -> None:
        """Waits for ever; raises as `check` does when a process dies for good."""
        raise await asyncio.shield(self._failure)

    async def _launch(self, process: Process) -> None:
        if process.name in self._runs:
            raise StackError(f"{process.name} runs already")
        run = self._runs[process.name] = await Run.launch(process, self._folder.logs)
        try:
            await run.until_ready()
        except StackError:
            del self._runs[process.name]
            run.kill()
            await run.exited
            raise
        if process.once:
            del self._runs[process.name]
        else:
            self._watchers[process.name] = asyncio.create_task(self._watch(run))

    async def _watch(self, run: Run) -> None:
        """Waits for an end that nobody asked for, and answers it as the process's `restarts` say."""
        await asyncio.wait(
            {run.exited}
        )  # and not the task itself, which a cancelled watcher would take along
        run.kill()  # what it started must not go on without it
        process, error = run.process, run.died()
        del self._runs[process.name]
        while self._revivals[process.name] < process.restarts:
            pause = min(_FIRST_PAUSE_SECONDS * 2 ** self._revivals[process.name], _LONGEST_PAUSE_SECONDS)
            self._revivals[process.name] += 1
            self._report(f"{error}\nstarting {process.name} again in {pause:g} s")
            await asyncio.sleep(pause)
            try:
                await self._launch(process)
            except ProcessDiedError as again:
                error = again
            else:
                return
        self._report(str(error))
        if not self._failure.done():
            self._failure.set_result(error)

    def _release(self, names: Iterable[str]) -> list[Run]:
        """The runs behind the names, no longer watched."""
        for name in names:
            if name in self._watchers:
                self._watchers.pop(name).cancel()
        return [self._runs.pop(name) for name in names if name in self._runs]

    async def _stop_all(self) -> None:
        runs = list(self._runs.values())
        try:
            for stage in reversed(self._stages):
                await self.stop(*(process.name for process in stage))
        finally:
            for run in runs:  # a second signal may have cut the orderly stop short
                run.kill()

    def _on_sigterm(self, task: asyncio.Task[object] | None) -> None:
        """Lets SIGTERM end `task`, or restores the default. Only a main thread receives signals."""
        if threading.current_thread() is not threading.main_thread():
            return
        loop = asyncio.get_running_loop()
        if task is None:
            loop.remove_signal_handler(signal.SIGTERM)
            return

        def terminate() -> None:
            self._terminated = True
            task.cancel()

        loop.add_signal_handler(signal.SIGTERM, terminate)


async def _together(steps: Iterable[Awaitable[None]]) -> None:
    """Runs the steps side by side to their ends, then raises the first error: nothing is left half done."""
    for outcome in await asyncio.gather(*steps, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome
