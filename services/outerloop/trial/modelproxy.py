"""The model, as a trial's agent sees it: real answers, without the real key, and so many calls.

The agent holds a nonce as its key. A request that shows it is sent on with the real key, and its answer
streams through unchanged; nothing is cached. Only calls that give a completion are let through: the key
opens more than that.

What the provider does wrong is passed on, so that the agent's own retries are part of the trial, and
remembered by request: a trial in which a request never got its answer says nothing about the agent.
"""

import asyncio
import hashlib
import json
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Protocol

import aiohttp
from aiohttp import web

from outerloop.runtime.errors import OutageError
from outerloop.runtime.refusals import about_the_account
from outerloop.trial.usage import Usage

PATHS = frozenset({"v1/messages", "v1/messages/count_tokens", "v1/chat/completions"})
FREE = frozenset({"v1/messages/count_tokens"})
BEARER = frozenset({"v1/chat/completions"})  # these take the key as OpenAI's API does
_SENT_ON = ("content-type", "accept", "user-agent", "anthropic-version", "anthropic-beta")
_PASSED_BACK = ("content-type", "retry-after", "request-id", "x-should-retry")
# The provider's or our key's fault, never the request's.
_OUTAGE = frozenset({401, 402, 403, 408, 429})
# How often as long as a silence one answer may take: a stream that only pings must end too.
_LONGEST = 10


Settle = Callable[[Usage | None], None]


class Payer(Protocol):
    """Who pays for a trial's calls, one by one."""

    async def begin(self, body: bytes) -> Settle | None:
        """Asked before a request is sent on; None if it can cost more than there is.

        What it gives is told what came of the call; None: nobody knows.
        """
        ...


@dataclass(kw_only=True)
class ModelProxy:
    """Forwards one trial's model calls to `url`, at most `most` answered ones, and counts.

    `seconds` is how long the provider may be silent; an agent that gives up on it after more than
    `patience` seconds met an outage. `substitute` is the model that is asked in place of the one that a
    request names. `payer`, if there is one, is asked before each call; for `unpaid` ones it had no money.
    `outages` has a sentence for each request that is still without an answer for a reason which is not
    the agent's; `lost` is how many seconds requests took that had to be made again.
    """

    url: str
    key: str
    nonce: str
    most: int
    seconds: float
    session: aiohttp.ClientSession
    patience: float = 10.0
    substitute: str = ""
    payer: Payer | None = None
    calls: int = 0
    refused: int = 0
    unpaid: int = 0
    usage: Usage = field(default_factory=Usage)
    outages: dict[str, str] = field(default_factory=dict[str, str])
    lost: float = 0.0
    _waited: float = 0.0
    _pending: int = 0
    _since: float = 0.0

    @property
    def waited(self) -> float:
        """Seconds in which the provider was to speak; those of calls at the same time count once."""
        return self._waited + (time.monotonic() - self._since if self._pending else 0.0)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One request of the agent."""
        if not self._known(request):
            return _error(HTTPStatus.UNAUTHORIZED, "authentication_error", "invalid x-api-key")
        if request.method != "POST" or request.match_info["path"] not in PATHS:
            return _error(HTTPStatus.NOT_FOUND, "not_found_error", "there is no such endpoint here")
        if self.calls >= self.most:
            self.refused += 1
            sentence = f"this run has made its {self.most} model calls"
            return _error(HTTPStatus.FORBIDDEN, "permission_error", sentence)
        self.calls += 1
        body = _with_model(await request.read(), self.substitute)
        payer = None if request.match_info["path"] in FREE else self.payer
        digest = hashlib.sha256(body).hexdigest()
        try:
            settle = await payer.begin(body) if payer else nobody_pays
        except OutageError as error:  # whoever pays is away: that is nothing of the agent's
            self._out(digest, str(error))
            return _error(HTTPStatus.BAD_GATEWAY, "api_error", "the call cannot be paid for now")
        if settle is None:
            self.unpaid += 1
            return _error(HTTPStatus.FORBIDDEN, "permission_error", "this run may cost no more")
        started = time.monotonic()
        told: list[Usage] = []
        try:
            return await self._forward(request, body, digest, told)
        except asyncio.CancelledError:  # the agent is gone
            if time.monotonic() - started > self.patience:
                self._out(digest, f"the model had not answered after {self.patience:g} s")
            raise
        finally:
            settle(told[0] if told else None)
            if digest in self.outages:
                self.lost += time.monotonic() - started

    async def _forward(
        self, request: web.Request, body: bytes, digest: str, told: list[Usage]
    ) -> web.StreamResponse:
        path = request.match_info["path"]
        url = f"{self.url.rstrip('/')}/{path}"
        headers = {name: request.headers[name] for name in _SENT_ON if name in request.headers}
        headers["accept-encoding"] = "identity"  # so that the usage can be read on the way
        if path in BEARER:
            headers["authorization"] = f"Bearer {self.key}"
        else:
            headers["x-api-key"] = self.key
        response: web.StreamResponse | None = None
        timeout = aiohttp.ClientTimeout(
            total=self.seconds * _LONGEST, sock_connect=self.seconds, sock_read=self.seconds
        )
        try:
            with self._waiting():
                answer = await self.session.post(
                    url,
                    params=request.query,
                    data=body,
                    headers=headers,
                    timeout=timeout,
                    allow_redirects=False,
                )
            async with answer:
                response = await self._pass_back(request, answer, digest, told)
        except _AgentGoneError as error:
            raise ConnectionResetError from error
        except (aiohttp.ClientError, TimeoutError) as error:
            self._out(digest, f"the model could not be reached: {type(error).__name__} {error}".rstrip())
            if response is None:
                return _error(HTTPStatus.BAD_GATEWAY, "api_error", "the model could not be reached")
        return response

    async def _pass_back(
        self, request: web.Request, answer: aiohttp.ClientResponse, digest: str, told: list[Usage]
    ) -> web.StreamResponse:
        """Streams the answer to the agent; settles whether it was one. What it took is `told`."""
        headers = {name: answer.headers[name] for name in _PASSED_BACK if name in answer.headers}
        response = web.StreamResponse(status=answer.status, headers=headers)
        usage = Usage(streamed=answer.content_type == "text/event-stream")
        await response.prepare(request)
        try:
            while chunk := await self._next(answer):
                usage.add(chunk)
                await _write(response, chunk)
        except (aiohttp.ClientPayloadError, TimeoutError) as error:
            self._out(digest, f"the model's answer broke off: {type(error).__name__}")
            if request.transport is not None:
                request.transport.abort()  # the agent is to see that it is not the whole answer
            return response
        usage.finish()
        self.usage += usage
        if usage.input_tokens or usage.output_tokens or usage.error or not answer.ok:
            told.append(usage)  # a stream of chat completions tells of none unless it is asked to
        if _is_outage(answer.status, usage.text()):
            self._out(digest, f"the model answered {answer.status}: {usage.text()}")
        elif usage.error:
            self._out(digest, f"the model's stream ended with {usage.error}")
        else:
            self.outages.pop(digest, None)
        await _write(response, b"")
        return response

    async def _next(self, answer: aiohttp.ClientResponse) -> bytes:
        with self._waiting():
            return await answer.content.readany()

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        """The time within is the provider's. What the agent takes to read an answer is its own."""
        if not self._pending:
            self._since = time.monotonic()
        self._pending += 1
        try:
            yield
        finally:
            self._pending -= 1
            if not self._pending:
                self._waited += time.monotonic() - self._since

    def _out(self, digest: str, sentence: str) -> None:
        """Remembers the outage; a call that got no answer is none."""
        self.outages[digest] = sentence
        self.calls -= 1

    def _known(self, request: web.Request) -> bool:
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        given = request.headers.get("x-api-key") or bearer
        return secrets.compare_digest(given.encode(), self.nonce.encode())


def nobody_pays(_: Usage | None) -> None:
    """Where calls are not paid for one by one."""


def _is_outage(status: int, text: str) -> bool:
    unpaid = status == HTTPStatus.BAD_REQUEST and about_the_account(text)
    return unpaid or status in _OUTAGE or status >= HTTPStatus.INTERNAL_SERVER_ERROR


class _AgentGoneError(Exception):
    """The agent closed its side: no fault of the model, whose errors have the same types."""


async def _write(response: web.StreamResponse, chunk: bytes) -> None:
    try:
        await (response.write(chunk) if chunk else response.write_eof())
    except ConnectionError as error:
        raise _AgentGoneError from error


def _with_model(body: bytes, model: str) -> bytes:
    """The request with this model in place of its own; what names no model is left as it is."""
    if not model:
        return body
    try:
        request = json.loads(body)
    except (ValueError, RecursionError):
        return body  # the provider will refuse it
    if not isinstance(request, dict) or "model" not in request:
        return body
    return json.dumps({**request, "model": model}).encode()


def _error(status: HTTPStatus, kind: str, message: str) -> web.Response:
    body = {"type": "error", "error": {"type": kind, "message": message}}
    return web.Response(status=status, text=json.dumps(body), content_type="application/json")
