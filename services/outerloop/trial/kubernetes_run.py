"""One run of a command in a pod, from the pod's first word to its last; time is kept here."""

import asyncio
import contextlib
import signal
import time
from asyncio import StreamReader, StreamWriter, Task
from dataclasses import dataclass
from typing import Any

from outerloop.runtime.errors import TrialNotRunError
from outerloop.trial.kubernetes_front import Call
from outerloop.trial.kubernetes_pod import Ending
from outerloop.trial.kubernetes_watch import Watch
from outerloop.trial.kubernetes_wire import Streams, request
from outerloop.trial.output import Kept, drain
from outerloop.trial.sandbox import Excused
from outerloop.trial.spec import Completed, Spec

_GRACE = 2.0  # seconds for what should happen at once
_ANSWER = 20.0  # seconds for a pod, however busy, to hang up, and for the API to tell of its end
_TICK = 0.05  # seconds between two looks at the limit on time while it is put off


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A command that has started in its pod."""

    call: Call
    control: Streams
    stdin: StreamWriter
    stdout: StreamReader
    stderr: StreamReader
    watch: Watch
    began: float


async def started(call: Call, watch: Watch, spec: Spec, tree: str) -> Run:
    """Waits until the pod has started the command.

    Raises:
        TrialNotRunError: when it cannot, or not within the limit on that.
    """
    begun = asyncio.create_task(_begin(call, watch, request(spec, tree)))
    vain = asyncio.create_task(watch.hopeless())
    seconds = spec.limits.start_seconds
    try:
        await asyncio.wait({begun, vain}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if begun.done():
            return begun.result()
        why = vain.result() if vain.done() else f"after {seconds:g} s, {watch.progress()}"
        raise TrialNotRunError(f"the sandbox could not be started: {why}; {watch.look}")
    finally:
        await _stopped(begun, vain)


async def _begin(call: Call, watch: Watch, asked: bytes) -> Run:
    control = await call.channel("control")
    control[1].write(asked)
    if await control[0].readline() != b"started\n":
        await asyncio.get_running_loop().create_future()  # the pod has ended: the API says why
    stdin, stdout, stderr = [await call.channel(name) for name in ("stdin", "stdout", "stderr")]
    return Run(
        call=call,
        control=control,
        stdin=stdin[1],
        stdout=stdout[0],
        stderr=stderr[0],
        watch=watch,
        began=time.monotonic(),
    )


async def finish(run: Run, spec: Spec, stdin: bytes, excused: Excused) -> Completed:
    """Sees the command through to its end, or to its limit on time.

    Raises:
        TrialNotRunError: when its end is not its own doing.
    """
    out, err = Kept(spec.limits.output), Kept(spec.limits.output)
    reads = [asyncio.create_task(drain(run.stdout, out)), asyncio.create_task(drain(run.stderr, err))]
    fed = asyncio.create_task(_feed(run.stdin, stdin))
    heard = asyncio.create_task(_heard(run))
    try:
        ending = await _ending(run, heard, spec.limits.seconds, excused)
        seconds = time.monotonic() - run.began
        if not ending.trouble:
            await asyncio.wait(reads, timeout=_GRACE)
    finally:
        await _stopped(*reads, fed, heard)
    if ending.trouble:
        raise TrialNotRunError(f"{ending.trouble}; {run.watch.look}")
    stderr = err.bytes() + ending.said.encode()
    return Completed(ending.exit_code, out.bytes(), stderr, seconds, ending.stopped, cut=out.cut)


async def _ending(run: Run, heard: Task[Ending], limit: float, excused: Excused) -> Ending:
    """How it ended; what is not over in time is ended."""
    while not heard.done():
        left = run.began + limit + excused() - time.monotonic()
        if left <= 0:
            break
        await asyncio.wait({heard}, timeout=min(max(left, _TICK), _GRACE))
    if heard.done():
        return heard.result()
    await _stopped(heard)
    if await run.call.hang_up(_ANSWER):
        return Ending(stopped="time")
    return Ending(f"the pod no longer answers, and its node may be lost: {run.watch.progress()}")


async def _heard(run: Run) -> Ending:
    """How the command ended, from its pod, or from the API when the pod can no longer say it."""
    reader, writer = run.control
    line, ended = asyncio.create_task(reader.readline()), asyncio.create_task(run.watch.ended())
    try:
        await asyncio.wait({line, ended}, return_when=asyncio.FIRST_COMPLETED)
        if line.done() and (ending := _said(line)):
            with contextlib.suppress(OSError):
                writer.write(b"ok\n")
            return ending
        await asyncio.wait({ended}, timeout=_ANSWER)
        if ended.done():
            return ended.result()
    finally:
        await _stopped(line, ended)
    return Ending(f"the connection to the pod was lost: {run.watch.progress()}")


def _said(line: Task[bytes]) -> Ending | None:
    """What the pod's last word means; None when it has said nothing."""
    if line.exception():
        return None
    word, _, value = line.result().decode(errors="replace").strip().partition(" ")
    if word == "exit":
        return Ending(exit_code=int(value))
    if word in {"memory", "processes", "disk"}:
        return Ending(exit_code=-signal.SIGKILL, stopped=word)  # type: ignore[arg-type]  # narrowed by the set
    return Ending(value) if word == "broken" else None


async def _stopped(*tasks: Task[Any]) -> None:
    """Cancels, and waits for it: two may not read from one connection."""
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def _feed(writer: StreamWriter, stdin: bytes) -> None:
    with contextlib.suppress(OSError):  # a command need not read its input
        writer.write(stdin)
        await writer.drain()
        writer.write_eof()
