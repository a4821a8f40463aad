"""The server as a process: prints one JSON line with its address, serves until SIGTERM or SIGINT."""

import argparse
import asyncio
import json
import logging
import signal
import sys
from pathlib import Path

from outerloop.dev.messages_api.catalogue import DEFAULT_MODELS
from outerloop.dev.messages_api.script import load_script
from outerloop.dev.messages_api.server import serving


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m outerloop.dev.messages_api", description=__doc__)
    parser.add_argument("--script", type=Path, required=True, help="file that defines reply(request, dice)")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free port")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--disobedience", type=float, default=0.0, help="bias of dice.disobeys()")
    parser.add_argument("--models", nargs="+", default=DEFAULT_MODELS)
    return parser.parse_args()


async def _main(given: argparse.Namespace) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with serving(
        load_script(given.script),
        host=given.host,
        port=given.port,
        seed=given.seed,
        disobedience=given.disobedience,
        models=given.models,
    ) as api:
        line = json.dumps({"listening": api.url, "model_is_a_script": True})
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
        await stop.wait()


if __name__ == "__main__":
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s")
    asyncio.run(_main(_arguments()))
