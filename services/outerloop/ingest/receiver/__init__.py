"""OTLP receivers, for agents without a Collector: what comes is on Kafka before it is acknowledged.

gRPC and HTTP differ in words only; what both do with a request is in `intake`, what OTLP asks of a server is
in opentelemetry-proto, docs/specification.md.
"""

import contextlib
from collections.abc import AsyncIterator

from outerloop.ingest.cleaning import Cleaner
from outerloop.ingest.receiver.grpc import grpc_receiver
from outerloop.ingest.receiver.http import http_receiver
from outerloop.ingest.receiver.intake import Intake
from outerloop.ingest.settings import IngestSettings
from outerloop.runtime.bus import Bus


@contextlib.asynccontextmanager
async def receivers(bus: Bus, settings: IngestSettings, cleaner: Cleaner) -> AsyncIterator[None]:
    """Listen while the context lasts; a port of 0: not by that protocol.

    Raises:
        UserError: when a port is taken, or certificate and key do not belong together.
    """
    intake = Intake(bus, settings, cleaner)
    # HTTP first: it says what is wrong with a certificate, where gRPC says that it cannot listen.
    async with intake, http_receiver(intake, settings), grpc_receiver(intake, settings):
        yield
