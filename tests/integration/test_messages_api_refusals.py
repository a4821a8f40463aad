"""Everything the API refuses, refused in its words: over bare HTTP, not by way of the SDK."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from outerloop.dev.messages_api import Dice, Reply, serving

HEADERS = {"x-api-key": "k", "anthropic-version": "2023-06-01"}
TOOL = {"name": "lookup", "description": "Look it up.", "input_schema": {"type": "object"}}
USER = {"role": "user", "content": "hello"}
OLD, NEW = "claude-haiku-4-5", "claude-sonnet-5-5"
USE = {"type": "tool_use", "id": "toolu_1", "name": "lookup", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "42"}


def reply(_request: dict[str, Any], _dice: Dice) -> Reply:
    return {"content": [{"type": "text", "text": "Yes."}]}


@pytest.fixture
async def http() -> AsyncIterator[httpx2.AsyncClient]:
    async with serving(reply) as api, httpx2.AsyncClient(base_url=api.url, headers=HEADERS) as client:
        yield client


def ask() -> dict[str, Any]:
    return {"model": NEW, "max_tokens": 100, "messages": [USER]}


def turns(*contents: Any) -> dict[str, Any]:
    roles = ["user", "assistant"]
    return {"messages": [{"role": roles[i % 2], "content": c} for i, c in enumerate(contents)]}


def tooled(*contents: Any) -> dict[str, Any]:
    return {"tools": [TOOL], **turns(*contents)}


MARK = {"cache_control": {"type": "ephemeral"}}
UNANSWERED = (
    "messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: toolu_1. Each "
    "`tool_use` block must have a corresponding `tool_result` block in the next message."
)
UNEXPECTED = (
    "messages.2.content.0: unexpected `tool_use_id` found in `tool_result` blocks: toolu_9. Each "
    "`tool_result` block must have a corresponding `tool_use` block in the previous message."
)
EMPTY = "all messages must have non-empty content except for the optional final assistant message"
SCHEMA = "tools.0.custom.input_schema"
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    # fields
    "unknown field": ({"extra": 1}, "extra: Extra inputs are not permitted"),
    "null model": ({"model": None}, "model: Input should be a valid string"),
    "stream as text": ({"stream": "yes"}, "stream: Input should be a valid boolean"),
    "max_tokens as text": ({"max_tokens": "9"}, "max_tokens: Input should be a valid integer"),
    "max_tokens 0": ({"max_tokens": 0}, "max_tokens: must be greater than or equal to 1"),
    "max_tokens too large": (
        {"model": OLD, "max_tokens": 64_001},
        f"max_tokens: 64001 > 64000, which is the maximum allowed number of output tokens for {OLD}",
    ),
    "temperature high": ({"model": OLD, "temperature": 1.1}, "temperature: range: 0..1"),
    "temperature low": ({"model": OLD, "temperature": -0.1}, "temperature: range: 0..1"),
    "temperature on a new model": ({"temperature": 0}, "`temperature` is deprecated for this model."),
    "top_p": ({"model": OLD, "top_p": 2}, "top_p: range: 0..1"),
    "temperature and top_p": (
        {"model": OLD, "temperature": 1, "top_p": 1},
        "`temperature` and `top_p` cannot both be specified for this model. Please use only one.",
    ),
    "blank stop": (
        {"stop_sequences": [" "]},
        "stop_sequences: each stop sequence must contain non-whitespace",
    ),
    "budget": (
        {"model": OLD, "thinking": {"type": "enabled", "budget_tokens": 9}},
        "thinking.budget_tokens: Input should be greater than or equal to 1024",
    ),
    "budget over max_tokens": (
        {"model": OLD, "thinking": {"type": "enabled", "budget_tokens": 2000}},
        "`max_tokens` must be greater than `thinking.budget_tokens`.",
    ),
    "thinking and force": (
        {"tools": [TOOL], "thinking": {"type": "adaptive"}, "tool_choice": {"type": "any"}},
        "Thinking may not be enabled when tool_choice forces tool use.",
    ),
    # messages
    "no messages": ({"messages": []}, "messages: at least one message is required"),
    "messages as text": ({"messages": "hi"}, "messages: Input should be a valid list"),
    "assistant first": (
        {"messages": [{"role": "assistant", "content": "x"}, USER]},
        'messages: first message must use the "user" role',
    ),
    "system role": (
        {"messages": [{"role": "system", "content": "x"}, USER]},
        (
            'messages: Unexpected role "system". The Messages API accepts a top-level `system` parameter, '
            'not "system" as an input message role.'
        ),
    ),
    "other role": (
        {"messages": [{"role": "tool", "content": "x"}]},
        "messages.0.role: Input should be 'user' or 'assistant'",
    ),
    "no content": ({"messages": [{"role": "user"}]}, "messages.0.content: Field required"),
    "field of a message": (
        {"messages": [{**USER, "name": "x"}]},
        "messages.0.name: Extra inputs are not permitted",
    ),
    "empty string": (turns(""), f"messages.0: {EMPTY}"),
    "empty list": (turns("a", [], "b"), f"messages.1: {EMPTY}"),
    "empty text": (
        turns([{"type": "text", "text": ""}]),
        "messages: text content blocks must be non-empty",
    ),
    "blank text": (turns(" \n"), "messages: text content blocks must contain non-whitespace text"),
    "empty system": (
        {"system": [{"type": "text", "text": ""}]},
        "system: text content blocks must be non-empty",
    ),
    "system block": (
        {"system": [{"type": "text", "text": "a", "id": "x"}]},
        "system.0.id: Extra inputs are not permitted",
    ),
    "unknown block": (
        turns([{"type": "audio"}]),
        (
            "messages.0.content.0: Input tag 'audio' found using 'type' does not match any of the expected "
            "tags: 'text', 'image', 'tool_use', 'tool_result', 'thinking', 'redacted_thinking'"
        ),
    ),
    "field of a block": (
        tooled("a", [{**USE, "index": 0}], [RESULT]),
        "messages.1.content.0.tool_use.index: Extra inputs are not permitted",
    ),
    "field of inner text": (
        tooled("a", [USE], [{**RESULT, "content": [{"type": "text", "text": "a", "id": "x"}]}]),
        "messages.2.content.0.tool_result.content.0.text.id: Extra inputs are not permitted",
    ),
    "prefill on a new model": (
        turns("a", "b"),
        (
            "This model does not support assistant message prefill. The conversation must end with a user "
            "message."
        ),
    ),
    "trailing whitespace": (
        {"model": OLD, **turns("a", "b ")},
        "messages: final assistant content cannot end with trailing whitespace",
    ),
    # tools
    "tool without schema": (
        {"tools": [{"name": "a"}]},
        "tools.0.custom.input_schema: Field required",
    ),
    "tool name": (
        {"tools": [{**TOOL, "name": "a b"}]},
        "tools.0.custom.name: String should match pattern '^[a-zA-Z0-9_-]{1,128}$'",
    ),
    "schema without type": ({"tools": [{**TOOL, "input_schema": {}}]}, f"{SCHEMA}.type: Field required"),
    "schema of a list": (
        {"tools": [{**TOOL, "input_schema": {"type": "array"}}]},
        f"{SCHEMA}.type: Input should be 'object'",
    ),
    "schema with anyOf": (
        {"tools": [{**TOOL, "input_schema": {"type": "object", "anyOf": []}}]},
        f"{SCHEMA}: input_schema does not support oneOf, allOf, or anyOf at the top level",
    ),
    "two tools of one name": ({"tools": [TOOL, TOOL]}, "tools: Tool names must be unique."),
    "server tool": (
        {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
        "tools.0.custom.type: Input should be 'custom'",
    ),
    "choice without tools": (
        {"tool_choice": {"type": "any"}},
        "tool_choice may only be specified while providing tools.",
    ),
    "choice of an unknown tool": (
        {"tools": [TOOL], "tool_choice": {"type": "tool", "name": "x"}},
        "Tool 'x' not found in provided tools",
    ),
    "choice without a name": (
        {"tools": [TOOL], "tool_choice": {"type": "tool"}},
        "tool_choice.tool.name: Field required",
    ),
    # tool use in the conversation
    "tool use without tools": (
        turns("a", [USE], [RESULT]),
        "Requests which include `tool_use` or `tool_result` blocks must define tools.",
    ),
    "unanswered": (tooled("a", [USE], "b"), UNANSWERED),
    "unanswered at the end": (tooled("a", [USE]), UNANSWERED),
    "answered too late": (tooled("a", [USE], "b", "c", [RESULT]), UNANSWERED),
    "result after text": (tooled("a", [USE], [{"type": "text", "text": "b"}, RESULT]), UNANSWERED),
    "result of another": (tooled("a", [USE], [{**RESULT, "tool_use_id": "toolu_9"}, RESULT]), UNEXPECTED),
    "result of nothing": (tooled("a", "b", [{**RESULT, "tool_use_id": "toolu_9"}]), UNEXPECTED),
    "two results": (
        tooled("a", [USE], [RESULT, RESULT]),
        (
            "messages.2: each tool_use must have a single result. Found multiple `tool_result` blocks with "
            "id: toolu_1"
        ),
    ),
    "two uses of one id": (
        tooled("a", [USE, USE], [RESULT]),
        "messages.1.content.1: `tool_use` ids must be unique",
    ),
    "an id used again later": (
        tooled("a", [USE], [RESULT], [USE], [RESULT]),
        "messages.3.content.0: `tool_use` ids must be unique",
    ),
    "tool use of the user": (
        tooled([USE]),
        "messages.0: `tool_use` blocks can only be in `assistant` messages",
    ),
    "input as text": (
        tooled("a", [{**USE, "input": "{}"}], [RESULT]),
        "messages.1.content.0.tool_use.input: Input should be a valid dictionary",
    ),
    "tool use id": (
        tooled("a", [{**USE, "id": "a.b"}], [RESULT]),
        "messages.1.content.0.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'",
    ),
    # limits
    "five breakpoints": (
        {"tools": [{**TOOL, **MARK}], **turns([{"type": "text", "text": "a", **MARK}] * 4)},
        "A maximum of 4 blocks with cache_control may be provided. Found 5.",
    ),
    "long prompt": (turns("x" * 800_000), "prompt is too long: 200011 tokens > 200000 maximum"),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_what_the_api_refuses_is_refused_in_its_words(http: httpx2.AsyncClient, case: str) -> None:
    changes, message = REFUSED[case]
    answer = await http.post("/v1/messages", json={**ask(), **changes})
    body = answer.json()
    assert body["error"] == {"type": "invalid_request_error", "message": message}
    assert (answer.status_code, body["type"]) == (400, "error")
    assert body["request_id"] == answer.headers["request-id"]


@pytest.mark.parametrize("field", ["model", "max_tokens", "messages"])
async def test_required_fields(http: httpx2.AsyncClient, field: str) -> None:
    body = ask()
    del body[field]
    answer = await http.post("/v1/messages", json=body)
    assert answer.json()["error"]["message"] == f"{field}: Field required"


ALLOWED: dict[str, dict[str, Any]] = {
    "empty last assistant": {"model": OLD, **turns("a", "")},
    "a prefill": {"model": OLD, **turns("a", "b")},
    "temperature": {"model": OLD, "temperature": 0.5},
    "results in two messages": {
        "tools": [TOOL],
        "messages": [
            USER,
            {"role": "assistant", "content": [USE, {**USE, "id": "toolu_2"}]},
            {"role": "user", "content": [RESULT]},
            {
                "role": "user",
                "content": [{**RESULT, "tool_use_id": "toolu_2"}, {"type": "text", "text": "b"}],
            },
        ],
    },
    "an image": turns(
        [
            {"type": "text", "text": "see"},
            {
                "type": "image",
                "source": {"type": "base64", "media_type": "image/png", "data": "x" * 900_000},
            },
        ]
    ),
    "four breakpoints": turns([{"type": "text", "text": "a", **MARK}] * 4),
}


@pytest.mark.parametrize("case", ALLOWED)
async def test_what_the_api_allows_is_allowed(http: httpx2.AsyncClient, case: str) -> None:
    answer = await http.post("/v1/messages", json={**ask(), **ALLOWED[case]})
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    ("headers", "status", "kind", "message"),
    [
        ({"x-api-key": ""}, 401, "authentication_error", "x-api-key header is required"),
        ({"anthropic-version": ""}, 400, "invalid_request_error", "anthropic-version: header is required"),
        ({"anthropic-version": "1"}, 400, "invalid_request_error", "is not a valid version"),
        ({"content-type": "text/plain"}, 400, "invalid_request_error", "must be application/json"),
    ],
)
async def test_headers(
    http: httpx2.AsyncClient, headers: dict[str, str], status: int, kind: str, message: str
) -> None:
    answer = await http.post(
        "/v1/messages", content=json.dumps(ask()), headers={"content-type": "application/json", **headers}
    )
    error = answer.json()["error"]
    assert (answer.status_code, error["type"]) == (status, kind)
    assert message in error["message"]


@pytest.mark.parametrize("parameter", ["temperature", "top_p", "top_k"])
async def test_the_newest_version_has_no_sampling_parameters(
    http: httpx2.AsyncClient, parameter: str
) -> None:
    answer = await http.post(
        "/v1/messages",
        json={**ask(), "model": OLD, parameter: 1},
        headers={"anthropic-version": "2026-10-21"},
    )
    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == f"{parameter}: Extra inputs are not permitted"


@pytest.mark.parametrize("body", [b"{", b'{"a": NaN}', b'{"a": "\\ud800"}', b"\xff", b""])
async def test_what_is_not_json(http: httpx2.AsyncClient, body: bytes) -> None:
    answer = await http.post("/v1/messages", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith("The request body is not valid JSON: ")


async def test_a_body_over_32_megabytes(http: httpx2.AsyncClient) -> None:
    answer = await http.post("/v1/messages", json={**ask(), **turns("x" * (32 * 1024 * 1024))})
    assert (answer.status_code, answer.json()["error"]["type"]) == (413, "request_too_large")


async def test_no_such_path_and_no_such_method(http: httpx2.AsyncClient) -> None:
    assert (await http.get("/v1/nothing")).json()["error"]["type"] == "not_found_error"
    assert (await http.get("/v1/messages")).status_code == 405
