"""The loop around the model: message in, tools answered, until it finishes, gives up or may not go on.

    await Session(...).run(message)  ->  Proposed | GaveUp

A session edits one working tree and nothing else. What it did is told step by step to `on_step`; what the
working tree has become is for the caller to turn into a patch.
"""

import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, cast

import anthropic
from anthropic import AsyncAnthropic
from anthropic.types import Message, ToolUseBlock

from outerloop.propose.conversation import Blocks, Conversation
from outerloop.propose.meter import Meter
from outerloop.propose.paths import RefusedError
from outerloop.propose.record import Ended, GaveUp, Limits, Proposed, Step
from outerloop.propose.tools import Finish, GiveUp, RunTests, Toolbox
from outerloop.propose.workspace import MAX_RESULT_CHARS, Workspace
from outerloop.runtime.prices import Price
from outerloop.runtime.provider import ask, usage_of
from outerloop.trace.quote import clip

_NUDGE = "You act only by calling tools. Go on; end with finish or give_up."
# What the provider says to a conversation that has grown too long.
_REFUSED = (anthropic.BadRequestError, anthropic.RequestTooLargeError)
_CUT = "the call was cut off at the limit of one answer, and nothing was done: make it smaller"

OnStep = Callable[[Step], Awaitable[None]]
_Ending = Finish | GiveUp | tuple[Ended, str]


class Session:
    """A session with one model over one working tree, at a time on one task.

    `price` is the model's, `system` the system prompt; `run_tests` as in Toolbox. `on_step` is awaited twice
    for each step, the last one included: when the model has answered, so that what is paid for is known
    whatever comes of the tools, and when they have, before the next call is made.
    """

    def __init__(
        self,
        *,
        client: AsyncAnthropic,
        model: str,
        price: Price,
        system: str,
        workspace: Workspace,
        run_tests: RunTests | None,
        on_step: OnStep,
        limits: Limits,
    ) -> None:
        self._client = client
        self._model = model
        self._price = price
        self._system = system
        self._toolbox = Toolbox(workspace, run_tests)
        self._on_step = on_step
        self._limits = limits

    async def run(self, message: str) -> Proposed | GaveUp:
        """Work on `message`, the first user message, to an end.

        Raises:
            OutageError: the provider or the sandbox is away; the session is to be begun again.
            UserError: the provider does not know the model.
        """
        meter = Meter(self._price, self._limits)
        conversation = Conversation(
            model=self._model,
            max_tokens=self._limits.max_tokens,
            system=self._system,
            tools=self._toolbox.definitions(),
            first=message,
        )
        meter.begin(conversation.request())
        nudged = False
        while (ending := meter.limit_reached()) is None:
            try:
                response, step = await self._ask(conversation, meter)
            except _REFUSED as error:
                if not meter.steps:
                    raise  # malformed from the start: a bug
                return self._ended((Ended.PROVIDER, f"the provider refused to go on: {error.message}"), meter)
            await self._on_step(step)
            reply, end = await self._reply(response, nudged=nudged)
            await self._on_step(replace(step, reply=reply))
            conversation.add(step.content, reply)
            meter.count(step.usage, reply)
            nudged = nudged or any(block["type"] == "text" for block in reply)
            if end is not None:
                return self._ended(end, meter)
        return self._ended(ending, meter)

    async def _ask(self, conversation: Conversation, meter: Meter) -> tuple[Message, Step]:
        """One call of the model."""
        number = meter.steps + 1
        started = time.perf_counter()
        response = await ask(
            self._client, conversation.request(), f"step {number}", setting="OUTERLOOP_PROPOSE_MODEL"
        )
        usage = usage_of(response.usage)
        step = Step(
            number=number,
            content=cast("Blocks", [block.to_dict(mode="json") for block in response.content]),
            stop_reason=response.stop_reason or "",
            reply=None,
            usage=usage,
            usd=self._price.usd(usage),
            seconds=time.perf_counter() - started,
        )
        return response, step

    async def _reply(self, response: Message, *, nudged: bool) -> tuple[Blocks, _Ending | None]:
        """Our turn after the model's; the session's end, if this is one."""
        calls = [block for block in response.content if block.type == "tool_use"]
        if response.stop_reason in {"refusal", "model_context_window_exceeded"}:
            return [], (Ended.PROVIDER, f"the provider stopped the model: {response.stop_reason}")
        if not calls and nudged:
            return [], (Ended.SILENCE, "the model stopped calling tools")
        if not calls:
            return [{"type": "text", "text": _NUDGE}], None
        reply: Blocks = []
        for call in calls:
            try:
                _check_whole(call, response)
                answer = await self._toolbox.answer(call.name, call.input)
                if not isinstance(answer, str):
                    _check_alone(call, calls, reply)
                    return [*reply, _result(call, "accepted")], answer
                reply.append(_result(call, answer))
            except RefusedError as error:
                reply.append(_result(call, str(error), is_error=True))
        return reply, None

    def _ended(self, ending: _Ending, meter: Meter) -> Proposed | GaveUp:
        steps, usage, usd = meter.steps, meter.usage, meter.usd
        match ending:
            case Finish(diagnosis=diagnosis, cause=cause, risk=risk):
                return Proposed(
                    diagnosis=diagnosis, cause=cause, risk=risk, steps=steps, usage=usage, usd=usd
                )
            case GiveUp(reason=reason):
                return GaveUp(reason=reason, ended=Ended.MODEL, steps=steps, usage=usage, usd=usd)
            case (ended, reason):
                return GaveUp(reason=reason, ended=ended, steps=steps, usage=usage, usd=usd)


def _check_whole(call: ToolUseBlock, response: Message) -> None:
    """An answer that reached its limit was cut in its last block."""
    if response.stop_reason == "max_tokens" and call is response.content[-1]:
        raise RefusedError(_CUT)


def _check_alone(call: ToolUseBlock, calls: list[ToolUseBlock], before: Blocks) -> None:
    """A model that ends in the same breath has not seen that another call of it failed."""
    if call is not calls[-1] or any(result["is_error"] for result in before):
        raise RefusedError(f"see the results of your other calls first, then call {call.name} alone")


def _result(call: ToolUseBlock, text: str, *, is_error: bool = False) -> dict[str, Any]:
    return {
        "type": "tool_result",
        "tool_use_id": call.id,
        # The API takes no blank text, and a file may be blank.
        "content": clip(text, 2 * MAX_RESULT_CHARS) if text.strip() else "[blank]",
        "is_error": is_error,
    }
