"""The loop around the model: message in, tools answered, until it finishes, gives up or may not go on.

    await Session(...).run(message, past)  ->  Proposed | GaveUp

A session edits one working tree and nothing else. What it did is told step by step to `on_steps`, so that
another process can go on from the last of them (`past`) on a fresh tree: its edits are made again there, and
no call of the model is. What the working tree has become is for the caller to turn into a patch.
"""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import anthropic
from anthropic.types import Message

from outerloop.propose.calls import TOOLS, EditFile, Finish, GiveUp
from outerloop.propose.conversation import Conversation
from outerloop.propose.meter import Meter
from outerloop.propose.paths import RefusedError
from outerloop.propose.provider import Provider
from outerloop.propose.purse import Purse
from outerloop.propose.record import Blocks, Ended, GaveUp, Limits, Past, Proposed, Step
from outerloop.propose.tools import Toolbox
from outerloop.propose.workspace import MAX_RESULT_CHARS
from outerloop.runtime.errors import OutageError, UserError
from outerloop.runtime.prices import Price
from outerloop.runtime.provider import unpaid, usage_of
from outerloop.runtime.refusals import about_the_content
from outerloop.trace.quote import clip

_NUDGE = "You act only by calling tools. Go on; end with finish or give_up."
# What the provider says to a conversation that has grown too long.
_REFUSED = (anthropic.BadRequestError, anthropic.RequestTooLargeError)
_CUT = "the call was cut off at the limit of one answer, and nothing was done: make it smaller"
_ACCEPTED = "accepted"
# Characters of the results of one turn: calls are answered side by side, and together could fill a context.
_MOST_AT_ONCE = 8 * MAX_RESULT_CHARS
_FULL = "the results of this turn are long enough: read those first, and make this call again in the next one"
# Calls that make a difference to who goes on with a session.
_KEPT = (EditFile, Finish, GiveUp)

OnSteps = Callable[[Sequence[Step]], Awaitable[None]]
_Ending = Finish | GiveUp | tuple[Ended, str]


async def always() -> str:
    """Nothing speaks against another call."""
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A session with one model over one working tree, at a time on one task.

    `price` is the model's, `system` the system prompt. `on_steps` is awaited before a call is made (together
    with the end of the step before), when the model has answered, so that what is paid for is known whatever
    comes of the tools, and at the end. `hindrance` is asked before each call: why it must not be made now, ""
    if nothing is in its way. `epoch` is of this process, later than those of the past.
    """

    provider: Provider
    model: str
    price: Price
    system: str
    toolbox: Toolbox
    on_steps: OnSteps
    limits: Limits
    hindrance: Callable[[], Awaitable[str]] = always
    epoch: int = 0

    async def run(self, message: str, past: Past | None = None) -> Proposed | GaveUp:
        """Work on `message`, the first user message, to an end.

        Raises:
            OutageError: the provider or the sandbox is away; the session goes on from its past later.
            UserError: the provider does not know the model.
        """
        run = _Run(self, message)
        unwritten, ending = await run.catch_up(past or Past())
        while ending is None and (ending := run.meter.limit_reached()) is None:
            try:
                why = await self.hindrance()
            except OutageError:
                await self.on_steps(unwritten)  # so that no run of its tools is paid for again
                raise
            if why:
                ending = (Ended.SUSPENDED, why)
                break
            asked = Step(number=run.meter.steps + 1, epoch=self.epoch, usd=run.meter.most_usd)
            await self.on_steps([*unwritten, asked])
            unwritten = []
            try:
                response, step = await self._ask(run.conversation, asked)
            except _REFUSED as error:
                if not run.meter.steps and not about_the_content(error.response.text):
                    raise  # malformed from the start: a bug
                ending = (Ended.PROVIDER, f"the provider refused to go on: {error.message}")
                break
            await self.on_steps([step])
            step, ending = await run.answered(step, response.stop_reason or "")
            unwritten = [step]
        if unwritten:
            await self.on_steps(unwritten)
        return _ended(ending, run.meter)

    async def _ask(self, conversation: Conversation, asked: Step) -> tuple[Message, Step]:
        """One call of the model."""
        started = time.perf_counter()
        try:
            response = await self.provider.ask(conversation.request(), f"step {asked.number}")
        except (OutageError, UserError, anthropic.APIStatusError) as error:
            # Asked again every minute, it would use up all budgets without a call that costs anything.
            if unpaid(error):
                await self.on_steps([replace(asked, usd=0.0)])
            raise
        usage = usage_of(response.usage)
        step = replace(
            asked,
            content=[_readable(block.to_dict(mode="json")) for block in response.content],
            stop_reason=response.stop_reason or "",
            usage=usage,
            usd=self.price.usd(usage),
            seconds=time.perf_counter() - started,
        )
        return response, step


class _Run:
    """The state of one session: its conversation, what it took, whether it was nudged."""

    def __init__(self, session: Session, message: str) -> None:
        self._session = session
        self._nudged = False
        self.meter = Meter(session.price, session.limits)
        self.conversation = Conversation(
            model=session.model,
            max_tokens=session.limits.max_tokens,
            system=session.system,
            tools=session.toolbox.definitions(),
            first=message,
        )
        self.meter.begin(self.conversation.request())

    async def catch_up(self, past: Past) -> tuple[list[Step], _Ending | None]:
        """Be where the past ended: gives the step that lacked its reply, answered, and the session's end."""
        self.meter.usd = past.usd
        ending: _Ending | None = None
        for step in past.steps:
            if not step.reply:  # not yet answered, or not any more: it was to end the session
                self.meter.usd -= step.usd  # which answered() adds
                whole, ending = await self.answered(step, step.stop_reason)
                return [whole], ending
            ending = await self._again(step)
            self._take(step)
            if ending:
                break
        return [], ending

    async def answered(self, step: Step, stop_reason: str) -> tuple[Step, _Ending | None]:
        """The step with our turn after the model's; the session's end, if this is one."""
        session = self._session

        async def tell(usd: float) -> None:
            await session.on_steps([replace(step, usd=step.usd + usd)])

        self.meter.usd += step.usd
        purse = Purse(session.limits.usd - self.meter.usd, tell)
        session.toolbox.purse = purse
        reply, ending = await self._reply(step.content or [], stop_reason)
        self.meter.usd += purse.usd
        step = replace(step, reply=reply, usd=step.usd + purse.usd)
        self._take(step)
        return step, ending

    def _take(self, step: Step) -> None:
        self.conversation.add(step.content or [], step.reply or [])
        self.meter.count(step.usage, step.reply)
        if self.meter.crowded:
            self.conversation.compact(self._session.limits.context // 2)
        self._nudged = self._nudged or any(block["type"] == "text" for block in step.reply or [])

    async def _again(self, step: Step) -> _Ending | None:
        """Make the edits of a step that is done once more, on the tree of this process.

        What the other tools are called and take, a release may have changed meanwhile.
        """
        done = {b["tool_use_id"]: b for b in step.reply or [] if b["type"] == "tool_result"}
        for call in _calls(step.content or []):
            result = done.get(call["id"])
            if result is None or result["is_error"] or TOOLS.get(call["name"]) not in _KEPT:
                continue
            try:
                parsed = self._session.toolbox.parsed(call["name"], call["input"])
                if isinstance(parsed, Finish | GiveUp):
                    return parsed
                await self._session.toolbox.answer(call["name"], call["input"])
            except RefusedError as error:
                return Ended.LOST, f"step {step.number} of it cannot be made again: {error}"
        return None

    async def _reply(self, content: Blocks, stop_reason: str) -> tuple[Blocks, _Ending | None]:
        calls = _calls(content)
        if stop_reason in {"refusal", "model_context_window_exceeded"}:
            return [], (Ended.PROVIDER, f"the provider stopped the model: {stop_reason}")
        if not calls and self._nudged:
            return [], (Ended.SILENCE, "the model stopped calling tools")
        if not calls:
            return [{"type": "text", "text": _NUDGE}], None
        reply: Blocks = []
        for call in calls:
            try:
                _check_whole(call, content, stop_reason)
                if ending := self._session.toolbox.ending(call["name"], call["input"]):
                    _check_alone(call, calls, reply)
                    await self._session.toolbox.check(ending)
                    return [*reply, _result(call, _ACCEPTED)], ending
                _check_room(reply)
                reply.append(_result(call, await self._session.toolbox.answer(call["name"], call["input"])))
            except RefusedError as error:
                reply.append(_result(call, str(error), is_error=True))
        return reply, None


def _ended(ending: _Ending | None, meter: Meter) -> Proposed | GaveUp:
    steps, usage, usd = meter.steps, meter.usage, meter.usd
    match ending:
        case Finish():
            return Proposed(**ending.model_dump(), steps=steps, usage=usage, usd=usd)
        case GiveUp(reason=reason):
            return GaveUp(reason=reason, ended=Ended.MODEL, steps=steps, usage=usage, usd=usd)
        case (ended, reason):
            return GaveUp(reason=reason, ended=ended, steps=steps, usage=usage, usd=usd)
        case None:
            raise TypeError("the loop ends with an ending")


def _readable(value: Any) -> Any:
    """JSON without halves of surrogate pairs, which a model may say but nothing can store or send."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {_readable(key): _readable(inner) for key, inner in value.items()}
    return [_readable(inner) for inner in value] if isinstance(value, list) else value


def _calls(content: Blocks) -> Blocks:
    return [block for block in content if block["type"] == "tool_use"]


def _check_whole(call: dict[str, Any], content: Blocks, stop_reason: str) -> None:
    """An answer that reached its limit was cut in its last block."""
    if stop_reason == "max_tokens" and call is content[-1]:
        raise RefusedError(_CUT)


def _check_alone(call: dict[str, Any], calls: Blocks, before: Blocks) -> None:
    """A model that ends in the same breath has not seen that another call of it failed."""
    if call is not calls[-1] or any(result["is_error"] for result in before):
        raise RefusedError(f"see the results of your other calls first, then call {call['name']} alone")


def _check_room(before: Blocks) -> None:
    if sum(len(result["content"]) for result in before) > _MOST_AT_ONCE:
        raise RefusedError(_FULL)


def _result(call: dict[str, Any], text: str, *, is_error: bool = False) -> dict[str, Any]:
    return {
        "type": "tool_result",
        "tool_use_id": call["id"],
        # The API takes no blank text, and a file may be blank.
        "content": clip(text, 2 * MAX_RESULT_CHARS) if text.strip() else "[blank]",
        "is_error": is_error,
    }
