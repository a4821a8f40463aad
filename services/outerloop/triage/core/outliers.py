"""Outliers: a trace that took longer, used more tokens or cost more than is usual for its agent. Pure.

They fail nothing: what is slow or dear may be right. A measure is the logarithm of an amount, as times and
costs are skewed; how far it is from the median of the agent's traces is told in median absolute deviations,
which outliers among those do not move (Iglewicz and Hoaglin, How to Detect and Handle Outliers, 1993).
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from outerloop.runtime.prices import Price, Usage
from outerloop.trace.model import Span, Trace

# What the authors advise; a deviation times this is a standard deviation where the logarithms are normal.
_FAR = 3.5
_TO_SIGMA = 1.4826
# Where nearly all traces are alike, a little more is not unusual.
_LEAST_TIMES = 2.0
LEAST_TRACES = 50


@dataclass(frozen=True, slots=True)
class Usual:
    """The median of an agent's traces, and what is beyond is an outlier."""

    median: float
    limit: float


@dataclass(frozen=True, slots=True)
class Outlier:
    """A latency_outlier, token_outlier or cost_outlier, in seconds, tokens or dollars; its span has most."""

    kind: str
    subject: str
    span_id: str
    value: float
    usual: float


def usual_of(amounts: Sequence[float]) -> Usual | None:
    """What is usual, by the amounts of an agent's traces; None where too few tell (0 tells nothing)."""
    logs = [math.log(amount) for amount in amounts if amount > 0]
    if len(logs) < LEAST_TRACES:
        return None
    middle = median(logs)
    spread = _TO_SIGMA * median(abs(each - middle) for each in logs)
    return Usual(math.exp(middle), math.exp(middle + max(_FAR * spread, math.log(_LEAST_TIMES))))


def slow(trace: Trace, seconds: float, usual: Usual) -> Iterator[Outlier]:
    """It took too long; shown by the span that took most time for itself."""
    if seconds > usual.limit:
        spent = _own_time(trace)
        yield _outlier("latency_outlier", max(trace.spans, key=lambda s: spent[s.span_id]), seconds, usual)


def wordy(trace: Trace, tokens: float, usual: Usual) -> Iterator[Outlier]:
    """It used too many tokens; shown by the call of a model that used most."""
    if tokens > usual.limit:
        most = max(trace.model_calls or (trace.root,), key=lambda s: s.input_tokens + s.output_tokens)
        yield _outlier("token_outlier", most, tokens, usual)


def dear(trace: Trace, usd: float, usual: Usual, prices: Mapping[str, Price]) -> Iterator[Outlier]:
    """It cost too much; shown by the call of a model that cost most."""
    if usd > usual.limit:
        most = max(trace.model_calls or (trace.root,), key=lambda s: _usd(s, prices))
        yield _outlier("cost_outlier", most, usd, usual)


def _outlier(kind: str, span: Span, value: float, usual: Usual) -> Outlier:
    return Outlier(kind, span.tool or span.model or span.name, span.span_id, value, usual.median)


def _own_time(trace: Trace) -> dict[str, int]:
    """Nanoseconds of each span that none of its children took."""
    spent = {span.span_id: max(0, span.end_ns - span.start_ns) for span in trace.spans}
    own = dict(spent)
    for span in trace.spans:
        if span.parent_span_id in own:
            own[span.parent_span_id] -= spent[span.span_id]
    return own


def _usd(span: Span, prices: Mapping[str, Price]) -> float:
    price = prices.get(span.model)
    return price.usd(Usage(span.input_tokens, span.output_tokens)) if price else 0.0
