"""What a trace went through and what it cost: the columns beside its verdict. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from outerloop.runtime.prices import Price, Usage
from outerloop.trace.model import Span, Trace


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """See migration 0016; named as the fields of a Verdict."""

    model: str
    tools: tuple[str, ...]
    spans: int
    seconds: float
    input_tokens: int
    output_tokens: int
    usd: float
    unpriced_tokens: int


def facts_of(trace: Trace, prices: Mapping[str, Price]) -> Facts:
    """The facts of a trace; `prices` by model."""
    asked = _asked(trace)
    known = [s for s in asked if s.model in prices]
    ends = max(s.end_ns for s in trace.spans)
    return Facts(
        model=next((s.model for s in reversed(asked) if s.model), ""),
        tools=tuple(sorted({call.name for call in trace.tool_calls if call.name})),
        spans=len(trace.spans),
        seconds=max(0, ends - trace.spans[0].start_ns) / 1e9,
        input_tokens=sum(s.input_tokens for s in asked),
        output_tokens=sum(s.output_tokens for s in asked),
        usd=sum(prices[s.model].usd(Usage(s.input_tokens, s.output_tokens)) for s in known),
        unpriced_tokens=sum(s.input_tokens + s.output_tokens for s in asked if s.model not in prices),
    )


def tool_at(trace: Trace, span_id: str) -> str:
    """The tool that the span is a call of, "" when it is none."""
    return next((s.tool for s in trace.spans if s.span_id == span_id and s.operation == "execute_tool"), "")


def _asked(trace: Trace) -> list[Span]:
    """The spans that say what was used: calls of models, or the root where it alone tells of tokens."""
    calls = [s for s in trace.counted_calls if s.input_tokens or s.output_tokens]
    return calls or [*trace.counted_calls, trace.root]
