"""Tools: calls that a run makes or does not make, in which order, how often and with what."""

from collections import Counter
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from outerloop.evals.expect.base import Check, Run, Seen, listed, short, times
from outerloop.evals.expect.values import Path, Value, fit, in_words
from outerloop.evals.jsonvalue import canonical
from outerloop.runtime.documents import Document
from outerloop.trace.model import ToolCall


class Call(Document):
    """Calls of a tool with at least these `arguments` (equal after JSON), and `where` values that fit."""

    tool: Annotated[str, Field(min_length=1)]
    arguments: dict[str, Any] = Field(default_factory=dict)
    where: dict[Path, Value] = Field(default_factory=dict[str, Value])

    def fits(self, call: ToolCall) -> bool:
        """Whether the call is one of these."""
        return call.name == self.tool and given(call, self.arguments) and fit(self.where, call.arguments)

    @property
    def words(self) -> str:
        """The tool's name, with its arguments."""
        return self.tool + with_(self.arguments, self.where)


def _named(value: Any) -> Any:
    return {"tool": value} if isinstance(value, str) else value


# A name alone stands for any call of that tool.
AnyCall = Annotated[Call, BeforeValidator(_named)]


class ToolCalled(Check):
    """The tool was called, with at least these arguments (equal after JSON), without an error."""

    check: Literal["tool_called"] = "tool_called"
    tool: str
    arguments: dict[str, Any] = Field(default_factory=dict)
    where: dict[Path, Value] = Field(default_factory=dict[str, Value])

    @property
    def words(self) -> str:
        """See Check."""
        return f"calls {self.tool}{with_(self.arguments, self.where)}"

    @property
    def wanted(self) -> str:
        """See Check."""
        return f"expected a call of {call_of(self.tool, self.arguments, self.where)}"

    def look(self, run: Run) -> Seen:
        """See Check."""
        calls = [call for call in run.calls if call.name == self.tool]
        matching = [c for c in calls if given(c, self.arguments) and fit(self.where, c.arguments)]
        if any(not call.failed for call in matching):
            return Seen(holds=True, saw="it was called")
        if matching:
            return Seen(holds=False, saw=f"it was called, but failed{_result(matching[-1])}")
        return Seen(holds=False, saw=f"it was called{as_made(calls[-1])}" if calls else "it was never called")


class ToolNotCalled(Check):
    """The tool was never called with these arguments (none given: not at all)."""

    check: Literal["tool_not_called"] = "tool_not_called"
    tool: str
    arguments: dict[str, Any] = Field(default_factory=dict)
    where: dict[Path, Value] = Field(default_factory=dict[str, Value])

    @property
    def words(self) -> str:
        """See Check."""
        return f"never calls {self.tool}{with_(self.arguments, self.where)}"

    @property
    def wanted(self) -> str:
        """See Check."""
        return f"expected no call of {call_of(self.tool, self.arguments, self.where)}"

    def look(self, run: Run) -> Seen:
        """See Check."""
        made = [
            call
            for call in run.calls
            if call.name == self.tool and given(call, self.arguments) and fit(self.where, call.arguments)
        ]
        return Seen(not made, f"it was called{as_made(made[0])}" if made else "it was not called")


class ToolSucceeds(Check):
    """The last call of the tool, if there is one, did not fail: who needs it has its answer in the end."""

    check: Literal["tool_succeeds"] = "tool_succeeds"
    tool: str

    @property
    def words(self) -> str:
        """See Check."""
        return f"has an answer of {self.tool} in the end, where it calls it"

    @property
    def wanted(self) -> str:
        """See Check."""
        return f"expected that {self.tool} answers in the end, where it is called"

    def look(self, run: Run) -> Seen:
        """See Check."""
        last = next((call for call in reversed(run.calls) if call.name == self.tool), None)
        if last is None or not last.failed:
            return Seen(holds=True, saw="its last call did not fail" if last else "it was not called")
        return Seen(holds=False, saw=f"its last call failed{_result(last)}")


class NoRepeatedCall(Check):
    """No tool call was made more than `most` times with the same arguments."""

    check: Literal["no_repeated_call"] = "no_repeated_call"
    most: Annotated[int, Field(ge=1)] = 2

    @property
    def words(self) -> str:
        """See Check."""
        return f"makes no tool call more than {times(self.most)} with the same arguments"

    @property
    def wanted(self) -> str:
        """See Check."""
        return f"expected no call more than {times(self.most)}"

    def look(self, run: Run) -> Seen:
        """See Check."""
        made = Counter((call.name, canonical(call.arguments)) for call in run.calls)
        for (name, arguments), count in made.items():
            if count > self.most:
                return Seen(holds=False, saw=f"{name} was called {count} times with {short(arguments)}")
        return Seen(holds=True, saw="no call was made more often")


class ToolsInOrder(Check):
    """Calls that were made without an error, one after the other; others may have come in between."""

    check: Literal["tools_in_order"] = "tools_in_order"
    calls: Annotated[tuple[AnyCall, ...], Field(min_length=1)]

    @property
    def words(self) -> str:
        """See Check."""
        return f"calls, in this order, {listed([call.words for call in self.calls], 'then')}"

    def look(self, run: Run) -> Seen:
        """See Check."""
        left = list(self.calls)
        for call in run.calls:
            if left and not call.failed and left[0].fits(call):
                left.pop(0)
        if not left:
            return Seen(holds=True, saw="it did")
        done = len(self.calls) - len(left)
        after = f" after {self.calls[done - 1].words}" if done else ""
        return Seen(holds=False, saw=f"there is no call of {left[0].words}{after}")


class ToolCount(Check):
    """How many calls of a tool were made, failed ones too."""

    check: Literal["tool_count"] = "tool_count"
    tool: Annotated[str, Field(min_length=1)]
    arguments: dict[str, Any] = Field(default_factory=dict)
    where: dict[Path, Value] = Field(default_factory=dict[str, Value])
    at_least: Annotated[int, Field(ge=0)] | None = None
    at_most: Annotated[int, Field(ge=0)] | None = None

    @model_validator(mode="after")
    def _can_hold(self) -> "ToolCount":
        if self.at_least is None and self.at_most is None:
            raise ValueError("say at_least or at_most")
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise ValueError("at_least is more than at_most: no run could hold it")
        return self

    @property
    def words(self) -> str:
        """See Check."""
        if self.at_least is not None and self.at_least == self.at_most:
            often = f"exactly {times(self.at_least)}"
        else:
            least = "" if self.at_least is None else f"at least {times(self.at_least)}"
            most = "" if self.at_most is None else f"at most {times(self.at_most)}"
            often = " and ".join(filter(None, (least, most)))
        return f"calls {self.tool}{with_(self.arguments, self.where)} {often}"

    def look(self, run: Run) -> Seen:
        """See Check."""
        wanted = Call(tool=self.tool, arguments=self.arguments, where=self.where)
        made = sum(wanted.fits(call) for call in run.calls)
        enough = self.at_least is None or made >= self.at_least
        return Seen(
            enough and (self.at_most is None or made <= self.at_most),
            f"it was called {times(made)}" if made else "it was never called",
        )


def given(call: ToolCall, arguments: dict[str, Any]) -> bool:
    """Whether the call has at least these arguments."""
    return all(
        key in call.arguments and canonical(call.arguments[key]) == canonical(value)
        for key, value in arguments.items()
    )


def with_(arguments: dict[str, Any], where: dict[str, Value]) -> str:
    """The arguments in words, to be put behind a tool's name."""
    shown = [f"{key} = {canonical(value)}" for key, value in arguments.items()] + in_words(where)
    return f" with {' and '.join(shown)}" if shown else ""


def call_of(tool: str, arguments: dict[str, Any], where: dict[str, Value]) -> str:
    """A call as a reason names it."""
    plain = f"{tool} with {arguments}" if arguments else tool
    fitting = " and ".join(in_words(where))
    return f"{plain}{' and ' if arguments else ' with '}{fitting}" if fitting else plain


def as_made(call: ToolCall) -> str:
    """The arguments of a call that was made."""
    return f" with {short(str(dict(call.arguments)))}" if call.arguments else " without arguments"


def _result(call: ToolCall) -> str:
    return f" with {short(call.result)}" if call.result else ""
