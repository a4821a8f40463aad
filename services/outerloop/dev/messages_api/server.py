"""The HTTP server: routes, request ids, headers, counts, and the one boundary around the script."""

import asyncio
import copy
import logging
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from aiohttp import web
from pydantic import ValidationError

from outerloop.dev.messages_api import clouds
from outerloop.dev.messages_api.cache import PromptCache
from outerloop.dev.messages_api.catalogue import DEFAULT_MODELS, Model
from outerloop.dev.messages_api.errors import ApiError, invalid
from outerloop.dev.messages_api.faults import Fault, FaultPlan
from outerloop.dev.messages_api.reply import compose
from outerloop.dev.messages_api.script import Dice, Script
from outerloop.dev.messages_api.shapes import CountRequest, first_error
from outerloop.dev.messages_api.streaming import encode, stream_events
from outerloop.dev.messages_api.threads import Threads
from outerloop.dev.messages_api.tokens import count_prompt
from outerloop.dev.messages_api.validation import MESSAGES_SHAPES, accept, check_headers, parse

MAX_BODY = 32 * 1024 * 1024
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_REQUEST_ID = web.RequestKey("request_id", str)
_log = logging.getLogger(__name__)


class MessagesApi:
    """One server's state. `url` is set while it listens; `disobedience` is a probability."""

    def __init__(
        self,
        script: Script,
        *,
        seed: int = 7,
        disobedience: float = 0.0,
        models: Iterable[str] = DEFAULT_MODELS,
    ) -> None:
        self.url = ""
        self.plan = FaultPlan(faults=[])
        self.cache = PromptCache()
        self.threads = Threads()
        self._script = script
        self._seed = seed
        self._disobedience = disobedience
        self._models = {name: Model(name) for name in models}
        self._answered = 0
        self._statuses: Counter[int] = Counter()
        self._tokens: Counter[str] = Counter()

    def inject(self, *faults: Fault) -> None:
        """Plan what goes wrong next, in place of what was planned; with no argument, nothing."""
        self.plan = FaultPlan(faults=[fault.model_copy() for fault in faults])

    def stats(self) -> dict[str, Any]:
        """Requests to /v1 that were answered, by status, and the tokens of those the model answered.

        `tokens_in` are all that were sent, of which `tokens_cached` were read from the cache.
        """
        return {
            "requests": self._statuses.total(),
            "by_status": {str(status): count for status, count in sorted(self._statuses.items())},
            "tokens_in": self._tokens["in"],
            "tokens_cached": self._tokens["cached"],
            "tokens_out": self._tokens["out"],
        }

    def app(self) -> web.Application:
        """The aiohttp application."""
        app = web.Application(client_max_size=MAX_BODY, middlewares=[self._edge])
        app.on_response_prepare.append(_add_headers)
        app.router.add_post("/v1/messages", self._messages)
        app.router.add_post("/v1/messages/count_tokens", self._count_tokens)
        app.router.add_post(clouds.BEDROCK, self._of_a_cloud)
        app.router.add_post(clouds.VERTEX, self._of_a_cloud)
        app.router.add_get("/v1/models", self._list_models)
        app.router.add_get("/v1/models/{model}", self._show_model)
        app.router.add_get("/healthz", self._health)
        app.router.add_get("/_stats", self._stats)
        app.router.add_post("/_faults", self._faults)
        return app

    @web.middleware
    async def _edge(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Where an error becomes a body, and every answer is counted."""
        request[_REQUEST_ID] = f"req_01{uuid.uuid4().hex[:22]}"
        front = clouds.front_of(request.path)
        served = bool(front) or request.path.startswith("/v1/")
        try:
            if served and not front:
                check_headers(request.headers)
            response = await handler(request)
        except ApiError as error:
            response = _failed(request, error)
        except web.HTTPRequestEntityTooLarge:
            response = _failed(request, ApiError(413, "Request exceeds the maximum size"))
        except web.HTTPException as error:  # no such path, or not with this method
            response = _failed(request, ApiError(error.status, error.reason))
        if served:
            self._statuses[response.status] += 1
        return response

    async def _messages(self, request: web.Request) -> web.StreamResponse:
        shape = MESSAGES_SHAPES[request.headers["anthropic-version"]]
        raw = await _json(request)
        whole = self.threads.whole(raw, request.headers, _key(request))
        return await self._said(request, accept(whole, shape, self._models), raw.get("thread"))

    async def _of_a_cloud(self, request: web.Request) -> web.StreamResponse:
        front = clouds.front_of(request.path)
        clouds.check_sender(front, request, await request.read())
        raw, shape = clouds.as_sent(front, await _json(request), request.match_info["model"])
        return await self._said(request, accept(raw, shape, self._models))

    async def _said(
        self, request: web.Request, body: dict[str, Any], thread: Any = None
    ) -> web.StreamResponse:
        """The model's answer to a request that is as it should be, unless a fault is planned."""
        streaming = body.get("stream", False)
        # Faults come after validation, so that a planned one hits a request that would have worked.
        fault = self.plan.take(streaming=streaming)
        if fault is not None:
            if error := fault.error():
                raise error
            await asyncio.sleep(fault.seconds)
        message = self._answer(body, _key(request))
        self.threads.keep(thread, body, message, _key(request))
        if not streaming:
            return web.json_response(message)
        cut = fault.after_events if fault is not None and fault.kind == "cut_stream" else None
        return await _stream(request, message, cut)

    def _answer(self, body: dict[str, Any], owner: str) -> dict[str, Any]:
        dice = Dice.thrown(self._seed, self._answered, self._disobedience)
        self._answered += 1
        try:
            said = self._script(copy.deepcopy(body), dice)
            message = compose(body, said, self.cache.use(body, self._models[body["model"]], owner))
        except Exception as error:
            # The script is foreign code: whatever it raises must fail this request, loudly, and no other.
            _log.exception("the script failed on answer %d", self._answered)
            text = f"script error: {type(error).__name__}: {error}"
            raise ApiError(500, text, {"x-should-retry": "false"}) from error
        usage = message["usage"]
        written, read = usage["cache_creation_input_tokens"], usage["cache_read_input_tokens"]
        self._tokens["in"] += usage["input_tokens"] + written + read
        self._tokens["cached"] += read
        self._tokens["out"] += usage["output_tokens"]
        return message

    async def _count_tokens(self, request: web.Request) -> web.Response:
        body = accept(await _json(request), CountRequest, self._models)
        return web.json_response({"input_tokens": count_prompt(body)})

    async def _list_models(self, _request: web.Request) -> web.Response:
        data = [model.info() for model in self._models.values()]
        ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"]} if data else {}
        return web.json_response({"data": data, "has_more": False, **ends})

    async def _show_model(self, request: web.Request) -> web.Response:
        model = self._models.get(request.match_info["model"])
        if model is None:
            raise ApiError(404, f"model: {request.match_info['model']}")
        return web.json_response(model.info())

    async def _health(self, _request: web.Request) -> web.Response:
        return web.json_response({"ok": True, "model_is_a_script": True})

    async def _stats(self, _request: web.Request) -> web.Response:
        return web.json_response(self.stats())

    async def _faults(self, request: web.Request) -> web.Response:
        try:
            self.plan = FaultPlan.model_validate_json(await request.read())
        except ValidationError as error:
            raise invalid(first_error(error)) from error
        return web.json_response({"planned": len(self.plan.faults)})


async def _stream(request: web.Request, message: dict[str, Any], cut: int | None) -> web.StreamResponse:
    """Send the message as events; after `cut` of them, drop the connection instead of ending it."""
    response = web.StreamResponse(headers={"content-type": "text/event-stream", "cache-control": "no-cache"})
    await response.prepare(request)
    for sent, event in enumerate(stream_events(message)):
        if sent == cut and request.transport is not None:
            request.transport.close()  # sends what is buffered, but not the chunk that ends the body
            return response
        await response.write(encode(event))
    await response.write_eof()
    return response


def _key(request: web.Request) -> str:
    """What the request is paid with: a key or a bearer token."""
    return request.headers.get("x-api-key") or request.headers.get("authorization") or ""


async def _json(request: web.Request) -> dict[str, Any]:
    return parse(await request.read(), request.content_type)


def _failed(request: web.Request, error: ApiError) -> web.Response:
    if front := clouds.front_of(request.path):
        return clouds.failed(front, error, request[_REQUEST_ID])
    return web.json_response(error.body(request[_REQUEST_ID]), status=error.status, headers=error.headers)


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """What the real API sends with everything; the limits are plausible, and no limit is kept."""
    response.headers["request-id"] = request[_REQUEST_ID]
    left = 0 if response.status == web.HTTPTooManyRequests.status_code else 1
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    for kind, limit in (("requests", 4_000), ("input-tokens", 2_000_000), ("output-tokens", 400_000)):
        response.headers[f"anthropic-ratelimit-{kind}-limit"] = str(limit)
        response.headers[f"anthropic-ratelimit-{kind}-remaining"] = str((limit - 1) * left)
        response.headers[f"anthropic-ratelimit-{kind}-reset"] = now


@asynccontextmanager
async def serving(
    script: Script,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    seed: int = 7,
    disobedience: float = 0.0,
    models: Iterable[str] = DEFAULT_MODELS,
) -> AsyncIterator[MessagesApi]:
    """A listening server, in this event loop. Port 0 takes a free one; `url` tells which."""
    api = MessagesApi(script, seed=seed, disobedience=disobedience, models=models)
    # A hanging answer must not outlive the server by aiohttp's usual minute.
    runner = web.AppRunner(api.app(), access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        api.url = f"http://{host}:{runner.addresses[0][1]}"
        yield api
    finally:
        await runner.cleanup()
