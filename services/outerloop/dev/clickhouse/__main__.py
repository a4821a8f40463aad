"""The process: opens the directory, listens on loopback, says so, and serves until SIGTERM or Ctrl-C."""

import argparse
import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import chdb
from aiohttp import web

from outerloop.dev.clickhouse.engine import Engine
from outerloop.dev.clickhouse.http import application
from outerloop.dev.stack.leash import die_with_parent

_LAST_ANSWERS_SECONDS = 1.0  # for answers on their way; a request still being sent never gets one
_MAX_URI_BYTES = 1 << 20  # as ClickHouse: settings stand there, and a Protobuf schema is one
_HOST = "127.0.0.1"  # there are no passwords, so nobody else may reach it


async def _serve(engine: Engine, port: int) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)  # replaces the handlers that chDB installed
    # Bodies keep their encoding until `http` decodes them: lz4 is unknown to aiohttp.
    app = application(engine)
    runner = web.AppRunner(
        app,
        access_log=None,
        auto_decompress=False,
        max_line_size=_MAX_URI_BYTES,
        shutdown_timeout=_LAST_ANSWERS_SECONDS,
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, _HOST, port).start()
        bound = runner.addresses[0][1]
        print(json.dumps({"listening": f"http://{_HOST}:{bound}"}), flush=True)  # noqa: T201 - the contract with whoever started us
        await stop.wait()
    finally:
        await runner.cleanup()


def main() -> int:
    """Returns the exit code: 0 after a clean stop, 1 if the directory or the port is taken."""
    arguments = argparse.ArgumentParser(prog="outerloop.dev.clickhouse", description=__doc__)
    arguments.add_argument(
        "--path", type=Path, required=True, help="the directory of the data, made if missing"
    )
    arguments.add_argument(
        "--port", type=int, required=True, help="the port on 127.0.0.1; 0 for any free one"
    )
    options = arguments.parse_args()
    die_with_parent()
    path = options.path.resolve()
    path.mkdir(parents=True, exist_ok=True)
    os.chdir(path)  # the engine keeps compiled Protobuf schemas under its working directory
    try:
        asyncio.run(_serve(Engine(path), options.port))
    except (chdb.ChdbError, RuntimeError, OSError) as error:
        print(f"cannot serve {options.path} on port {options.port}: {error}", file=sys.stderr)  # noqa: T201 - a process's last word
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
