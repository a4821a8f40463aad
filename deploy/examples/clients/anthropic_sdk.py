# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "anthropic==2.14.0", "opentelemetry-sdk==1.45.2", "opentelemetry-exporter-otlp-proto-http==1.45.2",
# ]
# ///
"""An agent on the anthropic SDK, which traces itself.

`anthropic_sdk.py CONVERSATION "Where is order A-1?"`.
"""

import sys

import anthropic
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

ORDERS = {"A-1": "shipped, arrives on Tuesday"}


@anthropic.beta_tool
def get_order(order_id: str) -> str:
    """Tell where an order is."""
    if order_id not in ORDERS:
        raise ValueError(f"no order {order_id}")
    return ORDERS[order_id]


def main(conversation: str, question: str) -> None:
    """Answer one question."""
    # The agent, as its outerloop.yaml calls it, and the release that runs.
    resource = Resource.create({"service.name": "orders-agent", "service.version": "1.4.0"})
    provider = TracerProvider(resource=resource)
    # Where to, and with which token: OTEL_EXPORTER_OTLP_ENDPOINT and OTEL_EXPORTER_OTLP_HEADERS say it.
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    client = anthropic.Anthropic(
        open_telemetry={
            "tracer_provider": provider,
            "traces": {
                "content_mode": "content"
            },  # by default without what was said, of which nobody can learn
            "conversation_id": conversation,
        }
    )
    # The runner has a span for the run, for each call of the model and for each tool.
    answer = client.beta.messages.tool_runner(
        model="claude-sonnet-5-5",
        max_tokens=1024,
        tools=[get_order],
        messages=[{"role": "user", "content": question}],
        thread=False,  # the whole conversation in every request, so that a proxy on the way understands it
    ).until_done()
    print("".join(block.text for block in answer.content if block.type == "text"))
    provider.shutdown()  # sends what it has


if __name__ == "__main__":
    main(*sys.argv[1:])
