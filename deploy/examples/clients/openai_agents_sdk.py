# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "openai-agents[litellm]==0.24.0", "openinference-instrumentation-openai-agents==2.6.0",
#   "opentelemetry-sdk==1.45.2", "opentelemetry-exporter-otlp-proto-http==1.45.2",
# ]
# ///
"""An agent on the OpenAI Agents SDK, traced by OpenInference.

`openai_agents_sdk.py CONVERSATION "Where is order A-1?"`. Its model is one of Anthropic's, through LiteLLM.
"""

import os
import sys

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # or it asks the internet when it is imported

from agents import Agent, Runner, function_tool
from agents.extensions.models.litellm_model import LitellmModel
from openinference.instrumentation import using_session
from openinference.instrumentation.openai_agents import OpenAIAgentsInstrumentor
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

ORDERS = {"A-1": "shipped, arrives on Tuesday"}


@function_tool
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
    OpenAIAgentsInstrumentor().instrument(tracer_provider=provider)
    model = LitellmModel("anthropic/claude-sonnet-5-5", base_url=os.environ.get("ANTHROPIC_BASE_URL"))
    agent = Agent(name="orders-agent", tools=[get_order], model=model)
    with using_session(conversation):
        print(Runner.run_sync(agent, question).final_output)
    provider.shutdown()  # sends what it has


if __name__ == "__main__":
    main(*sys.argv[1:])
