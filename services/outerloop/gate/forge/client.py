"""HTTP with a forge's API, and what its refusals mean: wait (OutageError), or a person must act (UserError).

The token is sent to this address alone, so redirects are not followed, and is in no message.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import aiohttp
from pydantic import SecretStr, TypeAdapter, ValidationError
from yarl import URL

from outerloop.runtime.errors import OutageError, UserError

TOKEN = "OUTERLOOP_GATE_FORGE_TOKEN"  # noqa: S105 - the name of a setting
PAGE = 100  # the most that GitHub and GitLab list at once
_SECONDS = 60.0
_MAX_ANSWER = 32 * 1024 * 1024
_SAID = 500
_UNAUTHORISED, _FORBIDDEN, _NOT_FOUND, _TIMED_OUT, _TOO_MANY = 401, 403, 404, 408, 429
T = TypeVar("T")
_REFUSED = {409, 422}
_REDIRECTED, _FAILED = range(300, 400), 500


class RefusedError(UserError):
    """The forge understood, and does not do it: something there stands against it.

    `status` is 409 or 422, `said` the forge's own words.
    """

    def __init__(self, sentence: str, status: int, said: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.said = said


class Client:
    """Calls of the API at `address`, with `token`."""

    def __init__(self, address: str, token: SecretStr) -> None:
        self.address = address
        self._token = token

    async def call(
        self,
        method: str,
        path: str,
        *,
        may: str,
        headers: Mapping[str, str],
        query: Mapping[str, str] | None = None,
        body: Mapping[str, str | bool] | None = None,
    ) -> Any:
        """What the API answers, as JSON. `path` is escaped already; `may` names the permission it takes.

        Raises:
            OutageError: if it cannot be reached, fails, or asks to wait.
            RefusedError: for 409 and 422.
            UserError: for every other refusal, naming what must be set right.
        """
        url = URL(self.address + path, encoded=True).with_query(query)
        timeout = aiohttp.ClientTimeout(total=_SECONDS)
        try:
            async with (
                aiohttp.ClientSession(
                    trust_env=True, timeout=timeout, middlewares=(self._authorise,)
                ) as http,
                http.request(method, url, headers=headers, json=body, allow_redirects=False) as answer,
            ):
                content = await self._content(answer)
        except aiohttp.InvalidURL as error:
            raise UserError(f"OUTERLOOP_GATE_FORGE_URL: {self.address} is no address") from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise OutageError(self._clean(f"{self.address} cannot be reached: {error!r}")) from error
        parsed = _json(content)
        if not answer.ok or answer.status in _REDIRECTED:
            raise self._refusal(answer, _said(parsed), may)
        if parsed is None and content:
            raise UserError(f"{self.address} does not answer with JSON: is OUTERLOOP_GATE_FORGE_URL its API?")
        return parsed

    async def _content(self, answer: aiohttp.ClientResponse) -> bytes:
        content = bytearray()
        async for chunk in answer.content.iter_any():
            content += chunk
            if len(content) > _MAX_ANSWER:
                raise UserError(f"{self.address} answers with more than {_MAX_ANSWER} bytes: is it the API?")
        return bytes(content)

    async def _authorise(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        # Here, where it also takes the place of what a ~/.netrc says: aiohttp refuses to be given both.
        request.headers["Authorization"] = f"Bearer {self._token.get_secret_value()}"
        return await handler(request)

    def _refusal(self, answer: aiohttp.ClientResponse, said: str, may: str) -> Exception:
        words = self._clean(f"{answer.method} {answer.url.raw_path}: {answer.status} {said}".strip())[:_SAID]
        if wait := _wait(answer, said):
            return OutageError(f"{self.address} asks to wait {wait:.0f} s: {words}")
        status = answer.status
        if status >= _FAILED or status == _TIMED_OUT:
            return OutageError(f"{self.address} fails: {words}")
        if status in _REFUSED:
            return RefusedError(f"{self.address} refuses: {words}", status, said)
        return UserError(f"{self._advice(answer, may)}: {words}")

    def _advice(self, answer: aiohttp.ClientResponse, may: str) -> str:
        asked = answer.headers.get("X-Accepted-GitHub-Permissions", "")
        if answer.status == _UNAUTHORISED:
            return f"{TOKEN} is not accepted by {self.address}: set one that is valid"
        if answer.status == _FORBIDDEN:
            return f"{TOKEN} is not allowed to do this: it takes {asked or may}"
        if answer.status == _NOT_FOUND:
            return f"{self.address} has no such repository, or {TOKEN} may not see it (it takes {may})"
        if answer.status in _REDIRECTED:
            return "the repository has moved: put its new address into OUTERLOOP_AGENTS"
        return f"{self.address} does not take the call (is OUTERLOOP_GATE_FORGE_URL the address of its API?)"

    def _clean(self, text: str) -> str:
        hidden = text.replace(self._token.get_secret_value(), "***")
        return "".join(letter if letter.isprintable() else " " for letter in hidden)


@dataclass(frozen=True, slots=True)
class Resource:
    """What the API keeps at `path` (escaped); `may` names the permission that its calls take."""

    client: Client
    path: str
    may: str
    headers: Mapping[str, str]

    async def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, str | bool] | None = None,
    ) -> Any:
        """As `Client.call`, below this path."""
        whole = self.path + path
        return await self.client.call(
            method, whole, may=self.may, headers=self.headers, query=query, body=body
        )

    async def listed(
        self, path: str, shape: TypeAdapter[list[T]], query: Mapping[str, str] | None = None
    ) -> list[T]:
        """All that is listed at `path`, page after page. Raises as `Client.call`."""
        found: list[T] = []
        while len(found) % PAGE == 0:
            of_page = {**(query or {}), "per_page": str(PAGE), "page": str(len(found) // PAGE + 1)}
            page = shaped(shape, await self.call("GET", path, query=of_page))
            if not page:
                break
            found += page
        return found


def shaped(shape: TypeAdapter[T], answer: Any) -> T:
    """The answer, if it is of this shape.

    Raises:
        UserError: if it is not: something else than the API was asked.
    """
    try:
        return shape.validate_python(answer)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the answer"
        raise UserError(
            f"OUTERLOOP_GATE_FORGE_URL is not the API it should be: {where}: {first['msg']}"
        ) from error


def _wait(answer: aiohttp.ClientResponse, said: str) -> float:
    """For how many seconds the forge asks not to be called; 0 if it does not ask."""
    limited = answer.status == _TOO_MANY or (
        answer.status == _FORBIDDEN
        and (
            "Retry-After" in answer.headers
            or answer.headers.get("X-RateLimit-Remaining") == "0"
            or "rate limit" in said.lower()
        )
    )
    if not limited:
        return 0.0
    after: str = answer.headers.get("Retry-After", "")
    if after.isdecimal():
        return max(1.0, float(after))
    reset: str = answer.headers.get("X-RateLimit-Reset", answer.headers.get("RateLimit-Reset", ""))
    return max(1.0, float(reset) - time.time()) if reset.isdecimal() else 60.0


def _json(content: bytes) -> Any:
    try:
        return json.loads(content) if content else None
    except ValueError:
        return None


def _said(parsed: Any) -> str:
    """The sentences of an error: GitHub's `message` and `errors`, GitLab's `message` or `error`."""
    if isinstance(parsed, str):
        return parsed
    if isinstance(parsed, list):
        return "; ".join(filter(None, (_said(each) for each in parsed)))
    if not isinstance(parsed, dict):
        return ""
    named = ("message", "error", "error_description", "errors")
    told = [_said(parsed[name]) for name in named if name in parsed]
    if not told:  # GitLab names the field: {"title": ["is too long"]}
        told = [f"{key}: {_said(value)}" for key, value in parsed.items() if isinstance(value, str | list)]
    return "; ".join(filter(None, told))
