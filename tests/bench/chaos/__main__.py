"""`make chaos-ingest`: arguments, one run, and the JSON line; 0 when all three figures are zero."""

import argparse
import asyncio
import json
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from bench.chaos import counting
from bench.chaos.away import away
from bench.chaos.load import SPANS_A_TRACE, TRACES_A_RECORD, Sender, records
from bench.chaos.world import Chaos, world
from engines.kafka import missing
from outerloop.dev.stack import StackError
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.errors import OuterloopError

_GROUP = SPANS_A_TRACE * TRACES_A_RECORD
_MUST_BE_ZERO = ("lost", "duplicated", "rollup_error")


def main() -> int:
    """Send, strike, wait, count."""
    options = _options()
    began = time.monotonic()

    def say(text: str) -> None:
        sys.stdout.write(f"{time.monotonic() - began:7.1f} s  {text}\n")
        sys.stdout.flush()

    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # of what is done to Kafka here it tells a lot
    if reason := missing():
        sys.stderr.write(f"chaos-ingest needs Apache Kafka, which cannot run here: {reason}\n")
        return 2
    try:
        result = asyncio.run(_run(options, say))
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.stderr.write("\nstopped; nothing is left running\n")
        return 130
    except (OuterloopError, StackError, TimeoutError) as error:
        sys.stdout.write(json.dumps({"bench": "chaos-ingest", "error": str(error)}) + "\n")
        return 1
    sys.stdout.write(json.dumps(result) + "\n")
    return int(any(result[name] for name in _MUST_BE_ZERO) or result["stored"] != result["sent"])


async def _run(options: argparse.Namespace, say: Callable[[str], None]) -> dict[str, Any]:
    spans = max(_GROUP, options.spans // _GROUP * _GROUP)
    random = Random(options.seed)  # noqa: S311 - repeatable by design
    say("starting Apache Kafka, ClickHouse (chDB) and ingest, each behind a proxy …")
    async with world(options.dir.resolve()) as here:
        sender = Sender(here.settings.kafka, here.receiver, options.otlp, random)
        chaos = Chaos(here, random, say)
        began = time.monotonic()

        # The last part is sent while ClickHouse is away.
        steps = options.kills + bool(options.away)

        def struck(number: int) -> None:
            sender.allow(spans * (number + 1) // steps)

        sender.allow(spans // steps if steps else spans)
        async with asyncio.TaskGroup() as group:
            group.create_task(sender.send(records(spans, options.agents)))
            await chaos.strike(options.kills, struck)
            sender.allow(2 * spans)  # all of it: what is under way counts too
            said = await away(here, options.away, say) if options.away else None
        say(f"{sender.sent} spans are sent, {sender.repeated} records more than once; waiting for the rest")
        db = ClickHouse(here.settings)
        try:
            await counting.until_stored(db, spans, spans // SPANS_A_TRACE, options.within, say)
            found = await counting.counted(db, sender.sent)
        finally:
            await db.close()
        return found | {
            "kills": sum(chaos.kills.values()),
            "by_victim": chaos.kills,
            "resent_records": sender.repeated,
            "unasked_ends": len(here.crashes),
            "away": said,
            "seconds": round(time.monotonic() - began, 1),
        }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make chaos-ingest", description=__doc__)
    parser.add_argument("--dir", type=Path, default=Path(".outerloop/chaos"), help="data and logs")
    parser.add_argument("--spans", type=int, default=1_000_000)
    parser.add_argument("--kills", type=int, default=32, help="kill -9, or all connections cut")
    parser.add_argument("--otlp", type=float, default=0.25, help="share that goes to ingest's own receiver")
    parser.add_argument("--agents", type=int, default=3)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument(
        "--away", type=float, default=0.0, help="seconds without ClickHouse, as a last strike"
    )
    parser.add_argument(
        "--within", type=float, default=240.0, help="seconds without any progress, at the end"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
