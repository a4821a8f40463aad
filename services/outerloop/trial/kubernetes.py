"""KubernetesSandbox: runs commands as Kubernetes Jobs, each in a pod under a runtime class (gVisor, Kata).

The pod isolates, and the worker serves: a pod fetches the agent's tree from the worker that asked for it,
runs the command under the same init.py as every sandbox, and leads its pipes and its loopback port back to
the worker (kubernetes_front, kubernetes_entry). The worker keeps the time and bounds the output.

Unlike under bubblewrap, /dev/shm is what the runtime gives, what a command writes to a writable tree stays in
the pod, and the Python environment must be in the image, under the path that it has here.
"""

import asyncio
import logging
import socket
import tarfile
import tempfile
from asyncio import StreamReader, StreamWriter
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from outerloop.runtime.errors import TrialNotRunError
from outerloop.trial.isolation import AGENT_DIR
from outerloop.trial.kubernetes_api import Api, ApiError, Cluster, session
from outerloop.trial.kubernetes_front import Call, Front
from outerloop.trial.kubernetes_job import RUN, Door, Pods, job
from outerloop.trial.kubernetes_run import Run, finish, started
from outerloop.trial.kubernetes_watch import Watch
from outerloop.trial.sandbox import LINE, Excused, Running, Sandbox, Serve
from outerloop.trial.spec import Completed, Spec

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Pipes:
    """What an opened command's user needs of a Process."""

    stdin: StreamWriter
    stdout: StreamReader
    stderr: StreamReader


class KubernetesSandbox(Sandbox):
    """Runs commands in pods of `cluster`, which find this worker at `host` and `port` (0: any free one)."""

    def __init__(self, cluster: Cluster, pods: Pods, host: str, port: int) -> None:
        self._cluster = cluster
        self._pods = pods
        self._host = host
        self._front = Front(port)

    async def run(
        self, spec: Spec, stdin: bytes = b"", serve: Serve | None = None, excused: Excused | None = None
    ) -> Completed:
        """Runs the command to its end, or to its limit on time; as Sandbox.run.

        Raises:
            TrialNotRunError: when there was no pod, or its end was not the command's doing.
        """
        async with self._started(spec) as (run, loopback), AsyncExitStack() as stack:
            if serve is not None and loopback is not None:
                await stack.enter_async_context(serve(loopback))
            return await finish(run, spec, stdin, excused or (lambda: 0.0))

    @asynccontextmanager
    async def open(self, spec: Spec) -> AsyncIterator[Running]:
        """A started command, to talk with over its stdin and stdout; ended on leaving.

        Raises:
            TrialNotRunError: when it could not be started.
        """
        async with self._started(spec) as (run, loopback):
            control: socket.socket = run.control[1].get_extra_info("socket")
            run.stdout._limit = LINE  # type: ignore[attr-defined]  # noqa: SLF001 - all else must not hold so much
            pipes = cast("Process", _Pipes(run.stdin, run.stdout, run.stderr))
            yield Running(pipes, control, loopback, run.began)

    @asynccontextmanager
    async def _started(self, spec: Spec) -> AsyncIterator[tuple[Run, socket.socket | None]]:
        """The command in its pod, and the socket on which to serve its loopback port."""
        async with AsyncExitStack() as stack:
            tree = cast("BinaryIO", stack.enter_context(tempfile.TemporaryFile()))  # noqa: SIM115 - the stack is its context
            loopback = stack.enter_context(socket.create_server(("127.0.0.1", 0))) if spec.urls else None
            call = Call(tree, loopback)
            try:
                await asyncio.to_thread(_pack, spec.tree, tree)
                host = await _address(self._host)
                port = await stack.enter_async_context(self._front.admitted(call))
            except OSError as error:
                raise TrialNotRunError(f"the sandbox could not be started: {error}") from error
            api = Api(self._cluster, await stack.enter_async_context(session()))
            door = Door(host=host, port=port, token=call.token, tree_bytes=tree.tell())
            watch = await self._created(spec, job(spec, self._pods, door), api, stack)
            stack.push_async_callback(call.hang_up)
            yield await started(call, watch, spec, AGENT_DIR), loopback

    async def _created(self, spec: Spec, manifest: dict[str, Any], api: Api, stack: AsyncExitStack) -> Watch:
        """Creates the Job, which the stack deletes."""
        metadata = manifest["metadata"]
        stack.push_async_callback(_delete, api, metadata["name"])
        try:
            async with asyncio.timeout(spec.limits.start_seconds):
                await api.create(manifest)
        except (ApiError, TimeoutError) as error:
            why = str(error) or f"Job {metadata['name']} could not be put in the place of an earlier one"
            raise TrialNotRunError(f"the sandbox could not be started: {why}") from error
        watch = Watch(api, metadata["name"], metadata["labels"][RUN], self._cluster.namespace)
        await stack.enter_async_context(watch.following())
        return watch


def _pack(tree: Path, into: BinaryIO) -> None:
    """Writes all that is in the tree as a tar file; `into` is at its end then."""
    with tarfile.open(fileobj=into, mode="w") as archive:
        for path in sorted(tree.iterdir()):
            archive.add(path, arcname=path.name)


async def _address(host: str) -> str:
    """The address of `host`: pods look up no names.

    Raises:
        OSError: when it has none.
    """
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise OSError(f"OUTERLOOP_TRIAL_HOST {host!r}: {error}") from error
    return str(found[0][4][0])


async def _delete(api: Api, name: str) -> None:
    try:
        await api.delete(name)
    except ApiError as error:
        log.warning("the Job %s is left to its deadline: %s", name, error)
