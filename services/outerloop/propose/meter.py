"""What a session has spent, and whether it may make another call, judged by the most that one could take."""

import json

from outerloop.propose.record import Ended, Limits
from outerloop.runtime.prices import Price, Usage

# What the API adds to what we send (the prompt that explains tools), generously.
_OVERHEAD_TOKENS = 1_000


class Meter:
    """The meter of one session; `usd` are dollars spent, those of lost calls and of tools included."""

    def __init__(self, price: Price, limits: Limits) -> None:
        self.steps = 0
        self.usage = Usage()
        self.usd = 0.0
        self._price = price
        self._limits = limits
        self._ahead = _OVERHEAD_TOKENS

    @property
    def most_usd(self) -> float:
        """The most that the next call can cost."""
        return self._price.most_usd(self._ahead, self._limits.max_tokens)

    @property
    def crowded(self) -> bool:
        """Whether the next request may be of more tokens than a context should have."""
        return self._ahead > self._limits.context

    def begin(self, sent: object) -> None:
        """The first request is made of `sent` (JSON)."""
        self._ahead = _OVERHEAD_TOKENS + _most_tokens(sent)

    def count(self, usage: Usage, reply: object) -> None:
        """A call took `usage`; the next one sends what that one saw and said, and `reply` (JSON)."""
        self.steps += 1
        self.usage += usage
        self._ahead = _OVERHEAD_TOKENS + usage.total + _most_tokens(reply)

    def limit_reached(self) -> tuple[Ended, str] | None:
        """Why another call may not be made, if it may not."""
        limits = self._limits
        if self.steps >= limits.steps:
            return Ended.STEPS, f"no change was handed in within {self.steps} steps"
        most = self._ahead + limits.max_tokens
        if self.usage.total + most > limits.tokens:
            return Ended.BUDGET, f"another call could pass the limit of {limits.tokens} tokens by session"
        if self.usd + self.most_usd > limits.usd:
            spent = f"${self.usd:.4f} are spent and another call could cost ${self.most_usd:.4f}"
            return Ended.BUDGET, f"{spent}: more than the ${limits.usd:.2f} that a session may cost"
        return None


def _most_tokens(value: object) -> int:
    """No text has more tokens than bytes, nor than characters of its ASCII JSON."""
    return len(json.dumps(value))
