# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "pydantic-ai-slim[anthropic]==2.68.0",
#   "opentelemetry-sdk==1.45.2", "opentelemetry-exporter-otlp-proto-grpc==1.45.2",
# ]
# ///
"""An agent on pydantic-ai, which traces itself.

`pydantic_agent.py CONVERSATION "Where is order A-1?"`.
"""

import sys

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from pydantic_ai import Agent, InstrumentationSettings, ModelRetry

ORDERS = {"A-1": "shipped, arrives on Tuesday"}


def get_order(order_id: str) -> str:
    """Tell where an order is."""
    if order_id not in ORDERS:
        raise ModelRetry(f"no order {order_id}")
    return ORDERS[order_id]


def main(conversation: str, question: str) -> None:
    """Answer one question."""
    # The agent, as its outerloop.yaml calls it, and the release that runs.
    resource = Resource.create({"service.name": "orders-agent", "service.version": "1.4.0"})
    provider = TracerProvider(resource=resource)
    # Where to, and with which token: OTEL_EXPORTER_OTLP_ENDPOINT and OTEL_EXPORTER_OTLP_HEADERS say it.
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    # Not as the global provider: the anthropic SDK would trace its calls as well, and each would count twice.
    Agent.instrument_all(InstrumentationSettings(tracer_provider=provider))
    agent = Agent("anthropic:claude-sonnet-5-5", name="orders-agent", tools=[get_order])
    print(agent.run_sync(question, conversation_id=conversation).output)
    provider.shutdown()  # sends what it has


if __name__ == "__main__":
    main(*sys.argv[1:])
