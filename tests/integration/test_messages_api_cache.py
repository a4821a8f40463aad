"""The scripted server's prompt cache, by the usage that the real SDK reads."""

from collections.abc import AsyncIterator
from typing import Any

import anthropic
import pytest

from outerloop.dev.messages_api import Dice, MessagesApi, Reply, serving
from outerloop.dev.messages_api.cache import LOOKBACK, PromptCache
from outerloop.dev.messages_api.catalogue import Model

SONNET, HAIKU = "claude-sonnet-5-5", "claude-haiku-4-5"
MARK = {"cache_control": {"type": "ephemeral"}}
HOUR = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
LONG = "A rule of the house. " * 500  # some 2,600 tokens
TOOL: Any = {"name": "look", "description": "Look.", "input_schema": {"type": "object"}}


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def reply(request: dict[str, Any], dice: Dice) -> Reply:
    return {"content": [{"type": "text", "text": "ok"}]}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def api(clock: Clock) -> AsyncIterator[MessagesApi]:
    async with serving(reply) as server:
        server.cache = PromptCache(clock)
        yield server


@pytest.fixture
async def client(api: MessagesApi) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(base_url=api.url, api_key="k", max_retries=0) as sdk:
        yield sdk


def text(said: str, mark: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"type": "text", "text": said, **(mark or {})}


def turns(*said: list[dict[str, Any]]) -> list[Any]:
    return [{"role": ("user", "assistant")[i % 2], "content": blocks} for i, blocks in enumerate(said)]


async def used(client: anthropic.AsyncAnthropic, messages: list[Any], **more: Any) -> tuple[int, int, int]:
    """Tokens that were neither, written, and read."""
    given: dict[str, Any] = {"model": SONNET, "max_tokens": 10, "messages": messages} | more
    usage = (await client.messages.create(**given)).usage
    written = usage.cache_creation_input_tokens
    assert usage.cache_creation is not None
    split = usage.cache_creation
    assert written == split.ephemeral_5m_input_tokens + split.ephemeral_1h_input_tokens
    return usage.input_tokens, written or 0, usage.cache_read_input_tokens or 0


async def test_what_was_marked_is_written_once_and_then_read(
    client: anthropic.AsyncAnthropic, api: MessagesApi
) -> None:
    system = [text(LONG, MARK)]
    first = await used(client, turns([text("a")]), system=system)
    second = await used(client, turns([text("another question")]), system=system)
    assert first[1] == second[2] > 2_500
    assert (first[2], second[1]) == (0, 0)
    assert 0 < second[0] < 30
    assert api.stats()["tokens_in"] == sum(first) + sum(second)
    assert api.stats()["tokens_cached"] == second[2]


async def test_without_a_mark_nothing_is_cached(client: anthropic.AsyncAnthropic) -> None:
    for _ in range(2):
        assert (await used(client, turns([text(LONG)]), system=LONG))[1:] == (0, 0)


async def test_a_conversation_reads_what_its_last_turn_wrote(client: anthropic.AsyncAnthropic) -> None:
    told, said = [text(LONG, MARK)], [text("yes")]
    _, written, _ = await used(client, turns(told))
    told = [text(LONG)]  # the mark moves on: it is no part of the content
    rest, more, read = await used(client, turns(told, said, [text(LONG + "b", MARK)]))
    assert (read, more > 2_500, rest < 60) == (written, True, True)


@pytest.mark.parametrize(
    "change",
    [
        {"system": [text("B" + LONG, MARK)]},
        {"tools": [TOOL]},
        {"model": HAIKU},
    ],
)
async def test_a_prefix_that_differs_anywhere_is_another_one(
    client: anthropic.AsyncAnthropic, change: dict[str, Any]
) -> None:
    same: dict[str, Any] = {"system": [text(LONG, MARK)]}
    await used(client, turns([text("a")]), **same)
    assert (await used(client, turns([text("a")]), **same | change))[2] == 0


async def test_another_key_has_another_cache(client: anthropic.AsyncAnthropic, api: MessagesApi) -> None:
    system = [text(LONG, MARK)]
    await used(client, turns([text("a")]), system=system)
    async with anthropic.AsyncAnthropic(base_url=api.url, api_key="other", max_retries=0) as other:
        assert (await used(other, turns([text("a")]), system=system))[2] == 0


async def test_what_is_too_short_is_not_cached_and_nothing_says_so(client: anthropic.AsyncAnthropic) -> None:
    short = [text("A rule of the house. " * 300, MARK)]  # some 1,600 tokens
    for model in (SONNET, HAIKU):
        for _ in range(2):
            assert (await used(client, turns([text("a")]), system=short, model=model))[1:] == (0, 0)
    # Haiku's minimum is the larger one.
    assert (await used(client, turns([text("a")]), system=[text(LONG, MARK)], model=HAIKU))[1] == 0
    assert Model("claude-sonnet-4-5").least_cached == 1_024
    assert Model("my-own-model").least_cached == Model("claude-opus-4-6").least_cached == 4_096


async def test_the_cache_forgets_what_was_not_read_for_its_time_to_live(
    client: anthropic.AsyncAnthropic, clock: Clock
) -> None:
    async def read(mark: dict[str, Any]) -> bool:
        return (await used(client, turns([text("a")]), system=[text(LONG, mark)]))[2] > 0

    assert not await read(MARK)
    clock.now += 299
    assert await read(MARK)
    clock.now += 299  # each reading is a new beginning
    assert await read(MARK)
    clock.now += 301
    assert not await read(HOUR)
    clock.now += 3_599
    assert await read(HOUR)
    clock.now += 3_601
    assert not await read(HOUR)


async def test_an_hour_is_written_as_such(client: anthropic.AsyncAnthropic) -> None:
    given: dict[str, Any] = {"system": [text(LONG, HOUR)], "messages": turns([text(LONG, MARK)])}
    usage = (await client.messages.create(model=SONNET, max_tokens=10, **given)).usage
    assert usage.cache_creation is not None
    assert usage.cache_creation.ephemeral_1h_input_tokens > 2_500
    assert usage.cache_creation.ephemeral_5m_input_tokens > 2_500


async def test_a_shorter_time_may_not_come_before_a_longer_one(client: anthropic.AsyncAnthropic) -> None:
    with pytest.raises(anthropic.BadRequestError, match="must not come after a ttl='5m'"):
        await used(client, turns([text("a", HOUR)]), system=[text(LONG, MARK)])


async def test_a_breakpoint_looks_back_over_twenty_blocks_and_no_more(
    client: anthropic.AsyncAnthropic,
) -> None:
    first = [text(LONG, MARK)]
    await used(client, turns(first))
    near = [text(LONG), *(text(f"{n}") for n in range(LOOKBACK - 1)), text("end", MARK)]
    assert (await used(client, turns(near)))[2] > 2_500
    far = [text(LONG), *(text(f"far {n}") for n in range(LOOKBACK)), text("end", MARK)]
    assert (await used(client, turns(far)))[2] == 0


async def test_a_mark_on_the_request_is_one_on_its_last_block(client: anthropic.AsyncAnthropic) -> None:
    for expected in (0, 2_500):
        assert (await used(client, turns([text(LONG)]), **MARK))[2] >= expected
