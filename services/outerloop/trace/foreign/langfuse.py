"""Langfuse's exports: observations, traces and scores, by the names of its files or of its API.

They are told apart by what they have. The attributes are those that Langfuse's own SDK sends, so
trace.dialects knows them.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from outerloop.trace.evaluation import EVENT
from outerloop.trace.foreign.made import Attributes, Made, Row, identity, nanoseconds, pairs, text
from outerloop.trace.otlp import SPAN_ID_BYTES, TRACE_ID_BYTES

_CAPITAL = re.compile(r"(?<=[a-z0-9])([A-Z])")
# Field of an observation or a trace -> attribute.
_ATTRIBUTES = {
    "session_id": "langfuse.session.id",
    "user_id": "langfuse.user.id",
    "trace_name": "langfuse.trace.name",
    "version": "langfuse.version",
    "release": "langfuse.release",
    "environment": "langfuse.environment",
    "level": "langfuse.observation.level",
    "status_message": "langfuse.observation.status_message",
    "input": "langfuse.observation.input",
    "output": "langfuse.observation.output",
    "metadata": "langfuse.observation.metadata",
    "provided_model_name": "langfuse.observation.model.name",
    "model": "langfuse.observation.model.name",
    "model_parameters": "langfuse.observation.model.parameters",
    "usage": "langfuse.observation.usage_details",  # as it was called before
    "usage_details": "langfuse.observation.usage_details",
    "completion_start_time": "langfuse.observation.completion_start_time",
    "prompt_name": "langfuse.observation.prompt.name",
    "prompt_version": "langfuse.observation.prompt.version",
    "tags": "langfuse.trace.tags",
}
_COSTS = ("total_cost", "calculated_total_cost")
_READ = {"id", "trace_id", "parent_observation_id", "type", "name", "start_time", "end_time", "timestamp"} | {
    *("cost_details", *_COSTS)
}
# Follows from the rest, or is Langfuse's own bookkeeping.
_SPARED = {
    "project_id",
    "created_at",
    "updated_at",
    "latency",
    "time_to_first_token",
    "calculated_input_cost",
    "calculated_output_cost",
} | {
    *(
        "model_id",
        "internal_model_id",
        "prompt_id",
        "is_deleted",
        "event_ts",
        "bookmarked",
        "public",
        "html_path",
    ),
    *("unit", "input_price", "output_price", "total_price", "observations", "scores", "external_id"),
    *("usage_pricing_tier_id", "usage_pricing_tier_name", "tool_call_names", "config_id", "queue_id"),
}
_SCORE = {
    "id",
    "trace_id",
    "observation_id",
    "name",
    "value",
    "string_value",
    "comment",
    "source",
    "data_type",
} | {
    *("timestamp", "author_user_id", "session_id", "environment", "metadata", "dataset_run_id"),
}
_FALSE = {"false": "fail", "true": "pass"}


def traces_of(row: Row) -> Iterator[str]:
    """The id of the trace that this row is, if it is one: observations without a parent hang below it."""
    if "trace_id" not in (known := _named(row)) and isinstance(known.get("id"), str):
        yield known["id"]


def read(row: Row, roots: frozenset[str]) -> Made:
    """What a row becomes; `roots` are the traces whose own rows are in the export (traces_of).

    Raises:
        ValueError: saying why it is none of Langfuse's.
    """
    known, made = _named(row), Made()
    if "trace_id" not in known:
        _trace(known, made)
        for inner in known.get("observations") or ():
            if isinstance(inner, dict):  # the answer of the API for one trace; of several, their ids
                _observation(_named(inner), made, roots | {str(known["id"])})
        for inner in known.get("scores") or ():
            if isinstance(inner, dict):
                _score(_named(inner), made)
    elif "start_time" in known:
        _observation(known, made, roots)
    elif "value" in known or "string_value" in known:
        _score(known, made)
    else:
        raise ValueError("is no observation (start_time), no score (value) and no trace (no trace_id)")
    return made


def _named(row: Row) -> dict[str, Any]:
    return {_CAPITAL.sub(r"_\1", name).lower(): value for name, value in row.items() if value is not None}


def _trace(row: dict[str, Any], made: Made) -> None:
    if "timestamp" not in row:
        raise ValueError("has neither a trace_id nor a timestamp")
    began = nanoseconds(row["timestamp"], "timestamp")
    span = _span(row, str(row.get("id", "")), _root(row.get("id")), began, made)
    span.attributes.extend(pairs({"langfuse.observation.type": "agent"}))
    seconds = row.get("latency")
    span.end_time_unix_nano = began + (int(seconds * 1e9) if isinstance(seconds, int | float) else 0)
    made.spans.append(span)


def _observation(row: dict[str, Any], made: Made, roots: frozenset[str]) -> None:
    trace_id = row.get("trace_id")
    began = nanoseconds(row["start_time"], "start_time")
    span = _span(row, trace_id, identity(row.get("id"), SPAN_ID_BYTES, "id"), began, made)
    kind = str(row.get("type", "span")).lower()
    said: Attributes = {"langfuse.observation.type": kind}
    if costs := _costs(row):
        said["langfuse.observation.cost_details"] = text(costs)
    if kind == "tool":
        said["gen_ai.tool.name"] = row.get("name")
    span.attributes.extend(pairs(said))
    if parent := row.get("parent_observation_id"):
        span.parent_span_id = identity(parent, SPAN_ID_BYTES, "parent_observation_id")
    elif trace_id in roots:
        span.parent_span_id = _root(trace_id)
    ended = row.get("end_time") or row["start_time"]
    span.end_time_unix_nano = max(began, nanoseconds(ended, "end_time"))
    made.spans.append(span)


def _span(row: dict[str, Any], trace_id: Any, span_id: bytes, began: int, made: Made) -> Span:
    said = {name: _value(row[f]) for f, name in _ATTRIBUTES.items() if row.get(f)}
    said["langfuse.observation.id"] = row.get("id") if span_id.hex() != row.get("id") else None
    made.unmapped += _unmapped(row, _ATTRIBUTES.keys() | _READ | _SPARED)
    failed = row.get("level") == "ERROR"
    return Span(
        trace_id=identity(trace_id, TRACE_ID_BYTES, "trace_id"),
        span_id=span_id,
        name=text(row.get("name") or ""),
        kind=Span.SPAN_KIND_INTERNAL,
        start_time_unix_nano=began,
        attributes=pairs(said),
        status=Status(code=Status.STATUS_CODE_ERROR, message=text(row.get("status_message") or ""))
        if failed
        else None,
    )


def _score(row: dict[str, Any], made: Made) -> None:
    value, label = row.get("value"), row.get("string_value") or ""
    if isinstance(value, str):
        value, label = None, label or value
    if str(row.get("data_type", "")).upper() == "BOOLEAN":
        label = _FALSE.get(str(label).lower(), label) or ("pass" if value else "fail")
    at = nanoseconds(row["timestamp"], "timestamp") if "timestamp" in row else 0
    said = {
        "gen_ai.evaluation.name": row.get("name"),
        "gen_ai.evaluation.score.label": label,
        "gen_ai.evaluation.explanation": row.get("comment"),
    }
    record = LogRecord(
        event_name=EVENT,
        trace_id=identity(row.get("trace_id"), TRACE_ID_BYTES, "trace_id"),
        time_unix_nano=at,
        attributes=pairs(said),
    )
    if value is not None:
        record.attributes.extend(pairs({"gen_ai.evaluation.score.value": float(value)}))
    if of := row.get("observation_id"):
        record.span_id = identity(of, SPAN_ID_BYTES, "observation_id")
    made.unmapped += _unmapped(row, _SCORE | _SPARED)
    made.results.append(record)


def _costs(row: dict[str, Any]) -> dict[str, Any]:
    costs = row.get("cost_details") or {}
    if isinstance(costs, str):
        costs = json.loads(costs)
    total = next((row[name] for name in _COSTS if row.get(name)), None)
    return costs if total is None else {"total": total} | costs


def _root(trace_id: Any) -> bytes:
    return identity(f"trace {trace_id}", SPAN_ID_BYTES, "id")


def _value(value: Any) -> Any:
    return value if isinstance(value, list) and all(isinstance(item, str) for item in value) else text(value)


def _unmapped(row: dict[str, Any], known: set[str]) -> Counter[str]:
    return Counter(name for name, value in row.items() if name not in known and value not in ("", [], {}))
