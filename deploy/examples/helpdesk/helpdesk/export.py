"""Exporter: spans to a collector as OTLP over http/protobuf, by the standard library.

OpenTelemetry's own exporter loads two HTTP libraries to do this, and every trial starts this process.
"""

import logging
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from threading import Event
from typing import NamedTuple

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

FIRST_PAUSE = 0.5  # seconds; each further one is twice as long
RETRIED = frozenset({429, 502, 503, 504})


class Problem(NamedTuple):
    """Why an attempt failed, and whether another may not."""

    text: str
    passes: bool


class Exporter(SpanExporter):
    """Posts to `url`, again and again for `seconds`; what the collector refuses or never took is lost."""

    def __init__(self, url: str, seconds: float) -> None:
        self._url = url
        self._seconds = seconds
        self._closed = Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """One request with all of `spans`."""
        body = encode_spans(spans).SerializeToString()
        deadline, pause = time.monotonic() + self._seconds, FIRST_PAUSE
        while problem := self._problem(body):
            if not problem.passes or time.monotonic() + pause > deadline or self._closed.wait(pause):
                logging.getLogger(__name__).error("%d spans are lost: %s", len(spans), problem.text)
                return SpanExportResult.FAILURE
            pause *= 2
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """No further attempts."""
        self._closed.set()

    def _problem(self, body: bytes) -> Problem | None:
        try:
            self._post(body)
        except urllib.error.HTTPError as error:
            return Problem(str(error), error.code in RETRIED)
        except OSError as error:
            return Problem(str(error), passes=True)
        return None

    def _post(self, body: bytes) -> None:
        request = urllib.request.Request(  # noqa: S310 - the address is the operator's, from the environment
            self._url, body, {"content-type": "application/x-protobuf"}
        )
        with urllib.request.urlopen(request, timeout=self._seconds) as response:  # noqa: S310 - same
            response.read()
