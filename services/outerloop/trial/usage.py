"""Token counts out of a model's answer as it passes: JSON, or server-sent events with JSON in them."""

import json
from typing import Any, Self

_MOST = 4 * 1024 * 1024  # bytes of one JSON text that is looked into
_SHOWN = 200
_INPUT = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "prompt_tokens")
_OUTPUT = ("output_tokens", "completion_tokens")


class Usage:
    """Tokens of one answer, or of several added up. `error` is that of an event stream which has one."""

    def __init__(self, input_tokens: int = 0, output_tokens: int = 0, *, streamed: bool = False) -> None:
        self.input_tokens = input_tokens
        self.output_tokens = output_tokens
        self.error = ""
        self._streamed = streamed
        self._text = bytearray()

    def __iadd__(self, other: "Usage") -> Self:
        self.input_tokens += other.input_tokens
        self.output_tokens += other.output_tokens
        return self

    def add(self, chunk: bytes) -> None:
        """Takes the next bytes of the answer."""
        if len(self._text) <= _MOST:
            self._text += chunk
        if not self._streamed:
            return
        *lines, rest = self._text.split(b"\n")
        self._text = bytearray(rest)
        for line in lines:
            if line.startswith(b"data:"):
                self._look(line[5:])

    def finish(self) -> None:
        """The answer is complete."""
        if not self._streamed:
            self._look(self._text)

    def text(self) -> str:
        """How the answer begins, for a sentence."""
        return self._text[:_SHOWN].decode(errors="replace").strip()

    def _look(self, text: bytes | bytearray) -> None:
        try:
            value = json.loads(text)
        except ValueError:
            return  # `[DONE]`, or no JSON at all: the agent's business
        if not isinstance(value, dict):
            return
        if self._streamed and value.get("type") == "error":
            self.error = str(_dict(value.get("error")).get("type", "an error"))
        for holder in (value, _dict(value.get("message"))):
            usage = _dict(holder.get("usage"))
            # A stream tells running totals: the highest is the last.
            self.input_tokens = max(self.input_tokens, _sum(usage, _INPUT))
            self.output_tokens = max(self.output_tokens, _sum(usage, _OUTPUT))


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _sum(usage: dict[str, Any], names: tuple[str, ...]) -> int:
    return sum(value for name in names if isinstance(value := usage.get(name), int))
