"""`python -m quotes`: requests on stdin, one a line; answers {"reply"} or {"error"} on stdout.

A request is {"messages"}, in the form of the GenAI conventions; the last one is answered.
"""

import json
import os
import sys
from pathlib import Path

import yaml
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from pydantic_ai import Agent, UsageLimits
from pydantic_ai.exceptions import AgentRunError
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.instrumented import InstrumentationSettings
from pydantic_ai.settings import ModelSettings

from quotes.tools import find_product, make_quote

ROOT = Path(__file__).parent.parent
MAX_CALLS = 6


def asked(line: str) -> str:
    """The text of a request's last message."""
    parts = json.loads(line)["messages"][-1]["parts"]
    return "".join(part["content"] for part in parts if part["type"] == "text")


def main() -> None:
    """Answers stdin, then flushes the spans."""
    settings = yaml.safe_load((ROOT / "settings.yaml").read_text())
    provider = TracerProvider(resource=Resource.create({"service.name": "quotes"}))
    if os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    agent = Agent(
        AnthropicModel(settings["model"], settings=ModelSettings(max_tokens=settings["max_tokens"])),
        name="quotes",
        instructions=(ROOT / "instructions.md").read_text(),
        tools=[find_product, make_quote],
        retries=MAX_CALLS,
    )
    agent.instrument = InstrumentationSettings(tracer_provider=provider)
    for line in filter(str.strip, sys.stdin):
        try:
            run = agent.run_sync(asked(line), usage_limits=UsageLimits(request_limit=MAX_CALLS))
            said = {"reply": run.output}
        except AgentRunError as error:
            said = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(said), flush=True)
    provider.shutdown()


if __name__ == "__main__":
    main()
