"""`python -m helpdesk`: JSON requests on stdin, one a line, until it ends; answers on stdout as they finish.

The contract of a line is in README.md. Requests run in HELPDESK_WORKERS threads over one database.
"""

import gc
import json
import ssl
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any

from helpdesk import lazy

# Every trial starts this process, and most of what it does is to import the SDK: so without looking for
# garbage among objects that live to the end, without the types of other endpoints, and without the optional
# asyncio transport.
gc.disable()
lazy.install()
sys.modules["aiohttp"] = None  # type: ignore[assignment]  # how Python is told that a module is not there

import anthropic  # noqa: E402 - after the above

from helpdesk import messages, telemetry  # noqa: E402 - as above
from helpdesk.agent import Agent  # noqa: E402 - as above
from helpdesk.ledger import Ledger  # noqa: E402 - as above
from helpdesk.orders import Orders  # noqa: E402 - as above
from helpdesk.settings import Settings  # noqa: E402 - as above
from helpdesk.tools import LocalTools, RemoteTools, ToolsUnavailable  # noqa: E402 - as above

gc.freeze()
gc.enable()

MODEL_RETRIES = 4
MODEL_TIMEOUT_SECONDS = 60.0


def handle(agent: Agent, line: str) -> dict[str, Any]:
    """One request line to its answer line."""
    try:
        request = messages.request(line)
    except messages.BadRequest as error:
        return {"id": None, "error": str(error)}
    request_id = request.get("id")
    conversation = request.get("conversation_id") or request_id
    head: dict[str, Any] = {"id": request_id}
    try:
        with telemetry.agent_span(agent.tracer, conversation, json.dumps(request["messages"])) as root:
            head["trace_id"] = telemetry.trace_id(root)
            return {**head, "answer": agent.answer(request, root)}
    except (anthropic.APIError, ToolsUnavailable) as error:
        return {**head, "error": f"{type(error).__name__}: {error}"}


def _http_client(url: str) -> anthropic.DefaultHttpxClient:
    """The SDK's own client. Reading whom to trust takes a tenth of the start, so only where TLS is spoken."""
    trusted = True if url.startswith("https:") else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return anthropic.DefaultHttpxClient(verify=trusted)


def main() -> None:
    """Answers stdin, then flushes the spans."""
    settings = Settings.load()
    provider = telemetry.provider(settings.collector, settings.collector_seconds)
    client = anthropic.Anthropic(
        base_url=settings.model_url,
        http_client=_http_client(settings.model_url),
        max_retries=MODEL_RETRIES,
        timeout=MODEL_TIMEOUT_SECONDS,
        open_telemetry={"traces": False},  # the spans here are ours; the SDK's own would double them
    )
    agent = Agent(
        settings=settings,
        client=client,
        tools=RemoteTools(settings.tools_url) if settings.tools_url else LocalTools(Orders.load()),
        tracer=provider.get_tracer("helpdesk"),
        ledger=Ledger(Path(settings.ledger)) if settings.ledger else None,
    )
    lock = Lock()

    def work(line: str) -> None:
        answer = json.dumps(handle(agent, line))
        with lock:
            print(answer, flush=True)

    try:
        with ThreadPoolExecutor(settings.workers) as pool:
            pending = [pool.submit(work, line) for line in sys.stdin if line.strip()]
        for done in pending:
            done.result()  # a bug is raised here rather than lost in the pool
    finally:
        provider.shutdown()


if __name__ == "__main__":
    main()
