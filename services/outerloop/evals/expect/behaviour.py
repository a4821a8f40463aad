"""Behaviour: how a run went, whatever it answered."""

from functools import lru_cache
from typing import Annotated, Literal

from pydantic import Field, model_validator

from outerloop.evals.expect.base import Check, Run, Seen, listed, short
from outerloop.evals.expect.patterns import found
from outerloop.runtime.prices import Price, Usage, known_prices, price_of
from outerloop.trace.model import Span, Trace

_CUT_OFF = r'"?(max_tokens|length|MAX_TOKENS|model_context_window_exceeded)"?'
_FINISH = "gen_ai.response.finish_reasons"
_Count = Annotated[int, Field(ge=0)] | None
_Amount = Annotated[float, Field(gt=0)] | None


class NoErrorStatus(Check):
    """The run as a whole ended without an error: its root span has none."""

    check: Literal["no_error_status"] = "no_error_status"

    @property
    def words(self) -> str:
        """See Check."""
        return "ends without an error"

    @property
    def wanted(self) -> str:
        """See Check."""
        return "expected an end without an error"

    def look(self, run: Run) -> Seen:
        """See Check."""
        root = run.trace.root
        if not root.failed:
            return Seen(holds=True, saw="the run ended without one")
        said = _error(root)
        return Seen(holds=False, saw=f"the run ended with {short(said) if said else 'one'}")


class NoErrorSpans(Check):
    """No step of the run failed; but for calls of the tools in `but`, whose errors are answers."""

    check: Literal["no_error_spans"] = "no_error_spans"
    but: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """See Check."""
        but = f", but perhaps in {listed(self.but, 'or')}" if self.but else ""
        return f"has no step that fails{but}"

    def look(self, run: Run) -> Seen:
        """See Check."""
        failed = [span for span in run.trace.spans if span.failed and span.tool not in self.but]
        if not failed:
            return Seen(holds=True, saw="none failed")
        said, step = _error(failed[0]) or "an error", failed[0].name or failed[0].operation
        return Seen(holds=False, saw=f"{short(step)} failed with {short(said)}")


class Finished(Check):
    """The run came to its end: an answer, without an error, and not cut off at the limit on tokens."""

    check: Literal["finished"] = "finished"

    @property
    def words(self) -> str:
        """See Check."""
        return "comes to its end with an answer that is not cut off"

    def look(self, run: Run) -> Seen:
        """See Check."""
        trace = run.trace
        if trace.root.failed:
            return Seen(holds=False, saw=f"it ended with {short(_error(trace.root)) or 'an error'}")
        if not trace.answer.strip():
            return Seen(holds=False, saw="it ended without an answer")
        cut = any(found(_CUT_OFF, call.attributes.get(_FINISH, "")) for call in trace.model_calls[-1:])
        return Seen(not cut, "its answer was cut off at the limit on tokens" if cut else "it did")


class AtMost(Check):
    """The run took no more than this. `usd` is by list prices, without what a cache would save."""

    check: Literal["at_most"] = "at_most"
    model_calls: _Count = None
    tool_calls: _Count = None
    input_tokens: _Count = None
    output_tokens: _Count = None
    tokens: _Count = None
    seconds: _Amount = None
    usd: _Amount = None

    @model_validator(mode="after")
    def _limits_something(self) -> "AtMost":
        if not self._limits:
            raise ValueError(f"say one of {', '.join(list(type(self).model_fields)[1:])}")
        return self

    @property
    def _limits(self) -> dict[str, float]:
        limits = self.model_dump(exclude={"check"}, exclude_none=True)
        return {name: float(limit) for name, limit in limits.items()}

    @property
    def words(self) -> str:
        """See Check."""
        return f"takes at most {listed([_amount(name, most) for name, most in self._limits.items()])}"

    def look(self, run: Run) -> Seen:
        """See Check.

        Raises:
            UserError: if it limits dollars, and a model was called whose price is not known.
        """
        for name, most in self._limits.items():
            if (taken := _taken(name, run)) > most:
                return Seen(holds=False, saw=f"it took {_amount(name, taken)}")
        return Seen(holds=True, saw="it did")


def _taken(name: str, run: Run) -> float:
    calls = run.trace.counted_calls
    match name:
        case "model_calls":
            return len(calls)
        case "tool_calls":
            return len(run.calls)
        case "seconds":
            return _seconds(run.trace)
        case "usd":
            return sum(_usd(call) for call in calls)
    return sum(
        (call.input_tokens if name != "output_tokens" else 0)
        + (call.output_tokens if name != "input_tokens" else 0)
        for call in calls
    )


def _seconds(trace: Trace) -> float:
    return (max(span.end_ns for span in trace.spans) - trace.root.start_ns) / 1e9


def _usd(call: Span) -> float:
    price = _prices().get(call.model) or price_of(call.model, setting="an expectation `at_most: usd`")
    return price.usd(Usage(call.input_tokens, call.output_tokens))


@lru_cache(maxsize=1)
def _prices() -> dict[str, Price]:
    return known_prices()


def _amount(name: str, amount: float) -> str:
    return f"${amount:.4g}" if name == "usd" else f"{amount:.4g} {name.replace('_', ' ')}"


def _error(span: Span) -> str:
    return ": ".join(filter(None, (span.error_type, span.status_message)))
