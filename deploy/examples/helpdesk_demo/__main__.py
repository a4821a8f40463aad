"""`make demo`: arguments, and the exit code."""

import argparse
import asyncio
import json
import os
import sys
from pathlib import Path

from helpdesk_demo.chaos import MIDDLE
from helpdesk_demo.course import Options
from helpdesk_demo.loop import Demo
from outerloop.dev.stack import StackError
from outerloop.runtime.errors import OuterloopError


def main() -> int:
    """Run the demo; 0 when every failure mode that it found is closed."""
    options = _options()
    demo = Demo(options)
    try:
        result = asyncio.run(demo.run())
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.stderr.write("\nstopped; nothing is left running\n")
        return 130
    except TimeoutError:
        logs = options.folder / "logs"
        result = demo.failed(f"the loop did not close within {options.within:.0f} s; look at {logs}")
    except (OuterloopError, StackError) as error:
        result = demo.failed(str(error))
    sys.stdout.write(json.dumps(result) + "\n")
    return 0 if result["modes_found"] and result["modes_found"] == result["modes_closed"] else 1


def _options() -> Options:
    parser = argparse.ArgumentParser(prog="make demo", description="The whole loop, before your eyes.")
    parser.add_argument("--dir", type=Path, default=Path(".outerloop/demo"), help="data, logs and the plot")
    parser.add_argument("--requests", type=int, default=200, help="customers a day")
    parser.add_argument("--seed", type=int, default=7, help="of traffic and of the scripted model's coins")
    parser.add_argument(
        "--disobedience", type=float, default=0.005, help="how often the script breaks a rule"
    )
    parser.add_argument("--within", type=float, default=600.0, help="seconds for all of it")
    parser.add_argument("--kill", default="", metavar="SERVICE,…", help="kill -9 these once, amid their work")
    parser.add_argument("--live", action="store_true", help="Anthropic's API in place of the script")
    parser.add_argument("--cap-usd", type=float, default=10.0, help="with --live: what it may cost")
    given = parser.parse_args()
    kill = tuple(filter(None, given.kill.split(",")))
    if unknown := set(kill) - set(MIDDLE):
        parser.error(f"--kill: there is no service {', '.join(sorted(unknown))}; known: {', '.join(MIDDLE)}")
    if given.live:
        if not os.environ.get("ANTHROPIC_API_KEY"):
            parser.error("--live asks Anthropic's API: set ANTHROPIC_API_KEY")
        sys.stdout.write(
            f"The model is Anthropic's API. This demo stops at {given.cap_usd:.2f} USD (--cap-usd).\n"
        )
    return Options(
        folder=given.dir.resolve(),
        requests=given.requests,
        seed=given.seed,
        disobedience=given.disobedience,
        within=given.within,
        kill=kill,
        live_cap_usd=given.cap_usd if given.live else None,
    )


if __name__ == "__main__":
    sys.exit(main())
