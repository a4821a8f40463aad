"""`make bench-life`: arguments, one life, and the JSON line; 0 when nothing of what must hold is broken."""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from bench.life.chaos import Chaos
from bench.life.options import Options
from bench.life.proposer import Proposer
from bench.life.report import Lived, report
from bench.life.world import world
from outerloop.dev.stack import StackError
from outerloop.gate.release import ledger
from outerloop.runtime.errors import OuterloopError

_NONE = (
    "regressions_shipped",
    "bad_shipped",
    "hostile_escapes",
    "undecided",
    "lost_verdicts",
    "several_verdicts",
    "troubles",
)


def main() -> int:
    """Live, say what came of it, and compare it with the calm life of the same seed."""
    options = _options()
    began = time.monotonic()

    def say(text: str) -> None:
        sys.stdout.write(f"{time.monotonic() - began:7.1f} s  {text}\n")
        sys.stdout.flush()

    try:
        result = asyncio.run(_live(options, say))
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.stderr.write("\nstopped; nothing is left running\n")
        return 130
    except (OuterloopError, StackError, TimeoutError) as error:
        sys.stdout.write(json.dumps({"bench": "life", "error": str(error) or type(error).__name__}) + "\n")
        return 1
    lived = result.pop("history")
    result["same_history"] = None if result["undecided"] else _compared(options, lived, say)
    broken = [name for name in _NONE if result[name]]
    broken += ["verified"] * bool(result["verified"]["findings"])
    broken += ["same_history"] * (result["same_history"] is False)
    if broken:
        say(f"not as it must be: {', '.join(broken)}")
    sys.stdout.write(json.dumps(result) + "\n")
    return int(bool(broken))


async def _live(options: Options, say: Callable[[str], None]) -> dict[str, Any]:
    async with world(options, say) as here:
        proposer = Proposer(options, here, say)
        chaos = Chaos(here, proposer, kills=options.kills, seed=options.seed, say=say)
        held = (await ledger.read(here.repository))[0].open_or_failed
        began = time.monotonic()
        try:
            async with asyncio.timeout(options.within):
                await _beside(proposer.run(), chaos.strike())
        except TimeoutError:
            say(f"{options.within:g} s are over; what follows is of the proposals that were decided by then")
        lived = Lived(options, here, proposer, chaos, held, time.monotonic() - began)
        await here.stack.stop("gate")
        return await report(lived)


async def _beside(work: Coroutine[Any, Any, Any], other: Coroutine[Any, Any, None]) -> None:
    """Do the work to its end. The other ends with it at the latest; if it fails, all fails."""
    tasks = [asyncio.ensure_future(work), asyncio.ensure_future(other)]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if tasks[1].done():
            tasks[1].result()
        await tasks[0]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _compared(options: Options, lived: dict[str, Any], say: Callable[[str], None]) -> bool | None:
    """Whether this life's history is that of the calm life with these options; None when there was none.

    Trials are random, so a verdict on a change near a bar may differ from life to life; the bench's changes
    are far from theirs, and a difference that chance makes is rarer than one life in ten.
    """
    file = options.folder.with_name(f"{options.folder.name}-calm.json")
    lived |= {"proposals": options.proposals, "evals_at_first": options.evals}
    if not options.kills:
        file.write_text(json.dumps(lived))
        return None
    if not file.exists():
        return None
    calm = json.loads(file.read_text())
    if any(calm[key] != lived[key] for key in ("seed", "proposals", "evals_at_first")):
        return None
    for key in ("verdicts", "trees", "evals"):
        if calm[key] != lived[key]:
            say(f"differs from the calm life in its {key}: {calm[key]} there, {lived[key]} here")
    return bool(calm == lived)


def _options() -> Options:
    parser = argparse.ArgumentParser(prog="make bench-life", description="A life of the gate, measured.")
    parser.add_argument("--dir", type=Path, default=Path(".outerloop/life"), help="data and logs")
    parser.add_argument("--proposals", type=int, default=60)
    parser.add_argument("--evals", type=int, default=40, help="that the suite begins with")
    parser.add_argument("--kills", type=int, default=0, help="kill -9 of the gate, at random moments")
    parser.add_argument("--seed", type=int, default=7, help="of the proposals and of the model's coins")
    parser.add_argument("--within", type=float, default=7200.0, help="seconds for the proposals")
    given = parser.parse_args()
    folder = given.dir.resolve()
    return Options(folder, given.proposals, given.evals, given.kills, given.seed, given.within)


if __name__ == "__main__":
    sys.exit(main())
