"""Production: runs the release branch's commit, moves to each new one, and sends it customers."""

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
from helpdesk_traffic.audit import audit, refunds
from helpdesk_traffic.traffic import Request, requests

from outerloop.runtime.git import Repository

_POLL_SECONDS = 0.3
_STOP_SECONDS = 20.0


class Deployment:
    """One running version of the agent: JSON lines in, JSON lines out, until it is stopped."""

    def __init__(self, commit: str, process: asyncio.subprocess.Process, ledger: Path) -> None:
        self.commit = commit
        self.ledger = ledger
        self._process = process
        self._waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._reader = asyncio.ensure_future(self._read())

    @classmethod
    async def start(cls, checkout: Path, commit: str, ledger: Path, env: dict[str, str]) -> "Deployment":
        """Start the agent that lies in `checkout`; its spans carry `commit` as their version."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "helpdesk"),
            cwd=checkout,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            limit=2**24,
            env={
                **env,
                "HELPDESK_LEDGER": str(ledger),
                "OTEL_RESOURCE_ATTRIBUTES": f"service.version={commit}",
                "PATH": os.environ["PATH"],
            },
        )
        return cls(commit, process, ledger)

    async def ask(self, request_id: str, request: Request) -> dict[str, Any]:
        """The agent's answer line to one request."""
        assert self._process.stdin  # noqa: S101 - a pipe was asked for
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[request_id] = answer
        self._process.stdin.write(request.line(request_id).encode() + b"\n")
        await self._process.stdin.drain()
        return await answer

    async def stop(self) -> None:
        """Let it finish its requests and send its spans."""
        if self._process.stdin:
            self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), _STOP_SECONDS)
        except TimeoutError:
            self._process.kill()
        self._reader.cancel()

    async def _read(self) -> None:
        assert self._process.stdout  # noqa: S101 - a pipe was asked for
        async for line in self._process.stdout:
            answer = json.loads(line)
            waiting = self._waiting.pop(answer.get("id") or "", None)
            if waiting and not waiting.done():
                waiting.set_result(answer)
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(ConnectionError("the agent has ended"))


class Production:
    """What runs now. `releases` are the commits in the order in which they went live."""

    def __init__(
        self, repository: Repository, folder: Path, env: dict[str, str], otlp: str, seed: int
    ) -> None:
        self.releases: list[str] = []
        self.sent: dict[str, int] = {}  # requests answered, by commit
        self._repository = repository
        self._folder = folder
        self._env = env
        self._otlp = otlp
        self._seed = seed
        self._live: Deployment | None = None
        self._audited: dict[Path, int] = {}
        self._moving = asyncio.Lock()
        self._spent: set[str] = set()  # orders that the running version has been asked to act on

    async def follow(self) -> None:
        """Move to each commit of the release branch, for as long as the demo lasts."""
        while True:
            await self.move()
            await asyncio.sleep(_POLL_SECONDS)

    async def move(self) -> str:
        """Move to the head of the release branch, if it is not what runs; gives the commit that runs."""
        async with self._moving:
            await self._repository.fetch()
            commit = await self._repository.resolve("main")
            if commit is None:
                raise RuntimeError("the agent's repository has lost its branch main")
            if self._live is None or self._live.commit != commit:
                await self._release(commit)
            return commit

    async def _release(self, commit: str) -> None:
        checkout = self._folder / commit
        await self._repository.checkout(commit, checkout)
        started = await Deployment.start(checkout, commit, self._folder / f"{commit}.ledger", self._env)
        before, self._live = self._live, started
        self._spent.clear()  # each version begins with a fresh order database
        self.releases.append(commit)
        if before:
            await before.stop()

    async def serve(self, n: int, per_second: float, progress: Callable[[], None]) -> None:
        """Send `n` requests of a day's mix at a steady rate, and wait for all answers."""
        tasks: list[asyncio.Future[None]] = []
        started = time.monotonic()
        for number, request in enumerate(self._day(n)):
            await asyncio.sleep(max(0.0, started + number / per_second - time.monotonic()))
            tasks.append(asyncio.ensure_future(self._one(f"{self._seed}-{number}", request)))
            progress()
        await asyncio.gather(*tasks)

    async def audit(self) -> int:
        """The shop's nightly job: every refund not looked at yet gets its verdict; says how many."""
        paid: list[dict[str, Any]] = []
        for ledger in self._folder.glob("*.ledger"):
            new = refunds(ledger, skip=self._audited.get(ledger, 0))
            self._audited[ledger] = self._audited.get(ledger, 0) + len(new)
            paid += new
        if paid:
            headers = {"content-type": "application/x-protobuf"}
            async with aiohttp.ClientSession() as session:
                payload = audit(paid, time.time_ns())
                async with session.post(f"{self._otlp}/v1/logs", data=payload, headers=headers) as response:
                    response.raise_for_status()
        return len(paid)

    async def stop(self) -> None:
        """Stop what runs."""
        if self._live:
            await self._live.stop()
            self._live = None

    def _day(self, n: int) -> Iterator[Request]:
        self._seed += 1
        day = requests(self._seed, n, spent=self._spent)
        self._spent.update(r.order_id for r in day)
        return iter(day)

    async def _one(self, request_id: str, request: Request) -> None:
        assert self._live  # noqa: S101 - serve comes after move
        live = self._live
        try:
            await live.ask(request_id, request)
        except ConnectionError:
            return  # it was asked at the moment of a release; a customer would ask again
        self.sent[live.commit] = self.sent.get(live.commit, 0) + 1
