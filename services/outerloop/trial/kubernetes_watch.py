"""Watch: what the API says of one run's pod, kept up to date while the run is on.

The API may be away for a while: a run goes on without it, and needs it only when the pod itself says nothing.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from outerloop.trial.kubernetes_api import Api, ApiError
from outerloop.trial.kubernetes_pod import Ending, Pod, ending_of, hopeless, progress

_PAUSE = 1.0  # seconds between two watches
_LOOKS = 5  # at a Job whose pod was deleted: its condition may be written after that
_BETWEEN = 0.2
T = TypeVar("T")


class Watch:
    """Follows the pod of the Job `name`, which has the label `run`. `look` says where people see more."""

    def __init__(self, api: Api, name: str, run: str, namespace: str) -> None:
        self._api = api
        self._name = name
        self._run = run
        self._pod: Pod | None = None
        self._ending: Ending | None = None
        self._trouble = ""  # with the API
        self._changed = asyncio.Event()
        self.look = f"see `kubectl -n {namespace} get events | grep {name}`"

    @asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        """Keeps up to date within."""
        task = asyncio.create_task(self._follow())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})

    async def ended(self) -> Ending:
        """Waits for the pod's end."""
        return await self._until(lambda: self._ending)

    async def hopeless(self) -> str:
        """Waits until it is sure that the pod will not start its command; why, as a clause."""
        return await self._until(lambda: hopeless(self._pod) if self._pod else None)

    def progress(self) -> str:
        """How far the pod has come, as a clause."""
        if self._pod:
            return progress(self._pod)
        return self._trouble or "no pod was made: a quota, an admission rule, or a runtime class not there"

    async def _until(self, seen: Callable[[], T | None]) -> T:
        while not (found := seen()):
            self._changed.clear()
            await self._changed.wait()
        return found

    async def _follow(self) -> None:
        while True:
            try:
                async for kind, pod in self._api.pods(self._run):
                    self._trouble = ""
                    await self._take(pod, deleted=kind == "DELETED")
            except ApiError as error:
                self._trouble = str(error)
            await asyncio.sleep(_PAUSE)

    async def _take(self, pod: Pod, *, deleted: bool) -> None:
        self._pod = pod
        ending = ending_of(pod, deleted=deleted)
        going = deleted or "deletionTimestamp" in pod["metadata"]
        if ending and going and not self._ending and await self._overdue():
            ending = Ending(stopped="time")
        self._ending = self._ending or ending
        self._changed.set()

    async def _overdue(self) -> bool:
        """Whether the Job was over its deadline: then its pod is deleted, and says nothing of why."""
        for _ in range(_LOOKS):
            with contextlib.suppress(ApiError):
                conditions = (await self._api.job(self._name)).get("status", {}).get("conditions") or ()
                if conditions:
                    return any(condition.get("reason") == "DeadlineExceeded" for condition in conditions)
            await asyncio.sleep(_BETWEEN)
        return False
