"""Audit: the shop's end-of-day job, which looks at every refund and says whether it should have been paid.

It reads the ledger that the agent wrote (`helpdesk/ledger.py`) and speaks OpenTelemetry: one log record
`gen_ai.evaluation.result` a refund, pass or fail, on the root span of the request that paid it.
"""

import json
from datetime import date
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import SEVERITY_NUMBER_INFO, LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

EVALUATION = "refund_audit"
SERVICE = "helpdesk-audit"
WINDOW_DAYS = 30


def refunds(ledger: Path, *, skip: int = 0) -> list[dict[str, Any]]:
    """The refunds in the ledger, without the first `skip`; [] when there is no ledger yet."""
    lines = ledger.read_text().splitlines() if ledger.exists() else []
    return [json.loads(line) for line in lines[skip:]]


def audit(paid: list[dict[str, Any]], time_ns: int) -> bytes:
    """The verdicts on `paid`, reached at `time_ns` (Unix), as ExportLogsServiceRequest bytes."""
    records = [_record(refund, time_ns) for refund in paid]
    scope = ScopeLogs(scope=InstrumentationScope(name=EVALUATION), log_records=records)
    resource = Resource(attributes=[_text("service.name", SERVICE)])
    return ExportLogsServiceRequest(
        resource_logs=[ResourceLogs(resource=resource, scope_logs=[scope])]
    ).SerializeToString()


def _record(refund: dict[str, Any], time_ns: int) -> LogRecord:
    age = (date.fromisoformat(refund["today"]) - date.fromisoformat(refund["delivered_on"])).days
    good = age <= WINDOW_DAYS
    why = f"refunded {refund['order_id']} delivered {age} days ago; the refund window is {WINDOW_DAYS} days"
    score = KeyValue(key="gen_ai.evaluation.score.value", value=AnyValue(double_value=float(good)))
    return LogRecord(
        time_unix_nano=time_ns,
        observed_time_unix_nano=time_ns,
        severity_number=SEVERITY_NUMBER_INFO,
        event_name="gen_ai.evaluation.result",
        trace_id=bytes.fromhex(refund["trace_id"]),
        span_id=bytes.fromhex(refund["span_id"]),
        attributes=[
            _text("gen_ai.evaluation.name", EVALUATION),
            _text("gen_ai.evaluation.score.label", "pass" if good else "fail"),
            score,
            _text("gen_ai.evaluation.explanation", why),
        ],
    )


def _text(key: str, value: str) -> KeyValue:
    return KeyValue(key=key, value=AnyValue(string_value=value))
