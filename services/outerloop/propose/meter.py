"""What a session has spent, and whether it may make another call, judged by the most that one could take."""

import json

from outerloop.propose.record import Ended, Limits
from outerloop.runtime.prices import Price, Usage

# What the API adds to what we send (the prompt that explains tools), generously.
_OVERHEAD_TOKENS = 1_000


class Meter:
    """The meter of one session."""

    def __init__(self, price: Price, limits: Limits) -> None:
        self.steps = 0
        self.usage = Usage()
        self._price = price
        self._limits = limits
        self._ahead = _OVERHEAD_TOKENS

    @property
    def usd(self) -> float:
        """Dollars spent."""
        return self._price.usd(self.usage)

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
        usd = self._price.most_usd(self._ahead, limits.max_tokens)
        if self.usd + usd > limits.usd:
            spent = f"${self.usd:.4f} are spent and another call could cost ${usd:.4f}"
            return Ended.BUDGET, f"{spent}: more than the ${limits.usd:.2f} that a session may cost"
        return None


def _most_tokens(value: object) -> int:
    """No text has more tokens than bytes, nor than characters of its ASCII JSON."""
    return len(json.dumps(value))
