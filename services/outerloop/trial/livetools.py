"""The team's own tool sandbox: a command that answers tool calls which a recording does not hold.

One process for one trial, started by the first call, without any network, from a checkout that the change
under trial has not touched. Lines of JSON: {"name", "arguments"} to its stdin, {"content", "is_error"} back.
"""

import asyncio
import json
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any, Self

from outerloop.evals.cassette import ToolAnswer
from outerloop.runtime.errors import TrialNotRunError
from outerloop.trial.output import Kept, drain
from outerloop.trial.sandbox import Running, Sandbox
from outerloop.trial.spec import Spec

_ERRORS = 4096  # bytes of its stderr that a sentence may quote


class LiveTools:
    """Answers calls by the command of `spec`; an async context that ends it."""

    def __init__(self, sandbox: Sandbox, spec: Spec, seconds: float = 30.0) -> None:
        self._sandbox = sandbox
        self._spec = spec
        self._seconds = seconds  # for one call
        self._stack = AsyncExitStack()
        self._turn = asyncio.Lock()
        self._running: Running | None = None
        self._said = Kept(_ERRORS)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def call(self, name: str, arguments: Mapping[str, Any]) -> ToolAnswer:
        """Asks the tool; calls are answered one after the other.

        Raises:
            TrialNotRunError: when the tool sandbox does not start, does not answer, or not by its contract.
        """
        line = json.dumps({"name": name, "arguments": dict(arguments)}).encode() + b"\n"
        async with self._turn:
            running = self._running or await self._start()
            try:
                async with asyncio.timeout(self._seconds):
                    answer = await _exchange(running, line)
                content = answer["content"]
                text = content if isinstance(content, str) else json.dumps(content)
                return ToolAnswer(text, bool(answer.get("is_error", False)))
            except (OSError, TimeoutError, ValueError, KeyError) as error:
                said = self._said.bytes().decode(errors="replace").strip()
                what = "did not answer in time" if isinstance(error, TimeoutError) else "did not answer"
                raise TrialNotRunError(
                    f"the tool sandbox {' '.join(self._spec.argv)} {what} to {name}: {said or error}"
                ) from error

    async def _start(self) -> Running:
        running = await self._stack.enter_async_context(self._sandbox.open(self._spec))
        assert running.process.stderr is not None  # noqa: S101 - Sandbox.open asks for it
        reading = asyncio.create_task(drain(running.process.stderr, self._said))
        self._stack.callback(reading.cancel)
        self._running = running
        return running


async def _exchange(running: Running, line: bytes) -> dict[str, Any]:
    stdin, stdout = running.process.stdin, running.process.stdout
    assert stdin is not None  # noqa: S101 - Sandbox.open asks for it
    assert stdout is not None  # noqa: S101 - as above
    stdin.write(line)
    await stdin.drain()
    answer = json.loads(await stdout.readline() or b"null")
    return answer if isinstance(answer, dict) else {}
