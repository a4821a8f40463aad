"""What bench-ingest says of others, reckoned and shown; it needs none of them."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bench.ingest import table
from bench.ingest.peers.collector import Drained
from bench.ingest.peers.durability import Durability, pause, send

RESULT: dict[str, Any] = {
    "spans_per_s": 58791,
    "limit_spans_per_s": 140_000,
    "python_way_spans_per_s": 16218,
    "over_otlp": Durability(1000, 2.0, 900, 3.0, 1000).figures(),
    "peers": {
        "phoenix": Durability(1000, 2.0, 40, 4.0, 667).figures(),
        "mlflow": {"left_out": "uv exited with 1"},
        "collector": Drained(400, 137_000.4, 390, 380).figures(),
    },
}


@asynccontextmanager
async def served(answer: Callable[[web.Request], Awaitable[web.Response]]) -> AsyncIterator[str]:
    application = web.Application()
    application.router.add_post("/v1/traces", answer)
    async with TestServer(application) as server:
        yield str(server.make_url("/v1/traces"))


def test_what_was_acknowledged_and_is_gone_is_lost() -> None:
    assert RESULT["peers"]["phoenix"] == {
        "accepted_per_s": 500,
        "persisted_per_s": 10,
        "lost_share_after_kill": 0.333,
    }


def test_what_was_stored_but_never_acknowledged_is_no_negative_loss() -> None:
    assert Durability(1000, 1.0, 1000, 1.0, 1200).figures()["lost_share_after_kill"] == 0


def test_rows_twice_do_not_hide_rows_that_are_lost() -> None:
    assert RESULT["peers"]["collector"] == {
        "persisted_per_s": 137_000,
        "lost_share_after_kill": 0.05,
        "duplicated_share": 0.025,
    }


def test_the_table_has_all_of_them() -> None:
    lines = table.of(RESULT).splitlines()
    assert [line.split() for line in lines[1:]] == [
        ["ClickHouse", "alone", "(limit)", "-", "140,000", "-"],
        ["outerloop,", "Kafka", "-", "58,791", "-"],
        ["plain", "Python", "-", "16,218", "-"],
        ["outerloop,", "OTLP", "500", "300", "0.0%"],
        ["Phoenix,", "OTLP", "500", "10", "33.3%"],
        ["MLflow,", "OTLP", "left", "out:", "uv", "exited", "with", "1"],
        ["Collector,", "Kafka", "-", "137,000", "5.0%"],
    ]


@pytest.mark.parametrize(("said", "seconds"), [("", 0.1), ("0", 0.0), ("1", 1.0), ("60", 1.0), ("soon", 0.1)])
def test_how_long_one_waits(said: str, seconds: float) -> None:
    assert pause(said) == seconds


async def test_who_is_busy_is_asked_again_and_only_what_is_acknowledged_counts() -> None:
    asked = list[bytes]()

    async def take(request: web.Request) -> web.Response:
        asked.append(await request.read())
        return web.Response(status=503 if len(asked) == 2 else 200, headers={"Retry-After": "0"})

    async with served(take) as url:
        sent = await send(url, {}, [(b"a", 3), (b"b", 4), (b"c", 5)], 20)
    assert (sent.accepted, sent.refused) == (12, "")
    assert len(asked) == 4


async def test_who_refuses_is_quoted() -> None:
    async def refuse(_: web.Request) -> web.Response:
        return web.Response(status=400, text="no spans found")

    async with served(refuse) as url:
        sent = await send(url, {}, [(b"a", 3), (b"b", 4)], 20)
    assert (sent.accepted, sent.refused) == (0, "400 no spans found")
