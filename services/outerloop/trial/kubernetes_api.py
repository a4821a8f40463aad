"""The few calls of the Kubernetes API that trials need, as the pod's service account.

Its token and the API's certificates are files that the kubelet replaces now and then: each call reads them.
Rights needed in the namespace: create, get and delete Jobs; watch pods.
"""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp

from outerloop.runtime.errors import TrialNotRunError
from outerloop.trial.kubernetes_job import RUN
from outerloop.trial.spec import MIB

_TIMEOUT = aiohttp.ClientTimeout(total=15)
_WATCHED = 300  # seconds, after which the API ends a watch and we begin another
_AGAIN = 0.2  # seconds between two attempts to take the place of an earlier Job


class ApiError(TrialNotRunError):
    """What the API would not do; `status` is HTTP's, 0 when it could not be asked."""

    def __init__(self, sentence: str, status: int = 0) -> None:
        super().__init__(sentence)
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """Where the API is, and what we are to it. `account` is the directory with `token` and `ca.crt`."""

    url: str
    account: Path
    namespace: str


class Api:
    """The API, over one HTTP session."""

    def __init__(self, cluster: Cluster, http: aiohttp.ClientSession) -> None:
        self._cluster = cluster
        self._http = http
        self._jobs = f"/apis/batch/v1/namespaces/{cluster.namespace}/jobs"

    async def create(self, manifest: dict[str, Any]) -> None:
        """Creates a Job, in the place of an earlier one of that name.

        Raises:
            ApiError: when the API is away, or does not want it.
        """
        while True:
            try:
                await self._call("POST", f"{self._jobs}?fieldValidation=Strict", json=manifest)
            except ApiError as error:
                if error.status != HTTPStatus.CONFLICT:
                    raise
            else:
                return
            await self.delete(manifest["metadata"]["name"])
            await asyncio.sleep(_AGAIN)

    async def delete(self, name: str) -> None:
        """Deletes a Job and its pods, if it is there.

        Raises:
            ApiError: when the API is away, or refuses.
        """
        try:
            await self._call("DELETE", f"{self._jobs}/{name}", json={"propagationPolicy": "Background"})
        except ApiError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise

    async def job(self, name: str) -> dict[str, Any]:
        """A Job as it is now.

        Raises:
            ApiError: when the API is away, or there is none.
        """
        return await self._call("GET", f"{self._jobs}/{name}")

    async def pods(self, run: str) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """What happens to the pods of one run: (ADDED, MODIFIED or DELETED, the pod), for some minutes.

        Raises:
            ApiError: when the API is away, or refuses.
        """
        path = f"/api/v1/namespaces/{self._cluster.namespace}/pods"
        query = {"watch": "true", "labelSelector": f"{RUN}={run}", "timeoutSeconds": str(_WATCHED)}
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=15, sock_read=_WATCHED + 30)
        try:
            async with self._http.get(
                self._cluster.url + path, params=query, timeout=timeout, **self._identity()
            ) as response:
                await _refuse(response, path)
                async for line in response.content:
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        raise ApiError(f"the watch of {path} ended: {event['object'].get('message')}")
                    yield event["type"], event["object"]
        except (OSError, aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise self._away(error) from error

    async def _call(self, method: str, path: str, **body: Any) -> dict[str, Any]:
        try:
            async with self._http.request(
                method, self._cluster.url + path, timeout=_TIMEOUT, **self._identity(), **body
            ) as response:
                await _refuse(response, path)
                answer: dict[str, Any] = await response.json()
                return answer
        except (OSError, aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise self._away(error) from error

    def _identity(self) -> dict[str, Any]:
        account = self._cluster.account
        token = (account / "token").read_text().strip()
        secure = self._cluster.url.startswith("https:")
        trust = {"ssl": _trusting((account / "ca.crt").read_text())} if secure else {}
        return {"headers": {"Authorization": f"Bearer {token}"}, **trust}

    def _away(self, error: Exception) -> ApiError:
        what = f"{type(error).__name__}: {error}"
        return ApiError(f"the Kubernetes API at {self._cluster.url} could not be asked: {what}")


def session() -> aiohttp.ClientSession:
    """An HTTP session that takes an object of the API as one line."""
    return aiohttp.ClientSession(read_bufsize=2 * MIB)


async def _refuse(response: aiohttp.ClientResponse, path: str) -> None:
    if response.ok:
        return
    text = await response.text()
    try:
        said = json.loads(text).get("message") or text
    except (ValueError, AttributeError):
        said = text
    what = f"the Kubernetes API refused {response.method} {path}: {response.status} {said[:400]}"
    raise ApiError(what, response.status)


@lru_cache(maxsize=2)
def _trusting(certificates: str) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=certificates)
