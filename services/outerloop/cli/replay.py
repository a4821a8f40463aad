"""`outerloop replay`: stored traces through triage once more."""

import asyncio
import time
from typing import Annotated, Any

import typer
from rich.progress import Progress

from outerloop.cli import output
from outerloop.cli.agents import check_known
from outerloop.cli.config import common
from outerloop.cli.kafka import connected, producer
from outerloop.cli.output import AsJson
from outerloop.cli.publish import now, person
from outerloop.cli.times import time_of
from outerloop.contracts.v1.replay_pb2 import ReplayRequested
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.envelope import headers_for, key_of, stable_id
from outerloop.runtime.errors import UserError
from outerloop.runtime.settings import Settings
from outerloop.runtime.topics import topic_of
from outerloop.runtime.tracecontext import step
from outerloop.store import replays, verdicts
from outerloop.store.replays import Period

_TRACES_A_REQUEST = 50


def replay(
    *,
    agent: Annotated[str, typer.Option("--agent", help="whose traces")],
    since: Annotated[str, typer.Option("--from", help="ISO date or time, in UTC unless it says otherwise")],
    until: Annotated[str, typer.Option("--to", help="the same; default: now")] = "",
    as_of: Annotated[
        str,
        typer.Option("--as-of", help="a detector: only traces whose verdict is not by it, as in `verdicts`"),
    ] = "",
    per_second: Annotated[float, typer.Option("--per-second", min=0.1, help="traces sent a second")] = 200.0,
    by: Annotated[str, typer.Option("--by", "--who", help="who asks; default: the user name")] = "",
    as_json: AsJson = False,
) -> None:
    """Have stored traces judged again, by the detector that runs now. A trace counts once however often.

    With --as-of, what was interrupted goes on where it was: give the detector that runs now.
    """
    at = now()
    period = Period(time_of(since, "--from"), time_of(until, "--to") if until else at)
    if period.begin >= period.end:
        raise UserError(f"--from {period.begin.isoformat()} is not before --to {period.end.isoformat()}")
    request = ReplayRequested(agent=agent, requested_by=person(by))
    request.requested_at.FromDatetime(at)
    sent = output.run(_replay(common(), request, period, as_of, per_second))
    if as_json:
        output.emit(sent)
    else:
        output.say(f"{sent['traces']} traces are to be judged again; `outerloop status` shows what waits")


async def _replay(
    settings: Settings, request: ReplayRequested, period: Period, as_of: str, rate: float
) -> dict[str, Any]:
    db, console = ClickHouse(settings), output.console()
    traces, requests, began = 0, 0, time.monotonic()
    try:
        with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
            task = bar.add_task("asking", total=(period.end - period.begin).total_seconds())
            async with connected(settings, producer(settings)) as kafka:
                async for end, found in replays.traces(db, request.agent, period, as_of):
                    for start in range(0, len(found), _TRACES_A_REQUEST):
                        part = found[start : start + _TRACES_A_REQUEST]
                        await _send(kafka, request, part)
                        traces, requests = traces + len(part), requests + 1
                        await asyncio.sleep(max(0.0, traces / rate - (time.monotonic() - began)))
                        bar.update(task, description=f"{traces} traces")
                    bar.update(task, completed=(end - period.begin).total_seconds())
        if not traces:
            check_known(request.agent, await verdicts.agents(db))
    finally:
        await db.close()
    return {"agent": request.agent, "traces": traces, "requests": requests}


async def _send(kafka: Any, request: ReplayRequested, trace_ids: list[str]) -> None:
    message = ReplayRequested(trace_ids=trace_ids)
    message.MergeFrom(request)
    # The same command given again is another cause; what is sent twice of one command is the same.
    message.request_id = stable_id("replay", request.requested_at.ToJsonString(), *trace_ids)
    headers = headers_for(message, event_id=message.request_id, source="cli", context=step(message).own)
    await kafka.send_and_wait(
        topic_of(message).name,
        message.SerializeToString(),
        key=key_of(message),
        headers=[(name, text.encode()) for name, text in headers.items()],
    )
