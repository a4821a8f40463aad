"""Recorded runs with labels, read from where they lie: they are no part of this repository."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zstandard
from google.protobuf.internal.decoder import _DecodeVarint32  # type: ignore[attr-defined]
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from outerloop.trace.model import Trace
from outerloop.trace.otlp import spans_of


@dataclass(frozen=True, slots=True)
class Labelled:
    """One run, the task that it was given, whether it succeeded, and all that its label says."""

    trace: Trace
    task: str
    success: bool
    label: dict[str, Any]


def recorded(folder: Path, name: str) -> Iterator[Labelled]:
    """The runs of one file, in its order.

    Raises:
        SystemExit: naming the file that is not there.
    """
    traces, labels = folder / f"{name}.otlp.pb.zst", folder / f"{name}.labels.jsonl"
    for path in (traces, labels):
        if not path.is_file():
            raise SystemExit(f"there is no {path}: give the folder with the recorded traces by --traces")
    said = {label["trace_id"]: label for label in map(json.loads, labels.read_text("utf-8").splitlines())}
    for request in requests(traces.read_bytes()):
        spans = spans_of(request)
        label = said.get(spans[0].trace_id) if spans else None
        if label is not None:
            yield Labelled(Trace.of(spans), str(label["task_id"]), bool(label["success"]), label)


def requests(compressed: bytes) -> Iterator[ExportTraceServiceRequest]:
    """Messages with their length in front."""
    data = zstandard.ZstdDecompressor().decompressobj().decompress(compressed)
    at = 0
    while at < len(data):
        size, at = _DecodeVarint32(data, at)
        yield ExportTraceServiceRequest.FromString(data[at : at + size])
        at += size
