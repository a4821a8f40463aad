"""The demo's surroundings: environment, the agent's files; and how its tasks end together."""

import asyncio
import os
from collections.abc import Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


def environment() -> dict[str, str]:
    """The caller's variables without settings of outerloop and OpenTelemetry, which the demo gives itself."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("OUTERLOOP_", "OTEL_", "HELPDESK_"))}


def agent_files(folder: Path) -> Iterator[str]:
    """Paths of the agent's own files, relative to `folder`: no caches, no hidden files."""
    for file in sorted(folder.rglob("*")):
        parts = file.relative_to(folder).parts
        if file.is_file() and not any(p.startswith(".") or p == "__pycache__" for p in parts):
            yield "/".join(parts)


async def first_failure_or(work: Coroutine[Any, Any, T], beside: Sequence[Coroutine[Any, Any, Any]]) -> T:
    """The result of `work`. What runs beside it ends with it, and if one of those fails, all fails."""
    main = asyncio.ensure_future(work)
    tasks = [asyncio.ensure_future(each) for each in beside]
    waiting = {main, *tasks}
    try:
        while main in waiting:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in done - {main}:
                task.result()
        return main.result()
    finally:
        for task in (main, *tasks):
            task.cancel()
        await asyncio.gather(main, *tasks, return_exceptions=True)
