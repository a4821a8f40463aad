"""The scripted model, driven by the real SDK; what it refuses is in test_messages_api_refusals.py."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import pytest
from anthropic.types import MessageParam, ToolParam

from outerloop.dev.messages_api import Dice, Fault, MessagesApi, Reply, serving

HEADERS = {"x-api-key": "k", "anthropic-version": "2023-06-01"}
TOOL: ToolParam = {"name": "lookup", "description": "Look it up.", "input_schema": {"type": "object"}}
USER: MessageParam = {"role": "user", "content": "hello"}
OLD, NEW = "claude-haiku-4-5", "claude-sonnet-5-5"


def said(request: dict[str, Any]) -> str:
    """The text the last message opens with."""
    content = request["messages"][-1]["content"]
    return content if isinstance(content, str) else content[0].get("text", content[0]["type"])


def reply(request: dict[str, Any], dice: Dice) -> Reply:
    """What this test's model does with what it is told."""
    match said(request):
        case "look":
            use = {"type": "tool_use", "name": "lookup", "input": {"q": "answer é"}}
            return {"content": [{"type": "text", "text": "Let me see."}, use], "stop_reason": "tool_use"}
        case "draw":
            text = f"{dice.draw()} {dice.disobeys()}"
        case "echo":
            text = json.dumps(request)
        case "raise":
            raise RuntimeError("boom")
        case "bad call":
            return {"content": [{"type": "tool_use", "name": "unknown", "input": {}}]}
        case "bad input":
            return {"content": [{"type": "tool_use", "name": "lookup", "input": "q"}]}
        case "bad stop":
            return {"content": [{"type": "text", "text": "x"}], "stop_reason": "tool_use"}
        case "bad text":
            return {"content": [{"type": "text", "text": ""}]}
        case other:
            text = f"You said {other}. Is there anything else?"
    return {"content": [{"type": "text", "text": text}], "stop_reason": "end_turn"}


@pytest.fixture
async def api() -> AsyncIterator[MessagesApi]:
    async with serving(reply, disobedience=0.5) as server:
        yield server


@pytest.fixture
async def client(api: MessagesApi) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(base_url=api.url, api_key="k", max_retries=2) as sdk:
        yield sdk


@pytest.fixture
async def http(api: MessagesApi) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=api.url, headers=HEADERS) as bare:
        yield bare


def ask(text: str = "hello", **more: Any) -> dict[str, Any]:
    return {"model": NEW, "max_tokens": 100, "messages": [{"role": "user", "content": text}], **more}


async def text_of(client: anthropic.AsyncAnthropic, *args: str, **more: Any) -> str:
    message: Any = await client.messages.create(**ask(*args, **more))
    return str(message.content[0].text)


# What works


async def test_a_plain_answer(client: anthropic.AsyncAnthropic) -> None:
    raw = await client.messages.with_raw_response.create(**ask(system="Be kind."))
    message: Any = await raw.parse()
    assert message.content[0].text == "You said hello. Is there anything else?"
    assert (message.stop_reason, message.model, message.role) == ("end_turn", NEW, "assistant")
    assert message.usage.input_tokens > 10
    assert message.usage.output_tokens == 10
    assert message.usage.cache_read_input_tokens == message.usage.cache_creation_input_tokens == 0
    assert raw.headers["request-id"].startswith("req_")
    assert int(raw.headers["anthropic-ratelimit-requests-remaining"]) > 0


async def test_a_tool_use_and_its_result_round_trip(client: anthropic.AsyncAnthropic) -> None:
    first: Any = await client.messages.create(**ask("look", tools=[TOOL]))
    call = first.content[1]
    assert (first.stop_reason, call.name, call.input) == ("tool_use", "lookup", {"q": "answer é"})
    turns: Any = [
        {"role": "user", "content": "look"},
        {"role": "assistant", "content": first.content},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "42"}]},
    ]
    second: Any = await client.messages.create(model=NEW, max_tokens=100, tools=[TOOL], messages=turns)
    assert second.content[0].text.startswith("You said tool_result")


async def test_a_stream_joins_to_the_same_message(client: anthropic.AsyncAnthropic) -> None:
    async with client.messages.stream(**ask("look", tools=[TOOL])) as stream:
        kinds = [event.type async for event in stream]
        message: Any = await stream.get_final_message()
    assert message.content[0].text == "Let me see."
    assert message.content[1].input == {"q": "answer é"}
    assert message.stop_reason == "tool_use"
    assert message.usage.output_tokens > 1
    assert kinds[0] == "message_start"
    assert kinds[-1] == "message_stop"


async def test_the_events_are_the_apis_in_its_order(http: httpx2.AsyncClient) -> None:
    answer = await http.post("/v1/messages", json=ask("look", tools=[TOOL], stream=True))
    assert answer.headers["content-type"].startswith("text/event-stream")
    frames = [frame.split("\n") for frame in answer.text.strip().split("\n\n")]
    events = [json.loads(data.removeprefix("data: ")) for _, data in frames]
    assert [f"event: {event['type']}" for event in events] == [name for name, _ in frames]
    order = [event["type"].removeprefix("content_") for event in events]
    assert list(dict.fromkeys(order)) == [
        "message_start",
        "ping",
        "block_start",
        "block_delta",
        "block_stop",
        "message_delta",
        "message_stop",
    ]
    assert events[0]["message"]["content"] == []
    assert events[0]["message"]["stop_reason"] is None
    assert events[-2]["delta"]["stop_reason"] == "tool_use"
    starts = [event["content_block"] for event in events if event["type"] == "content_block_start"]
    assert (starts[0]["text"], starts[1]["input"]) == ("", {})


async def test_tokens_are_counted_without_answering(
    client: anthropic.AsyncAnthropic, api: MessagesApi
) -> None:
    short = await client.messages.count_tokens(model=NEW, messages=[USER])
    long = await client.messages.count_tokens(model=NEW, messages=[USER], system="x" * 400, tools=[TOOL])
    assert long.input_tokens > short.input_tokens + 100
    assert (await client.messages.create(**ask())).usage.input_tokens == short.input_tokens
    assert api.stats()["tokens_in"] == short.input_tokens


async def test_models_are_listed_and_shown(client: anthropic.AsyncAnthropic) -> None:
    assert [model.id async for model in client.models.list()] == [NEW, OLD, "claude-opus-4-5"]
    assert (await client.models.retrieve(OLD)).max_tokens == 64_000
    with pytest.raises(anthropic.NotFoundError, match="model: claude-none"):
        await client.models.retrieve("claude-none")


async def test_a_stop_sequence_ends_the_text(client: anthropic.AsyncAnthropic) -> None:
    message: Any = await client.messages.create(**ask(stop_sequences=["Is there", "anything"]))
    assert message.content[0].text == "You said hello. "
    assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", "Is there")


async def test_max_tokens_cuts_the_answer(client: anthropic.AsyncAnthropic) -> None:
    message: Any = await client.messages.create(**ask(max_tokens=2, stop_sequences=["Is there"]))
    assert message.content[0].text == "You said"
    assert (message.stop_reason, message.stop_sequence) == ("max_tokens", None)
    assert message.usage.output_tokens == 2
    cut: Any = await client.messages.create(**ask("look", max_tokens=4, tools=[TOOL]))
    assert cut.content[1].input == {}


async def test_consecutive_messages_of_one_role_are_one_turn(client: anthropic.AsyncAnthropic) -> None:
    turns = [
        {"role": "user", "content": "echo"},
        {"role": "user", "content": [{"type": "text", "text": "b"}]},
    ]
    seen = json.loads(await text_of(client, max_tokens=500, messages=turns))
    blocks = [{"type": "text", "text": "echo"}, {"type": "text", "text": "b"}]
    assert seen["messages"] == [{"role": "user", "content": blocks}]


async def test_the_script_sees_the_request_as_it_was_sent(client: anthropic.AsyncAnthropic) -> None:
    request = ask("echo", max_tokens=500, system="s", metadata={"user_id": "u"}, tools=[TOOL])
    assert json.loads(await text_of(client, **{**request, "text": "echo"})) == request


async def test_a_bearer_token_is_a_key(api: MessagesApi) -> None:
    async with anthropic.AsyncAnthropic(base_url=api.url, auth_token="t", api_key=None) as client:
        assert await text_of(client)


async def test_an_unknown_model(client: anthropic.AsyncAnthropic) -> None:
    with pytest.raises(anthropic.NotFoundError, match="model: claude-2") as caught:
        await client.messages.create(**{**ask(), "model": "claude-2"})
    assert caught.value.type == "not_found_error"


# Chance


async def test_equal_requests_are_independent_coins(client: anthropic.AsyncAnthropic) -> None:
    draws = [await text_of(client, "draw") for _ in range(20)]
    assert len({draw.split()[0] for draw in draws}) == 20
    assert {draw.split()[1] for draw in draws} == {"True", "False"}


async def test_the_same_seed_and_order_draw_the_same() -> None:
    async def draws(seed: int) -> list[str]:
        async with (
            serving(reply, seed=seed) as server,
            anthropic.AsyncAnthropic(base_url=server.url, api_key="k") as client,
        ):
            return [await text_of(client, "draw") for _ in range(3)]

    assert await draws(7) == await draws(7) != await draws(8)


async def test_neither_faults_nor_refusals_move_the_dice(client: anthropic.AsyncAnthropic) -> None:
    first = await text_of(client, "draw")
    async with serving(reply, disobedience=0.5) as other:
        other.inject(Fault(kind="500"))
        async with anthropic.AsyncAnthropic(base_url=other.url, api_key="k") as again:
            with pytest.raises(anthropic.BadRequestError):
                await again.messages.create(**ask(" "))
            assert await text_of(again, "draw") == first


# A script's own mistakes


@pytest.mark.parametrize("mistake", ["raise", "bad call", "bad input", "bad stop", "bad text"])
async def test_a_script_bug_is_a_500_that_is_logged_and_not_retried(
    client: anthropic.AsyncAnthropic, api: MessagesApi, caplog: pytest.LogCaptureFixture, mistake: str
) -> None:
    with pytest.raises(anthropic.InternalServerError, match="script error") as caught:
        await client.messages.create(**ask(mistake, tools=[TOOL]))
    assert caught.value.type == "api_error"
    assert "the script failed" in caplog.text
    assert api.stats()["requests"] == 1


@pytest.mark.parametrize(
    ("text", "choice"),
    [("look", {"type": "none"}), ("hello", {"type": "any"}), ("hello", {"type": "tool", "name": "lookup"})],
)
async def test_a_reply_against_tool_choice_is_a_script_bug(
    client: anthropic.AsyncAnthropic, text: str, choice: dict[str, str]
) -> None:
    with pytest.raises(anthropic.InternalServerError, match="tool_choice"):
        await client.messages.create(**ask(text, tools=[TOOL], tool_choice=choice))


# Faults


async def plan(http: httpx2.AsyncClient, *faults: dict[str, Any]) -> None:
    answer = await http.post("/_faults", json={"faults": list(faults)})
    assert answer.json() == {"planned": len(faults)}


async def test_the_sdk_waits_as_a_429_says(
    client: anthropic.AsyncAnthropic, http: httpx2.AsyncClient
) -> None:
    await plan(http, {"kind": "429", "retry_after": 1.5})
    loop = asyncio.get_running_loop()
    before = loop.time()
    assert await text_of(client)
    # Without the header the SDK would wait half a second at most.
    assert loop.time() - before >= 1.5
    stats = (await http.get("/_stats")).json()
    assert (stats["requests"], stats["by_status"]) == (2, {"200": 1, "429": 1})


@pytest.mark.parametrize(
    ("kind", "error", "name"),
    [
        ("429", anthropic.RateLimitError, "rate_limit_error"),
        ("500", anthropic.InternalServerError, "api_error"),
        ("529", anthropic.OverloadedError, "overloaded_error"),
    ],
)
async def test_a_fault_that_outlasts_the_retries(
    client: anthropic.AsyncAnthropic,
    http: httpx2.AsyncClient,
    kind: str,
    error: type[anthropic.APIStatusError],
    name: str,
) -> None:
    await plan(http, {"kind": kind, "times": 2, "retry_after": 0.01})
    with pytest.raises(error) as caught:
        await client.with_options(max_retries=1).messages.create(**ask())
    assert caught.value.type == name
    assert await text_of(client)


async def test_a_hang_is_a_timeout(client: anthropic.AsyncAnthropic, http: httpx2.AsyncClient) -> None:
    await plan(http, {"kind": "hang", "seconds": 5})
    with pytest.raises(anthropic.APITimeoutError):
        await client.with_options(max_retries=0, timeout=0.2).messages.create(**ask())
    assert await text_of(client)


async def test_a_short_hang_is_only_slow(client: anthropic.AsyncAnthropic, api: MessagesApi) -> None:
    api.inject(Fault(kind="hang", seconds=0.05))
    assert await text_of(client)


@pytest.mark.parametrize("after", [0, 3])
async def test_a_cut_stream_raises(client: anthropic.AsyncAnthropic, api: MessagesApi, after: int) -> None:
    api.inject(Fault(kind="cut_stream", after_events=after))
    assert await text_of(client), "no stream, so the fault waits"
    events = []
    with pytest.raises((anthropic.APIConnectionError, httpx2.RemoteProtocolError)):
        async with client.messages.stream(**ask()) as stream:
            events += [event async for event in stream]
    assert not any(event.type == "message_stop" for event in events)
    async with client.messages.stream(**ask()) as stream:
        assert await stream.get_final_text()


async def test_faults_come_in_order_and_can_be_cleared(http: httpx2.AsyncClient) -> None:
    await plan(http, {"kind": "529"}, {"kind": "500"})
    statuses = [(await http.post("/v1/messages", json=ask())).status_code for _ in range(3)]
    assert statuses == [529, 500, 200]
    await plan(http, {"kind": "529"})
    await plan(http)
    assert (await http.post("/v1/messages", json=ask())).status_code == 200
    assert (await http.post("/_faults", json={"faults": [{"kind": "odd"}]})).status_code == 400


# The process

SCRIPT = """
from sibling import NAME

def reply(request, dice):
    return {"content": [{"type": "text", "text": f"{NAME} {dice.draw()}"}]}
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_process_says_where_it_listens_and_stops_on_a_signal(
    tmp_path: Path, number: signal.Signals
) -> None:
    (tmp_path / "sibling.py").write_text("NAME = 'Ada'")
    (tmp_path / "model.py").write_text(SCRIPT)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "outerloop.dev.messages_api", "--script", tmp_path / "model.py"),
        *("--models", "claude-test", "--seed", "3"),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        first = json.loads(await asyncio.wait_for(process.stdout.readline(), 60))
        assert first["model_is_a_script"] is True
        async with anthropic.AsyncAnthropic(base_url=first["listening"], api_key="k") as client:
            assert (await text_of(client, model="claude-test")).startswith("Ada 0.")
    finally:
        process.send_signal(number)
    assert await asyncio.wait_for(process.wait(), 60) == 0


async def test_a_file_without_reply_does_not_start(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text("x = 1")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "outerloop.dev.messages_api", "--script", tmp_path / "model.py"),
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await process.communicate()
    assert process.returncode != 0
    assert b"defines no function reply" in errors
