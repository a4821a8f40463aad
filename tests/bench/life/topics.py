"""Topics: what customers write about, what is right to do then, and the sentences that rules are made of."""

from dataclasses import dataclass
from typing import Any

_THINGS = ("tent", "stove", "jacket", "backpack", "kayak", "hammock", "lamp", "rope", "compass", "mattress")
_FLAWS = ("torn", "leaking", "missing", "scratched", "squeaking", "faded", "mouldy", "bent", "late", "wrong")
MOST = len(_THINGS) * len(_FLAWS)
# Tool, its argument besides the order, and what that may be.
TOOLS: dict[str, tuple[str, tuple[str, ...]]] = {
    "refund_order": ("reason", ("flaw", "goodwill", "delay")),
    "replace_item": ("speed", ("standard", "express")),
    "open_ticket": ("queue", ("workshop", "carrier", "warehouse")),
    "send_label": ("carrier", ("DHL", "GLS", "UPS")),
}
_WORDS = (
    "Hello, order {order} came with a {subject}. What can you do?",
    "I have a {subject} here from order {order}. Please help.",
    "About my order {order}: it is a {subject}, and I am not happy.",
    "Order {order}. A {subject}. Again. What now?",
)
VARIANTS = len(_WORDS) - 1


@dataclass(frozen=True, slots=True)
class Topic:
    """One thing that customers write about. `number` is below `MOST`; all else follows from it."""

    number: int

    @property
    def subject(self) -> str:
        """What it is called in requests and rules, as in "torn tent"."""
        return f"{_FLAWS[self.number // len(_THINGS) % len(_FLAWS)]} {_THINGS[self.number % len(_THINGS)]}"

    @property
    def call(self) -> tuple[str, str, str]:
        """The right tool, its argument besides the order, and that argument's value."""
        tool = list(TOOLS)[self.number % len(TOOLS)]
        argument, values = TOOLS[tool]
        return tool, argument, values[self.number % len(values)]

    def order(self, variant: int = 0) -> str:
        """The order that the customer names: 0 is the recorded request, others are held out."""
        return f"A-{1000 + 10 * self.number + variant}"

    def request(self, variant: int = 0) -> dict[str, Any]:
        """The agent's input."""
        text = _WORDS[variant % len(_WORDS)].format(order=self.order(variant), subject=self.subject)
        return {"messages": [{"role": "user", "parts": [{"type": "text", "content": text}]}]}

    def arguments(self, variant: int = 0) -> dict[str, str]:
        """The right call's arguments."""
        _, argument, value = self.call
        return {"order_id": self.order(variant), argument: value}

    def rule(self) -> str:
        """The sentence that closes the topic's failure mode, for whichever order."""
        return f"- A customer writes about a {self.subject}: {self._told()}"

    def rule_for_one_order(self) -> str:
        """The sentence that closes it for the recorded request alone."""
        return f"- Order {self.order()}: {self._told()}"

    def excuse(self) -> str:
        """A sentence that has the agent follow the topic's rule less often."""
        return f"- For a {self.subject} it is often enough to say sorry."

    def _told(self) -> str:
        tool, argument, value = self.call
        return f'call {tool} with {argument} "{value}".'


def all_topics() -> dict[str, Topic]:
    """Every topic by its subject."""
    return {topic.subject: topic for topic in map(Topic, range(MOST))}
