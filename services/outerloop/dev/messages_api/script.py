"""The script protocol: how a file decides what the model says.

A script is a Python file that defines

    def reply(request: dict, dice: Dice) -> Reply: ...

* `request` is the body of POST /v1/messages, already found valid, with consecutive messages of one role
  combined as the real API combines them, and otherwise as the client sent it. It is the script's own copy.
* `dice.draw()` gives a fresh uniform number in [0, 1) from a generator seeded by the server's seed and by
  how many requests were answered before. Nothing is cached or keyed by content: two equal requests are two
  independent coins, and the same requests in the same order after the same seed draw the same numbers.
* `dice.disobeys()` is the coin for ignoring an instruction; its bias is the server's `--disobedience`.
* The result is `{"content": [...], "stop_reason": ...}`. Blocks are `{"type": "text", "text": ...}` and
  `{"type": "tool_use", "name": ..., "input": {...}}`; an `id` is given to a tool use that has none.
  `stop_reason` may be left out: it is then tool_use or end_turn, as the content says. The server applies
  stop_sequences and max_tokens itself.

The script's folder is on sys.path, so it may import its siblings. It runs on the server's event loop: it
should compute, not wait. An exception or a reply that no model could give is answered with 500 and logged.
"""

import importlib.util
import random
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NotRequired, Protocol, TypedDict, cast


class Reply(TypedDict):
    """What the model says, before the server gives it ids, limits and usage."""

    content: list[dict[str, Any]]
    stop_reason: NotRequired[str]


@dataclass(frozen=True, slots=True)
class Dice:
    """The chance in one answer. `disobedience` is a probability."""

    draw: Callable[[], float]
    disobedience: float = 0.0

    def disobeys(self) -> bool:
        """Whether the model, this time, does not do as it was told. Uses up one draw."""
        return self.draw() < self.disobedience

    @classmethod
    def thrown(cls, seed: int, answered: int, disobedience: float) -> "Dice":
        """The dice of the answer after `answered` others."""
        # A string seed is hashed, so neighbouring counters share nothing; integer seeds would be close.
        generator = random.Random(f"{seed}/{answered}")  # noqa: S311 - repeatable by design, guards nothing
        return cls(generator.random, disobedience)


class Script(Protocol):
    """The `reply` function of a script."""

    def __call__(self, request: dict[str, Any], dice: Dice, /) -> Reply:
        """The model's answer to one request."""
        ...


def load_script(path: Path) -> Script:
    """The `reply` of the file at `path`. Raises ImportError if it is no script."""
    spec = importlib.util.spec_from_file_location(f"model_script_{path.stem}", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise ImportError(f"{path} is not a Python file")
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses in a script look their module up here
    spec.loader.exec_module(module)
    if not hasattr(module, "reply"):
        raise ImportError(f"{path} defines no function reply(request, dice)")
    return cast("Script", module.reply)
