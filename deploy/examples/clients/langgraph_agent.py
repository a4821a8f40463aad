# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "langchain==1.5.2", "langchain-anthropic==1.7.10", "openinference-instrumentation-langchain==0.1.80",
#   "opentelemetry-sdk==1.45.2", "opentelemetry-exporter-otlp-proto-http==1.45.2",
# ]
# ///
"""An agent on LangGraph, traced by OpenInference.

`langgraph_agent.py CONVERSATION "Where is order A-1?"`.
"""

import sys
from collections.abc import Callable

from langchain.agents import create_agent
from langchain.agents.middleware import ToolCallRequest, wrap_tool_call
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import ToolMessage
from openinference.instrumentation.langchain import LangChainInstrumentor
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

ORDERS = {"A-1": "shipped, arrives on Tuesday"}


def get_order(order_id: str) -> str:
    """Tell where an order is."""
    if order_id not in ORDERS:
        raise ValueError(f"no order {order_id}")
    return ORDERS[order_id]


@wrap_tool_call
def told(request: ToolCallRequest, run: Callable[[ToolCallRequest], ToolMessage]) -> ToolMessage:
    """Tell the model of an error; outside the tool's own span, which so is one of an error."""
    try:
        return run(request)
    except ValueError as error:
        return ToolMessage(str(error), tool_call_id=request.tool_call["id"], status="error")


def main(conversation: str, question: str) -> None:
    """Answer one question."""
    # The agent, as its outerloop.yaml calls it, and the release that runs.
    resource = Resource.create({"service.name": "orders-agent", "service.version": "1.4.0"})
    provider = TracerProvider(resource=resource)
    # Where to, and with which token: OTEL_EXPORTER_OTLP_ENDPOINT and OTEL_EXPORTER_OTLP_HEADERS say it.
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    # Not as the global provider: the anthropic SDK would trace its calls as well, and each would count twice.
    LangChainInstrumentor().instrument(tracer_provider=provider)
    model = ChatAnthropic(model="claude-sonnet-5-5", max_tokens=1024)
    agent = create_agent(model, [get_order], middleware=[told], name="orders-agent")
    asked = {"messages": [{"role": "user", "content": question}]}
    state = agent.invoke(asked, {"metadata": {"session_id": conversation}})
    print(state["messages"][-1].text)
    provider.shutdown()  # sends what it has


if __name__ == "__main__":
    main(*sys.argv[1:])
