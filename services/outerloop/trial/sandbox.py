"""Sandbox: runs a command in isolation, bounded in time, memory, processes, files and output.

However it ends, nothing of it is left running when `run` returns or `open` is left. A sandbox that could not
be set up, or that was killed from outside, is TrialNotRunError; whatever the command itself does is data, in
Completed.
"""

import asyncio
import contextlib
import os
import signal
import socket
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from dataclasses import dataclass

from outerloop.runtime.errors import TrialNotRunError
from outerloop.trial.disk import filled
from outerloop.trial.isolation import Isolation, arguments
from outerloop.trial.output import Kept, drain
from outerloop.trial.spec import Completed, Spec, Stop

Serve = Callable[[socket.socket], AbstractAsyncContextManager[None]]
Excused = Callable[[], float]
LINE = 8 * 1024 * 1024  # bytes that one line of an opened command's output may have
_WORD = 64
_GRACE = 2.0  # seconds for what should happen at once
_TICK = 0.05  # seconds between two looks at the limit on time while it is put off


@dataclass(frozen=True, slots=True)
class Running:
    """A started command; `listener` is the loopback port's socket when the Spec has URLs."""

    process: Process
    control: socket.socket
    listener: socket.socket | None
    started: float


class Sandbox:
    """Runs commands under one kind of isolation."""

    def __init__(self, isolation: Isolation) -> None:
        self._isolation = isolation

    async def run(
        self, spec: Spec, stdin: bytes = b"", serve: Serve | None = None, excused: Excused | None = None
    ) -> Completed:
        """Runs the command to its end, or to its limit on time.

        `serve` is entered with the loopback port's socket before the command can have connected in vain,
        and left after the command's end. `excused` says how many of the seconds so far were not the
        command's: the limit does not count them.

        Raises:
            TrialNotRunError: when the sandbox could not be set up, or was killed from outside.
        """
        async with self.open(spec) as running, contextlib.AsyncExitStack() as stack:
            if serve is not None and running.listener is not None:
                await stack.enter_async_context(serve(running.listener))
            return await _finish(running, spec, stdin, excused or (lambda: 0.0))

    @asynccontextmanager
    async def open(self, spec: Spec) -> AsyncIterator[Running]:
        """A started command, to talk with over its stdin and stdout; killed on leaving.

        Raises:
            TrialNotRunError: when the sandbox could not be set up.
        """
        ours, theirs = socket.socketpair()
        with ExitStack() as stack, ours:
            with theirs:
                program = self._isolation.program(spec, stack)
                started = time.monotonic()
                descriptor = theirs.fileno()
                try:
                    process = await asyncio.create_subprocess_exec(
                        *program.argv,
                        *arguments(
                            spec, descriptor, namespace=self._isolation.namespace, capped=program.capped
                        ),
                        stdin=PIPE,
                        stdout=PIPE,
                        stderr=PIPE,
                        limit=LINE,
                        env=program.env,
                        cwd=program.cwd,
                        pass_fds=(descriptor, *program.descriptors),
                        start_new_session=True,
                    )
                except OSError as error:
                    raise TrialNotRunError(f"the sandbox could not be started: {error}") from error
            try:
                listener = await _ready(ours, process, spec.limits.start_seconds)
                with listener or contextlib.nullcontext():
                    yield Running(process, ours, listener, started)
            finally:
                await _end(process, ours)


async def _ready(control: socket.socket, process: Process, seconds: float) -> socket.socket | None:
    """Waits for init.py's first byte, and the socket that may come with it."""
    control.setblocking(False)  # noqa: FBT003 - the method takes it by position
    readable = asyncio.Event()
    asyncio.get_running_loop().add_reader(control, readable.set)
    try:
        async with asyncio.timeout(seconds):
            await readable.wait()
    except TimeoutError as error:
        raise TrialNotRunError(f"the sandbox did not start within {seconds:g} s") from error
    finally:
        asyncio.get_running_loop().remove_reader(control)
    word, descriptors, _, _ = socket.recv_fds(control, 1, 1)
    if not word:
        assert process.stderr is not None  # noqa: S101 - asked for above
        said = (await process.stderr.read(4096)).decode(errors="replace").strip()
        raise TrialNotRunError(f"the sandbox could not be started: {said or 'it says nothing'}")
    return socket.socket(fileno=descriptors[0]) if descriptors else None


async def _finish(running: Running, spec: Spec, stdin: bytes, excused: Excused) -> Completed:
    process = running.process
    assert process.stdout is not None  # noqa: S101 - asked for in open
    assert process.stderr is not None  # noqa: S101 - as above
    out, err = Kept(spec.limits.output), Kept(spec.limits.output)
    work = (_feed(process, stdin), drain(process.stdout, out), drain(process.stderr, err))
    pipes = [asyncio.create_task(each) for each in work]
    full = asyncio.create_task(_stop_when_full(running.control, spec)) if spec.writable else None
    stopped: Stop = ""
    try:
        if not await _ended(process, spec.limits.seconds, excused):
            stopped = "time"
            await _end(process, running.control)
        elif full is not None and full.done():
            stopped = "disk"
        seconds = time.monotonic() - running.started
        if (told := _report(running.control)) is None:  # unconfined, nobody has ended what it started
            _kill(process)
        # Pipes end when nothing holds them; unconfined, something that got away may do so for ever.
        await asyncio.wait(pipes, timeout=_GRACE)
    finally:
        for task in (*pipes, full):
            if task is not None:
                task.cancel()
    code = process.returncode or 0
    # A signal to bubblewrap itself: nothing within reaches it. What ends init.py from within is a code > 0.
    if told is None and code < 0 and not stopped:
        raise TrialNotRunError(f"the sandbox was killed from outside, by signal {-code}")
    code, limit = told or (code, "")
    return Completed(code, out.bytes(), err.bytes(), seconds, stopped or limit, cut=out.cut)


async def _stop_when_full(control: socket.socket, spec: Spec) -> None:
    await filled(spec.tree, spec.limits.scratch)
    with contextlib.suppress(OSError):
        control.shutdown(socket.SHUT_RDWR)  # init.py ends everything, then itself


async def _ended(process: Process, seconds: float, excused: Excused) -> bool:
    """Waits for the process's end; False once `seconds` have passed, those that are excused not counted."""
    started = time.monotonic()
    # asyncio waits for the pipes too, and what outlives a killed init.py may hold them: so look now and then.
    while process.returncode is None:
        left = started + seconds + excused() - time.monotonic()
        if left <= 0:
            return False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(max(left, _TICK), _GRACE)):
                await process.wait()
    return True


async def _feed(process: Process, stdin: bytes) -> None:
    assert process.stdin is not None  # noqa: S101 - asked for in open
    with contextlib.suppress(ConnectionError):  # a command need not read its input
        process.stdin.write(stdin)
        await process.stdin.drain()
    process.stdin.close()


def _report(control: socket.socket) -> tuple[int, Stop] | None:
    """What init.py said at its end: exit code and limit; None when it was ended before it could say so."""
    try:
        word, _, value = control.recv(_WORD).decode(errors="replace").partition(" ")
    except OSError:
        return None
    if word == "exit":
        return int(value), ""
    if word in {"memory", "processes"}:
        return -signal.SIGKILL, word  # type: ignore[return-value]  # narrowed by the set
    return None


async def _end(process: Process, control: socket.socket) -> None:
    """Ends whatever still runs, and waits for it.

    Closing the control socket makes init.py end, which kills what it started, and in a namespace the kernel
    does so too; a sandbox that does not is killed together with its init.
    """
    if process.returncode is not None:
        return
    with contextlib.suppress(OSError):
        control.shutdown(socket.SHUT_RDWR)
    try:
        async with asyncio.timeout(_GRACE):
            await process.wait()
    except TimeoutError:
        _kill(process)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GRACE):
                await process.wait()


def _kill(process: Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
