"""`--live`: what the demo has cost on the real API, and the cap that ends it."""

import asyncio

from helpdesk_demo.watch import Watch
from outerloop.runtime.errors import OuterloopError
from outerloop.runtime.prices import Usage, price_of

AGENT_MODEL = "claude-sonnet-5-5"
_TOKENS = """
SELECT
    (SELECT sum(InputTokens) FROM otel_traces WHERE Operation = 'chat')
        + (SELECT sum(input_tokens) FROM trials) AS input,
    (SELECT sum(OutputTokens) FROM otel_traces WHERE Operation = 'chat')
        + (SELECT sum(output_tokens) FROM trials) AS output,
    (SELECT sum(usd) FROM harness_steps) AS sessions
"""
_LOOK_SECONDS = 1.0


class CapReachedError(OuterloopError):
    """The demo has cost as much as it may."""


async def watch_spending(watch: Watch, cap_usd: float) -> None:
    """Look at the cost every second; what is in flight when the cap is reached may still come on top.

    Raises:
        CapReachedError: when it is reached.
    """
    price = price_of(AGENT_MODEL, setting="the demo's --live")
    while True:
        row = (await watch.ask(_TOKENS))[0]
        tokens = Usage(input=int(row["input"] or 0), output=int(row["output"] or 0))
        spent = price.usd(tokens) + float(row["sessions"] or 0)
        if spent >= cap_usd:
            raise CapReachedError(f"the demo has cost {spent:.2f} USD, and its cap is {cap_usd:.2f} USD")
        await asyncio.sleep(_LOOK_SECONDS)
