"""A gate that reserves, ships and releases, made to be killed: arguments REMOTE CACHE LOG CONTENT…

For each line on stdin it forks one, which takes up the work from the start, and says its process id. When the
work is done it ends if the line is "finish", else it waits to be killed. What it was told of its indices
is in LOG. (Forked, because the imports of a new process take longer than its work.)
"""

import asyncio
import os
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

from outerloop.gate.release import ledger
from outerloop.runtime.git import RefUpdate, Repository

WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


async def work(remote: str, cache: Path, log: Path, contents: list[str]) -> None:
    repository = await Repository.open(remote, cache)
    for number, content in enumerate(contents):
        shipped = f"refs/outerloop/changes/{content}"
        if await repository.resolve(shipped):
            continue
        reserved = await ledger.reserve(repository, content, when=WHEN)
        with log.open("a") as file:
            file.write(f"{content} {reserved.index}\n")
        if number % 2:
            release = await ledger.releasing(repository, content, when=WHEN)
            await repository.push_atomic([release, RefUpdate(shipped, reserved.commit, "")])


def main() -> None:
    remote, cache, log, *contents = sys.argv[1:]
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            asyncio.run(work(remote, Path(cache), Path(log), contents))
            if line != "finish\n":
                signal.pause()
            os._exit(0)
        sys.stdout.write(f"{child}\n")
        sys.stdout.flush()
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
