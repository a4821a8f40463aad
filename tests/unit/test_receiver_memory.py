"""Memory is given out in order, and all of it comes back, whoever waits, gives up or is cancelled."""

import asyncio
import random

import pytest

from outerloop.ingest.receiver import memory
from outerloop.ingest.receiver.memory import BusyError, Memory, Room


async def test_who_comes_first_is_served_first(monkeypatch: pytest.MonkeyPatch) -> None:
    held = Memory(10)
    await held.take(8)
    order: list[str] = []

    async def want(name: str, size: int) -> None:
        await held.take(size)
        order.append(name)

    large = asyncio.create_task(want("large", 9))
    await asyncio.sleep(0)
    small = asyncio.create_task(want("small", 1))  # would fit, and waits its turn
    await asyncio.sleep(0.01)
    assert order == []
    held.give(8)
    await asyncio.gather(large, small)
    assert order == ["large", "small"]


async def test_who_waits_too_long_is_told_and_lets_the_next_one_through(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory, "_PATIENCE_SECONDS", 0.05)
    held = Memory(10)
    await held.take(8)
    waiting = asyncio.create_task(held.take(9))
    await asyncio.sleep(0.03)
    behind = asyncio.create_task(held.take(2))
    with pytest.raises(BusyError):
        await waiting
    await behind


async def test_a_room_is_held_until_what_was_sent_has_arrived() -> None:
    held = Memory(10)
    sending: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    async with Room(held, 10) as room:
        room.shrink(4)
        room.until(sending)
    await held.take(6)
    assert held._free == 0
    sending.set_result(None)
    await asyncio.sleep(0)
    assert held._free == 4


async def test_nothing_leaks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_PATIENCE_SECONDS", 0.1)
    held, chance = Memory(200), random.Random(5)  # noqa: S311 - repeatable

    async def use() -> None:
        async with Room(held, chance.randint(1, 100)) as room:
            await asyncio.sleep(chance.random() * 0.01)
            room.shrink(0 if chance.random() < 0.3 else room._held // 2)
            if chance.random() < 0.3:
                raise RuntimeError

    tasks = [asyncio.create_task(use()) for _ in range(300)]
    for task in tasks[::3]:
        await asyncio.sleep(chance.random() * 0.002)
        task.cancel()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    kinds = {type(outcome) for outcome in done}
    assert {BusyError, RuntimeError, asyncio.CancelledError} <= kinds
    assert (held._free, len(held._waiting)) == (200, 0)
