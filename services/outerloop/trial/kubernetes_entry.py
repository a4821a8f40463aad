"""The first process in a trial's pod: fetches the agent's tree, or runs the command and tells of its end.

    python -m outerloop.trial.kubernetes_entry tree|run HOST PORT TOKEN

`tree` runs in the pod's init container, the only one that may write to /agent. `run` starts the command under
init.py, as in every sandbox, and relays its loopback port and its pipes to the worker; see kubernetes_wire.
Exit code 0 means that the worker knows how the command ended, WORKER_GONE that it could not be told.

The command runs as the same user. It cannot end or read this process: the kernel keeps signals of its own
namespace from a process 1 that has no handler for them, and this one is not dumpable. If it ends init.py,
or stops it, that is the command's end by signal 9.
"""

import asyncio
import contextlib
import ctypes
import os
import signal
import socket
import sys
import tarfile
import time
from asyncio import StreamReader, StreamWriter
from contextlib import AsyncExitStack, ExitStack
from functools import partial

from outerloop.runtime.errors import TrialNotRunError
from outerloop.trial.disk import filled
from outerloop.trial.isolation import AGENT_DIR, INIT, Program, interpreter, variables
from outerloop.trial.kubernetes_wire import LINE, WHOLE, Streams, hello, pump, requested, splice
from outerloop.trial.sandbox import Running, Sandbox
from outerloop.trial.spec import Spec

WORKER_GONE = 75  # EX_TEMPFAIL
_PATIENCE = 60.0  # seconds: a new pod's network may need a while until its policies let it out
_GRACE = 2.0  # seconds for what should happen at once
_NOT_DUMPABLE = (4, 0, 0, 0, 0)  # prctl(PR_SET_DUMPABLE, 0)


class InPod:
    """What is left to do where the pod isolates: the command's variables, and a namespace's limits."""

    namespace = True

    def program(self, spec: Spec, stack: ExitStack) -> Program:  # noqa: ARG002 - as every Isolation
        """The command in the tree that was fetched."""
        return Program(interpreter(spec, INIT), variables(spec, "/tmp"), spec.tree)  # noqa: S108 - the pod's


class Worker:
    """The worker that this pod belongs to."""

    def __init__(self, host: str, port: str, token: str) -> None:
        self._address = (host, int(port))
        self._token = token

    def first(self, channel: str) -> socket.socket:
        """The pod's first connection, once its network lets it through; blocks.

        Raises:
            OSError: when it does not.
        """
        last = time.monotonic() + _PATIENCE
        while True:
            try:
                connection = socket.create_connection(self._address, timeout=5)
            except OSError:
                if time.monotonic() > last:
                    raise
                time.sleep(0.25)
                continue
            connection.sendall(hello(self._token, channel))
            return connection

    async def open(self, channel: str) -> Streams:
        """A new channel.

        Raises:
            OSError: when the worker is away.
        """
        limit = LINE if channel == "control" else 2**16
        streams = await asyncio.open_connection(*self._address, limit=limit)
        streams[1].write(hello(self._token, channel))
        return streams

    async def relay(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Leads one connection of the command to the worker."""
        try:
            worker = await self.open("relay")
        except OSError:
            writer.transport.abort()
            return
        await splice((reader, writer), worker)


def fetch(worker: Worker) -> None:
    """Unpacks the agent's tree.

    Raises:
        EOFError: when it did not come to its end; to tarfile, any member may be the last.
    """
    with worker.first("tree") as connection, connection.makefile("rb") as stream:
        connection.settimeout(_PATIENCE)
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            archive.extractall(AGENT_DIR, filter="tar")
        if not stream.read().endswith(WHOLE):
            raise EOFError("the worker hung up before the tree's end")


async def run(worker: Worker) -> int:
    """Runs the command that the worker asks for; the exit code."""
    reader, writer = await worker.open("control")
    line = await reader.readline()
    if not line:
        return WORKER_GONE
    spec = requested(line)
    hung_up = asyncio.create_task(reader.readline())  # the worker says nothing more until the end
    # Held here to the end: a stream that nobody holds is closed.
    pipes = [await worker.open(name) for name in ("stdin", "stdout", "stderr")]
    # Said before it is so: what ends this pod from now on may be the command's doing.
    writer.write(b"started\n")
    try:
        async with Sandbox(InPod()).open(spec) as running:
            word = await _attend(worker, spec, running, pipes, hung_up)
    except TrialNotRunError as error:
        word = "broken " + " ".join(str(error).split())
    writer.write(word.encode() + b"\n")
    return 0 if await hung_up == b"ok\n" else WORKER_GONE


async def _attend(
    worker: Worker, spec: Spec, running: Running, pipes: list[Streams], hung_up: asyncio.Task[bytes]
) -> str:
    """Sees the command through to its end, or to that of the worker; what init.py said."""
    process, loop = running.process, asyncio.get_running_loop()
    assert process.stdin is not None and process.stdout is not None and process.stderr is not None  # noqa: PT018, S101 - Sandbox.open asks for all
    loop.add_signal_handler(signal.SIGCHLD, partial(_reap, process.pid))
    (stdin, _), (_, stdout), (_, stderr) = pipes
    work = (pump(stdin, process.stdin), pump(process.stdout, stdout), pump(process.stderr, stderr))
    pumps = [asyncio.create_task(each) for each in work]
    async with AsyncExitStack() as stack:
        if running.listener is not None:
            serving = asyncio.start_server(worker.relay, sock=running.listener.dup())
            stack.callback((await serving).close)
        ended = asyncio.create_task(loop.sock_recv(running.control, 64))
        full = asyncio.create_task(_full(spec))
        await asyncio.wait({ended, full, hung_up}, return_when=asyncio.FIRST_COMPLETED)
        word = ended.result().decode() if ended.done() else "disk" if full.done() else ""
        with contextlib.suppress(ProcessLookupError):  # there may be none
            os.kill(-1, signal.SIGKILL)  # all of this namespace but this process
        await asyncio.wait(pumps[1:], timeout=_GRACE)
    ended.cancel()
    full.cancel()
    return word or f"exit {-signal.SIGKILL}"


async def _full(spec: Spec) -> None:
    """Waits until a writable tree holds more than it may; for ever, if it is none."""
    if spec.writable:
        await filled(spec.tree, spec.limits.scratch)
    else:
        await asyncio.get_running_loop().create_future()


def _reap(ours: int) -> None:
    """Collects the orphans that process 1 inherits: as zombies they would count as processes.

    Ends everything when init.py, our child, was stopped: only the command can have done that, and nobody
    else watches its limits.
    """
    with contextlib.suppress(ChildProcessError, ProcessLookupError):  # there may be none
        if os.waitid(os.P_PID, ours, os.WSTOPPED | os.WNOHANG):
            os.kill(-1, signal.SIGKILL)
        while found := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            if found.si_pid == ours:  # asyncio's to collect
                return
            os.waitpid(found.si_pid, os.WNOHANG)


def main() -> int:
    """Does what the command line says; the exit code."""
    if os.getpid() != 1:  # what ends everything else here must not do so on a machine of others
        print("this is the first process of a pod, and runs nowhere else", file=sys.stderr)  # noqa: T201
        return 2
    what, *address = sys.argv[1:]
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # to process 1: not at all
    ctypes.CDLL(None).prctl(*_NOT_DUMPABLE)
    worker = Worker(*address)
    if what == "tree":
        fetch(worker)
        return 0
    return asyncio.run(run(worker))


if __name__ == "__main__":
    sys.exit(main())
