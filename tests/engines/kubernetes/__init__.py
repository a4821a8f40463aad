"""A Kubernetes API for tests: Jobs and their pods over real HTTP, with a kubelet that runs the pods here.

It is as strict as we know to make it: identity and rights (the verbs that trials are to have, no others), the
manifest (see schema), status objects for errors, watches that begin with what is there. It is not Kubernetes:
no etcd, no versions or conflicts of objects, no admission beyond the schema, no scheduler, no garbage
collector (ttlSecondsAfterFinished is checked and never acted on), no network policies, and its pods' statuses
are written from the documentation and the kubelet's source, not by a kubelet. Tests can make it refuse calls,
hang up its watches, never schedule, fail the pull of the image, and end a pod in each way that pods end.
"""

import asyncio
import contextlib
import json
import ssl
import tempfile
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from engines.kubernetes.kubelet import Kubelet
from engines.kubernetes.schema import refusal

NAMESPACE = "trials"
TOKEN = "token-of-the-service-account"
JOBS = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs"
RIGHTS = {("POST", "jobs"), ("GET", "jobs"), ("DELETE", "jobs"), ("WATCH", "pods")}
DISRUPTED = {"type": "DisruptionTarget", "status": "True"}


class Kubernetes:
    """The API at `url`. `fault`: "", "unschedulable", "pull" or "no pod"; `refused`: methods that fail."""

    def __init__(self) -> None:
        self.url = ""
        self.fault = ""
        self.refused: set[str] = set()
        self.jobs: dict[str, dict[str, Any]] = {}
        self.created: list[dict[str, Any]] = []
        self._pods: dict[str, tuple[dict[str, Any], Kubelet]] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._watches: dict[asyncio.Queue[Any], str] = {}

    @asynccontextmanager
    async def serving(self, *, tls: ssl.SSLContext | None = None) -> AsyncIterator["Kubernetes"]:
        """Serves within; whatever pods still run are killed at the end."""
        application = web.Application(middlewares=[self._admit])
        application.router.add_post(JOBS, self._create)
        application.router.add_get(JOBS + "/{name}", self._get)
        application.router.add_delete(JOBS + "/{name}", self._delete)
        application.router.add_get(f"/api/v1/namespaces/{NAMESPACE}/pods", self._watch)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
        await site.start()
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{runner.addresses[0][1]}"
        with tempfile.TemporaryDirectory(prefix="volumes-", ignore_cleanup_errors=True) as self._volumes:
            try:
                yield self
            finally:
                for name in list(self._running):
                    await self._end(name)
                self.hang_up()
                await runner.cleanup()

    # What tests do to pods

    def stop(self, why: str = "Error", **status: Any) -> None:
        """Ends every pod so: `why` its container ended, and its status."""
        for _, kubelet in self._pods.values():
            kubelet.stop(why, **status)

    def freeze(self, number: int) -> None:
        """Sends a signal to every pod's container: stopped, it is like that of a node that is lost."""
        for _, kubelet in self._pods.values():
            kubelet.signal(number)

    async def delete_pods(self) -> None:
        """Deletes every pod, as `kubectl delete pod`."""
        for name in list(self._pods):
            await self._end(name)

    async def overdue(self) -> None:
        """Every Job comes over its deadline: its pod is deleted, then it says so."""
        for name in list(self._pods):
            await self._end(name)
            failed = {"type": "Failed", "status": "True", "reason": "DeadlineExceeded"}
            self.jobs[name]["status"] = {"conditions": [failed]}

    def hang_up(self) -> None:
        """Ends every watch, as a restarted API server does."""
        for queue in self._watches:
            queue.put_nowait(None)

    # The API

    @web.middleware
    async def _admit(self, request: web.Request, handler: Any) -> web.StreamResponse:
        watch = request.query.get("watch") == "true"
        verb = "WATCH" if watch else request.method
        resource = "pods" if request.path.endswith("/pods") else "jobs"
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return _status(401, "Unauthorized")
        if request.method in self.refused:
            return _status(500, "etcdserver: request timed out")
        if (verb, resource) not in RIGHTS:
            return _status(403, f"{resource} is forbidden: User cannot {verb.lower()} resource {resource}")
        try:
            return await handler(request)  # type: ignore[no-any-return]
        except web.HTTPNotFound:
            return _status(404, "the server could not find the requested resource")

    async def _create(self, request: web.Request) -> web.Response:
        manifest = await request.json()
        if reason := refusal(manifest):
            return _status(422, reason)
        name = manifest["metadata"]["name"]
        if name in self.jobs:
            return _status(409, f'jobs.batch "{name}" already exists')
        self.jobs[name] = manifest | {"status": {}}
        self.created.append(manifest)
        if self.fault != "no pod":
            self._running[name] = asyncio.create_task(self._pod(name))
        return web.json_response(self.jobs[name], status=201)

    async def _get(self, request: web.Request) -> web.Response:
        job = self.jobs.get(request.match_info["name"])
        return web.json_response(job) if job else _status(404, "jobs.batch not found")

    async def _delete(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if (await request.json())["propagationPolicy"] not in {"Background", "Foreground"}:
            return _status(422, "pods would be orphaned")
        if self.jobs.pop(name, None) is None:
            return _status(404, "jobs.batch not found")
        await self._end(name)
        return _status(200, "")

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "application/json"})
        await response.prepare(request)
        queue: asyncio.Queue[Any] = asyncio.Queue()
        selector = request.query["labelSelector"]
        for pod, _ in self._pods.values():
            if _selected(pod, selector):
                queue.put_nowait(_event("ADDED", pod))
        self._watches[queue] = selector
        with contextlib.suppress(ConnectionError):
            while event := await queue.get():
                await response.write(event)
        del self._watches[queue]
        return response

    # The controller of Jobs, and of their pods

    async def _pod(self, name: str) -> None:
        template = self.jobs[name]["spec"]["template"]
        metadata = {"name": f"{name}-x7k2p", "labels": {**template["metadata"]["labels"], "job-name": name}}
        pod = {"metadata": metadata, "spec": template["spec"], "status": {"phase": "Pending"}}
        volumes = Path(self._volumes) / uuid.uuid4().hex
        kubelet = Kubelet(pod, volumes, lambda: self._publish("MODIFIED", pod))
        self._pods[name] = (pod, kubelet)
        self._publish("ADDED", pod)
        if self.fault == "unschedulable":
            message = "0/3 nodes are available: 3 Insufficient memory."
            unfit = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
            kubelet.set(conditions=[unfit])
        elif self.fault == "pull":
            for reason in ("ErrImagePull", "ImagePullBackOff"):
                waiting = {"waiting": {"reason": reason, "message": "not found"}}
                kubelet.set(initContainerStatuses=[{"name": "tree", "state": waiting}])
        else:
            await kubelet.run()

    async def _end(self, name: str) -> None:
        """Kills and deletes the pod of a Job."""
        if found := self._pods.pop(name, None):
            pod, kubelet = found
            pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
            kubelet.stop()
            await self._running.pop(name)
            self._publish("DELETED", pod)

    def _publish(self, kind: str, pod: dict[str, Any]) -> None:
        for queue, selector in self._watches.items():
            if _selected(pod, selector):
                queue.put_nowait(_event(kind, pod))


def _selected(pod: dict[str, Any], selector: str) -> bool:
    key, _, value = selector.partition("=")
    return bool(pod["metadata"]["labels"].get(key) == value)


def _event(kind: str, pod: dict[str, Any]) -> bytes:
    return json.dumps({"type": kind, "object": pod}).encode() + b"\n"


def _status(code: int, message: str) -> web.Response:
    outcome = "Success" if code == 200 else "Failure"
    body = {"kind": "Status", "apiVersion": "v1", "status": outcome, "message": message, "code": code}
    return web.json_response(body, status=code)
