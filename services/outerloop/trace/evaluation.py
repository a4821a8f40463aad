"""Evaluation results: what people and other systems say of a trace, sent as OTLP log events.

The event is `gen_ai.evaluation.result` of the OTel GenAI conventions, parented to the evaluated span;
formerly it was named for the evaluation, as in `gen_ai.evaluation.user_feedback`. Others come with spans
(span_evaluations.py).
"""

from dataclasses import dataclass

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from outerloop.trace.otlp import (
    SPAN_ID_BYTES,
    TRACE_ID_BYTES,
    InvalidError,
    Refusal,
    attributes_of,
    hex_id,
    storable,
)

EVENTS = "gen_ai.evaluation."
EVENT = f"{EVENTS}result"
_BAD_LABELS = {"fail", "failed", "bad", "incorrect", "thumbs_down", "negative", "unsafe", "no"}


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One result. `score` is None when only a label was given; times are Unix nanoseconds."""

    trace_id: str
    span_id: str
    name: str
    label: str
    score: float | None
    explanation: str
    time_ns: int
    source: str

    @property
    def bad(self) -> bool:
        """Whether it calls the run a failure: by its label if there is one, else by a score of 0 or less."""
        if self.label:
            return self.label.lower() in _BAD_LABELS
        return self.score is not None and self.score <= 0


def evaluations_of(request: ExportLogsServiceRequest) -> list[Evaluation]:
    """The valid evaluation results among the log records."""
    return read_evaluations(request)[0]


def read_evaluations(
    request: ExportLogsServiceRequest,
) -> tuple[list[Evaluation], list[Refusal], ExportLogsServiceRequest]:
    """The evaluation results among the log records, why some are left out, and those that are.

    For want of a trace id, mostly. Other records are none of our business.
    """
    found: list[Evaluation] = []
    refused: list[Refusal] = []
    left_out = ExportLogsServiceRequest()
    for group in request.resource_logs:
        source = attributes_of(group.resource.attributes).get("service.name", "")
        wrong: list[LogRecord] = []
        for record in (r for scoped in group.scope_logs for r in scoped.log_records if _is_result(r)):
            try:
                found.append(_evaluation(record, source))
            except InvalidError as error:
                refused.append(error.refusal)
                wrong.append(record)
        if wrong:
            left_out.resource_logs.add(resource=group.resource).scope_logs.add(log_records=wrong)
    return found, refused, left_out


def _is_result(record: LogRecord) -> bool:
    return _event(record).startswith(EVENTS)


def _event(record: LogRecord) -> str:
    # Before LogRecord.event_name existed, SDKs sent the name as an attribute.
    return record.event_name or attributes_of(record.attributes).get("event.name", "")


def _evaluation(record: LogRecord, source: str) -> Evaluation:
    attributes = attributes_of(record.attributes)
    event = _event(record)
    score = attributes.get("gen_ai.evaluation.score.value") or attributes.get("gen_ai.evaluation.score", "")
    return Evaluation(
        trace_id=hex_id(record.trace_id, TRACE_ID_BYTES, "result_trace_id"),
        span_id=hex_id(record.span_id, SPAN_ID_BYTES, "result_span_id") if record.span_id else "",
        name=attributes.get("gen_ai.evaluation.name", "" if event == EVENT else event.removeprefix(EVENTS)),
        label=attributes.get("gen_ai.evaluation.score.label", ""),
        score=number(score),
        explanation=attributes.get("gen_ai.evaluation.explanation", ""),
        time_ns=storable(record.time_unix_nano or record.observed_time_unix_nano),
        source=source,
    )


def number(text: str) -> float | None:
    """The score that this text is, None when it is none."""
    try:
        return float(text)
    except ValueError:
        return None
