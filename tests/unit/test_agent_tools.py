"""outerloop.tools: as ever without a trial, and in one from the trial's tools, over a real socket."""

import json
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from outerloop.tools import ToolError, ToolsUnavailableError, call, route, route_calls


@pytest.fixture
def trial(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """The calls that reached a trial's tools, which answer with the call itself."""
    calls: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            made = json.loads(self.rfile.read(int(self.headers["content-length"])))
            calls.append((self.path, made["name"], made["arguments"]))
            content = "not JSON" if made["name"] in {"text", "bad"} else json.dumps(made["arguments"])
            body = json.dumps({"content": content, "is_error": made["name"] == "bad"}).encode()
            self.send_response(500 if made["name"] == "gone" else 200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("OUTERLOOP_TOOLS_URL", f"http://127.0.0.1:{server.server_port}/tools")
        yield calls
        server.shutdown()


@route
def get_order(order_id: str, full: bool = False, **more: Any) -> Any:  # noqa: FBT001, FBT002 - a tool is called so
    return {"real": order_id, "full": full, **more}


@route(name="text")
async def read(path: str) -> Any:
    return f"real {path}"


class Shop:
    @route
    def refund(self, order_id: str) -> Any:
        return f"real {order_id}"

    @route_calls
    def run(self, name: str, arguments: dict[str, Any]) -> Any:
        return f"real {name}"


async def test_without_a_trial_tools_are_called_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OUTERLOOP_TOOLS_URL", raising=False)
    assert get_order("A-1", full=True) == {"real": "A-1", "full": True}
    assert await read("x") == "real x"
    assert Shop().refund("A-1") == "real A-1"
    assert Shop().run("refund", {}) == "real refund"
    assert get_order.__name__ == "get_order"


async def test_in_a_trial_they_are_answered_by_its_tools(trial: list[Any]) -> None:
    assert get_order("A-1", note="x") == {"order_id": "A-1", "note": "x"}
    assert await read("x") == "not JSON"
    assert Shop().refund(order_id="A-1") == {"order_id": "A-1"}
    assert Shop().run("refund", {"order_id": "A-2"}) == {"order_id": "A-2"}
    assert trial == [
        ("/tools/call", "get_order", {"order_id": "A-1", "note": "x"}),
        ("/tools/call", "text", {"path": "x"}),
        ("/tools/call", "refund", {"order_id": "A-1"}),
        ("/tools/call", "refund", {"order_id": "A-2"}),
    ]


def test_a_tools_error_is_not_the_trials(trial: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ToolError, match="not JSON"):
        call("bad", {})
    with pytest.raises(ToolsUnavailableError, match="gone cannot be asked at"):
        call("gone", {})
    with pytest.raises(ToolsUnavailableError, match="must be an http address"):
        call("get", {}, url="file:///etc/passwd")
    monkeypatch.setenv("OUTERLOOP_TOOLS_URL", "http://127.0.0.1:1")
    with pytest.raises(ToolsUnavailableError):
        get_order("A-1")


def test_a_tool_without_names_is_refused_when_it_is_decorated() -> None:
    with pytest.raises(TypeError, match="arguments have names"):
        route(lambda *args: args)


def test_it_brings_nothing_along() -> None:
    loaded = "import sys, outerloop.tools; print([m for m in sys.modules if m.startswith('outerloop')])"
    done = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['outerloop', 'outerloop.tools']"
