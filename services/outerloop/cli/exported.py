"""What files of other tools hold, as OTLP: parts that can be sent, and an account of what cannot."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from outerloop.cli import exports
from outerloop.runtime.errors import PoisonError
from outerloop.trace.foreign import langfuse, phoenix
from outerloop.trace.foreign.made import Made, pairs
from outerloop.trace.otlp import decode_logs, decode_traces

_ROWS_AT_A_TIME = 500
_WRONG_SHOWN = 20
_LOGS = b'"resourceLogs"'
Part = tuple[ExportTraceServiceRequest, ExportLogsServiceRequest]


@dataclass
class Account:
    """What became of records; `wrong` names the first that were left out, by file and number."""

    records: int = 0
    spans: int = 0
    evaluations: int = 0
    left_out: int = 0
    wrong: list[str] = field(default_factory=list[str])
    unmapped: Counter[str] = field(default_factory=Counter[str])

    def leave_out(self, file: Path, number: int, error: Exception) -> None:
        """This record is not taken."""
        self.left_out += 1
        if len(self.wrong) < _WRONG_SHOWN:
            self.wrong.append(f"{file}, record {number}: {error}")


def of_otlp(files: Sequence[Path], account: Account) -> Iterator[Part]:
    """The requests in files of OTLP."""
    for file in files:
        for number, request in enumerate(exports.requests(file), 1):
            account.records += 1
            try:
                if _LOGS in request[:200]:
                    yield ExportTraceServiceRequest(), decode_logs(request)
                else:
                    yield decode_traces(request), ExportLogsServiceRequest()
            except PoisonError as error:
                account.leave_out(file, number, error)


def of_langfuse(files: Sequence[Path], account: Account, agent: str) -> Iterator[Part]:
    """Observations, traces and scores; read twice, as a trace may stand behind its observations."""
    every = (row for file in files for row in exports.rows(file) if isinstance(row, dict))
    roots = frozenset(trace for row in every for trace in langfuse.traces_of(row))
    yield from _made(files, account, agent, partial(langfuse.read, roots=roots))


def of_phoenix(files: Sequence[Path], account: Account, agent: str) -> Iterator[Part]:
    """Spans of Phoenix."""
    yield from _made(files, account, agent, phoenix.read)


def _made(files: Sequence[Path], account: Account, agent: str, read: Callable[[Any], Made]) -> Iterator[Part]:
    made = Made()
    for file in files:
        for number, row in enumerate(exports.rows(file), 1):
            account.records += 1
            try:
                one = read(_checked(row))
            except (ValueError, TypeError, OverflowError, RecursionError) as error:
                account.leave_out(file, number, error)
                continue
            made.spans += one.spans
            made.results += one.results
            account.unmapped += one.unmapped
            if len(made.spans) + len(made.results) >= _ROWS_AT_A_TIME:
                yield _part(made, agent)
                made = Made()
    yield _part(made, agent)


def _checked(row: Any) -> Any:
    if isinstance(row, Exception):
        raise row
    if not isinstance(row, dict):
        raise TypeError("is no JSON object")
    return row


def _part(made: Made, agent: str) -> Part:
    spans, results = ExportTraceServiceRequest(), ExportLogsServiceRequest()
    resource = pairs({"service.name": agent})
    if made.spans:
        group = spans.resource_spans.add()
        group.resource.attributes.extend(resource)
        group.scope_spans.add(spans=made.spans).scope.name = "outerloop.backfill"
    if made.results:
        logs = results.resource_logs.add()
        logs.resource.attributes.extend(resource)
        logs.scope_logs.add(log_records=made.results)
    return spans, results
