"""The models on offer and what each generation of them accepts."""

import re
from dataclasses import dataclass
from typing import Any

DEFAULT_MODELS = ("claude-sonnet-5-5", "claude-haiku-4-5", "claude-opus-4-5")

# Newer models have larger windows on the real API; the stand-in may be stricter, never laxer.
CONTEXT_WINDOW = 200_000

_NAME = re.compile(r"claude-[a-z]+-(\d+)(?:-(\d{1,2}))?(?:-\d{8})?")


@dataclass(frozen=True, slots=True)
class Model:
    """One model. Its generation, read from its id, decides which parameters are refused."""

    id: str

    @property
    def generation(self) -> tuple[int, int]:
        """(5, 5) for claude-sonnet-5-5. A name that does not tell counts as the newest: the strictest."""
        found = _NAME.fullmatch(self.id)
        return (int(found[1]), int(found[2] or 0)) if found else (99, 0)

    @property
    def max_output(self) -> int:
        """The largest `max_tokens` allowed."""
        return 128_000 if self.generation >= (4, 6) else 64_000

    @property
    def prefill(self) -> bool:
        """Whether a conversation may end with the beginning of the assistant's answer."""
        return self.generation < (4, 6)

    @property
    def sampling(self) -> bool:
        """Whether temperature, top_p and top_k, and with them a thinking budget, are accepted."""
        return self.generation < (4, 7)

    @property
    def least_cached(self) -> int:
        """Tokens below which a prefix is not cached; a model that is not known counts as the largest."""
        if "-sonnet-" in self.id:
            return 2_048 if self.generation >= (4, 6) else 1_024
        if "-haiku-" in self.id and self.generation < (4, 5):
            return 2_048
        return 4_096 if self.generation >= (4, 5) else 1_024

    def info(self) -> dict[str, Any]:
        """The body of GET /v1/models/{id}."""
        return {
            "type": "model",
            "id": self.id,
            "display_name": self.id.replace("-", " ").title(),
            "created_at": "1970-01-01T00:00:00Z",
            "lifecycle": "active",
            "max_input_tokens": CONTEXT_WINDOW,
            "max_tokens": self.max_output,
        }
