"""Message threads, by the SDK's own tool runner and by hand."""

from collections.abc import AsyncIterator
from typing import Any

import anthropic
import httpx2
import pytest

from outerloop.dev.messages_api import Dice, MessagesApi, Reply, serving
from outerloop.dev.messages_api.threads import BETA, SECONDS, Threads

MODEL = "claude-sonnet-5-5"
HEADERS = {"x-api-key": "k", "anthropic-version": "2026-10-21", "anthropic-beta": BETA}
SEEN: list[list[str]] = []


@anthropic.beta_async_tool
async def look_up(word: str) -> str:
    """Look a word up."""
    return f"{word} is a word"


def reply(request: dict[str, Any], dice: Dice) -> Reply:
    """Looks up what is asked for, then says what came of it."""
    SEEN.append([message["role"] for message in request["messages"]])
    assert [tool["name"] for tool in request.get("tools", [])] in (["look_up"], [])
    last = request["messages"][-1]["content"]
    results = [block for block in last if block["type"] == "tool_result"] if isinstance(last, list) else []
    if results:
        return {"content": [{"type": "text", "text": f"So: {results[0]['content']}."}]}
    if not request.get("tools"):
        return {"content": [{"type": "text", "text": f"{len(request['messages'])} messages"}]}
    return {"content": [{"type": "tool_use", "name": "look_up", "input": {"word": "set"}}]}


@pytest.fixture
async def api() -> AsyncIterator[MessagesApi]:
    SEEN.clear()
    async with serving(reply) as server:
        yield server


async def run(client: anthropic.AsyncAnthropic, *, forget: Any = None) -> tuple[str, list[int]]:
    """What the tool runner comes to, and how many messages each of its requests brought."""
    brought: list[int] = []

    async def look(request: httpx2.Request) -> None:
        brought.append(request.content.count(b'"role"'))
        if forget and len(brought) > 1:
            forget()

    client._client.event_hooks["request"].append(look)
    runner = client.beta.messages.tool_runner(
        model=MODEL,
        max_tokens=100,
        tools=[look_up],
        messages=[{"role": "user", "content": "What is a set?"}],
    )
    answer = await runner.until_done()
    return "".join(block.text for block in answer.content if block.type == "text"), brought


async def test_the_sdks_tool_runner_brings_only_what_is_new(api: MessagesApi) -> None:
    async with anthropic.AsyncAnthropic(base_url=api.url, api_key="k", max_retries=0) as client:
        said, brought = await run(client)
    assert said == "So: set is a word."
    assert brought == [1, 1]
    assert SEEN == [["user"], ["user", "assistant", "user"]]  # the model sees all of it


async def test_a_thread_that_is_gone_is_begun_anew_with_the_whole_conversation(api: MessagesApi) -> None:
    async with anthropic.AsyncAnthropic(base_url=api.url, api_key="k", max_retries=0) as client:
        said, brought = await run(client, forget=api.threads.forget)
    assert said == "So: set is a word."
    assert brought == [1, 1, 3]
    assert SEEN == [["user"], ["user", "assistant", "user"]]


def asked(**more: Any) -> dict[str, Any]:
    return {"model": MODEL, "max_tokens": 100, "messages": [{"role": "user", "content": "hello"}], **more}


async def post(api: MessagesApi, body: dict[str, Any], **headers: str) -> tuple[int, dict[str, Any]]:
    async with httpx2.AsyncClient() as client:
        answer = await client.post(f"{api.url}/v1/messages", json=body, headers=HEADERS | headers)
    return answer.status_code, answer.json()


async def test_what_a_thread_does_not_take(api: MessagesApi) -> None:
    create = asked(thread={"type": "create"}, system="Be kind.")
    status, first = await post(api, create)
    assert status == 200

    def further(**more: Any) -> dict[str, Any]:
        return asked(thread={"type": "continue", "previous_message_id": first["id"]}, **more)

    for body, headers, expected, said in (
        (create, {"anthropic-beta": ""}, 400, "thread: Extra inputs are not permitted"),
        (asked(thread={"type": "fork"}), {}, 400, "thread.type: Input should be 'create'"),
        (asked(thread={"type": "continue"}), {}, 400, "thread.previous_message_id: Field required"),
        (asked(thread=[]), {}, 400, "thread"),
        (further(system="Be kind."), {}, 400, "system: the thread keeps it"),
        (further(), {"x-api-key": "another"}, 404, "no thread is kept"),
    ):
        status, answer = await post(api, body, **headers)
        assert (status, said in answer["error"]["message"]) == (expected, True), answer
    assert answer["error"]["details"] == {"error_code": "thread_not_found"}
    status, second = await post(api, further())
    assert (status, second["content"][0]["text"]) == (200, "3 messages")
    status, answer = await post(api, further())
    assert (status, answer["error"]["details"]) == (400, {"error_code": "thread_already_continued"})
    body = asked(thread={"type": "continue", "previous_message_id": second["id"]})
    assert (await post(api, body))[1]["content"][0]["text"] == "5 messages"


def test_a_thread_lives_for_five_minutes_after_it_was_continued_last() -> None:
    now = [0.0]
    threads = Threads(lambda: now[0])
    request = {"messages": [{"role": "user", "content": "a"}]}
    threads.keep({"type": "create"}, request, {"id": "m1", "content": []}, "k")
    further = {"thread": {"type": "continue", "previous_message_id": "m1"}, "messages": []}
    headers = {"anthropic-beta": f"other-2026-01-01, {BETA}"}
    now[0] = SECONDS - 1
    assert len(threads.whole(further, headers, "k")["messages"]) == 2
    now[0] = SECONDS + 1
    with pytest.raises(Exception, match="no thread is kept"):
        threads.whole(further, headers, "k")
