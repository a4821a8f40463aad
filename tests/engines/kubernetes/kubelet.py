"""A kubelet for tests: runs a pod's containers on this machine, one after the other, and says how they fare.

A container is a process in bubblewrap with what a container has: a process namespace in which it is the
first, an unprivileged user, a read-only root (this machine's files are the image), its volumes mounted where
the pod says. It is not isolated from this machine's network, has no limits of its own (tests say when the
kernel "kills" it), and of variables it gets PATH and those that Kubernetes sets in every pod.
"""

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import Callable
from pathlib import Path
from typing import Any

import outerloop
from engines.kubernetes.schema import amount
from outerloop.trial.isolation import find_bubblewrap

OWN = {"proc", "dev", "tmp", "sys", "run", "agent"}  # top directories that are a container's own
KILLED = 128 + signal.SIGKILL


class Kubelet:
    """Runs one pod; `publish` is called whenever its status has changed."""

    def __init__(self, pod: dict[str, Any], volumes: Path, publish: Callable[[], None]) -> None:
        self._pod = pod
        self._spec = pod["spec"]
        self._volumes = volumes
        self._publish = publish
        self.process: Process | None = None
        self._why = ""
        self.stopped: dict[str, Any] | None = None  # what the status says in the end, when a test ends it

    def set(self, **status: Any) -> None:
        """Changes the pod's status, and tells."""
        self._pod["status"] = {**self._pod["status"], **status}
        self._publish()

    async def run(self) -> None:
        """Runs the pod to its end."""
        self.set(conditions=[{"type": "PodScheduled", "status": "True"}])
        for container in self._spec["initContainers"]:
            code = await self._container(container, "initContainerStatuses")
            if code or self.stopped:
                self.set(**(self.stopped or {"phase": "Failed"}))
                return
        code = await self._container(self._spec["containers"][0], "containerStatuses")
        self.set(**(self.stopped or {"phase": "Failed" if code else "Succeeded"}))

    def stop(self, why: str = "Error", **status: Any) -> None:
        """Kills the container that runs; the pod's status gets `status`, the container's reason is `why`."""
        self._why = why
        self.stopped = {"phase": "Failed", **status}
        self.signal(signal.SIGKILL)

    def signal(self, number: int) -> None:
        """Sends a signal to the container that runs."""
        if self.process and self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)

    async def _container(self, container: dict[str, Any], statuses: str) -> int:
        name = container["name"]
        if self.stopped:
            return KILLED
        self.process = await asyncio.create_subprocess_exec(
            *self._bubblewrap(container), start_new_session=True, env={}
        )
        running = {"phase": "Running"} if statuses == "containerStatuses" else {}
        self.set(**{statuses: [{"name": name, "state": {"running": {}}}]}, **running)
        code = await self.process.wait()
        code = KILLED if code < 0 else code
        reason = self._why if self.stopped else "Error" if code else "Completed"
        ended = {"exitCode": code, "reason": reason}
        self._pod["status"][statuses] = [{"name": name, "state": {"terminated": ended}}]
        return code

    def _bubblewrap(self, container: dict[str, Any]) -> list[str]:
        user = self._spec["securityContext"]["runAsUser"]
        path = f"{sys.prefix}/bin:/usr/local/bin:/usr/bin:/bin"
        return [
            *(find_bubblewrap(), "--die-with-parent", "--as-pid-1", "--cap-drop", "ALL"),
            *("--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts"),
            *("--uid", str(user), "--gid", str(user), "--hostname", self._spec["hostname"]),
            *_image(),
            *("--proc", "/proc", "--dev", "/dev"),
            *(part for mount in container["volumeMounts"] for part in self._mount(mount)),
            *_code(),
            *("--remount-ro", "/", "--chdir", container["workingDir"]),
            *("--setenv", "PATH", path, "--setenv", "KUBERNETES_SERVICE_HOST", "10.0.0.1"),
            *("--", *container["command"]),
        ]

    def _mount(self, mount: dict[str, Any]) -> list[str]:
        """An emptyDir: of memory, which the container alone has, or a directory of this machine's."""
        (empty,) = [v["emptyDir"] for v in self._spec["volumes"] if v["name"] == mount["name"]]
        if empty.get("medium") == "Memory":
            return ["--size", str(int(amount(empty["sizeLimit"]))), "--tmpfs", mount["mountPath"]]
        directory = self._volumes / mount["name"]
        directory.mkdir(parents=True, exist_ok=True)
        return ["--ro-bind" if mount.get("readOnly") else "--bind", str(directory), mount["mountPath"]]


def _image() -> list[str]:
    """All of this machine's files but what a container has of its own, read-only."""
    arguments: list[str] = []
    for path in sorted(Path("/").iterdir()):
        if path.is_symlink():
            arguments += ["--symlink", str(path.readlink()), str(path)]
        elif path.name not in OWN and path.is_dir():
            arguments += ["--ro-bind", str(path), str(path)]
    return arguments


def _code() -> list[str]:
    """This environment and our code, where they lie in a folder that a container has of its own (as /tmp)."""
    needed = {Path(sys.prefix), Path(sys.base_prefix), Path(outerloop.__path__[0]).parent}
    hidden = [str(path) for path in needed if path.parts[1] in OWN]
    return [part for path in sorted(hidden) for part in ("--ro-bind", path, path)]
