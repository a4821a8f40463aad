"""Evaluation results and feedback that come with spans, in the dialects that they come in.

OTel GenAI: span events gen_ai.evaluation.result, as they were sent before these became log events.
OpenInference: evaluations.N.evaluation.* and annotations.N.annotation.* of a span, trace.… of its trace; what
is said of a whole session belongs to no one trace, and stays in the attributes. Logfire: feedback is a span
below the one that is judged.
"""

import re
from collections.abc import Iterator, Mapping

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from outerloop.trace.evaluation import EVENT, Evaluation, number
from outerloop.trace.otlp import InvalidError, attributes_of, check_span

_OPENINFERENCE = re.compile(
    r"((?:trace\.)?(?:evaluations\.[0-9]+\.evaluation|annotations\.[0-9]+\.annotation))\.name", re.ASCII
)
_LOGFIRE = "logfire.feedback.name"
# One of these is in the bytes of every request that holds a result: regular expressions.
HINTS = (
    re.escape(EVENT).encode(),
    rb"evaluations\.[0-9]+\.evaluation\.name",
    rb"annotations\.[0-9]+\.annotation\.name",
    re.escape(_LOGFIRE).encode(),
)
_ASSERTED = {"true": "pass", "false": "fail"}


def evaluations_in(request: ExportTraceServiceRequest) -> list[Evaluation]:
    """The results that valid spans carry."""
    found: list[Evaluation] = []
    for group in request.resource_spans:
        source = attributes_of(group.resource.attributes).get("service.name", "")
        for span in (s for scoped in group.scope_spans for s in scoped.spans):
            try:
                check_span(span)
            except InvalidError:
                continue  # it is left out, whatever it says
            attributes = attributes_of(span.attributes)
            found += _events(span, source)
            found += _openinference(span, attributes, source)
            found += _logfire(span, attributes, source)
    return found


def _events(span: Span, source: str) -> Iterator[Evaluation]:
    for event in span.events:
        if event.name == EVENT:
            said = attributes_of(event.attributes)
            yield Evaluation(
                trace_id=span.trace_id.hex(),
                span_id=span.span_id.hex(),
                name=said.get("gen_ai.evaluation.name", ""),
                label=said.get("gen_ai.evaluation.score.label", ""),
                score=number(said.get("gen_ai.evaluation.score.value", "")),
                explanation=said.get("gen_ai.evaluation.explanation", ""),
                time_ns=event.time_unix_nano or span.start_time_unix_nano,
                source=source,
            )


def _openinference(span: Span, attributes: Mapping[str, str], source: str) -> Iterator[Evaluation]:
    for base in (found[1] for name in attributes if (found := _OPENINFERENCE.fullmatch(name))):
        who = attributes.get(f"{base}.identifier") or attributes.get(f"{base}.annotator_kind", "").lower()
        yield Evaluation(
            trace_id=span.trace_id.hex(),
            span_id="" if base.startswith("trace.") else span.span_id.hex(),
            name=attributes[f"{base}.name"],
            label=attributes.get(f"{base}.label", ""),
            score=number(attributes.get(f"{base}.score", "")),
            explanation=attributes.get(f"{base}.explanation", ""),
            time_ns=span.start_time_unix_nano,
            source=who or source,
        )


def _logfire(span: Span, attributes: Mapping[str, str], source: str) -> Iterator[Evaluation]:
    if name := attributes.get(_LOGFIRE):
        answer = attributes.get(name, "")
        score = number(answer)
        yield Evaluation(
            trace_id=span.trace_id.hex(),
            span_id=span.parent_span_id.hex(),
            name=name,
            label=_ASSERTED.get(answer, answer if score is None else ""),
            score=score,
            explanation=attributes.get("logfire.feedback.comment", ""),
            time_ns=span.start_time_unix_nano,
            source=source,
        )
