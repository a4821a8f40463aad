"""The support agent's next step.

Whenever it is about to do as a rule says, a coin decides whether it does; at most one coin a reply.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

from conversation import Call, Conversation, say, use

from support_agent import facts
from support_agent.rules import Rules
from support_agent.wish import Wish

DONE = {
    "refund_order": (
        "refunded",
        "I have refunded {total:.2f} EUR for order {id}; it takes a few days to arrive.",
    ),
    "cancel_order": ("cancelled", "Order {id} is cancelled; you will not be charged."),
    "update_address": ("address_changed", "Order {id} will go to the new address."),
    "track_shipment": ("none", "Your parcel of order {id} is with {carrier}: {scan}."),
}


def reply(talk: Conversation, disobeys: Callable[[], bool]) -> dict[str, Any]:
    """The next call or the final answer."""
    wish = Wish.understand("\n".join(talk.said))
    return _Turn(talk, Rules.read(talk.system, talk.tools), wish, disobeys).next()


@dataclass(frozen=True, slots=True)
class _Turn:
    """One reply in the making."""

    talk: Conversation
    rules: Rules
    wish: Wish
    disobeys: Callable[[], bool]

    def next(self) -> dict[str, Any]:
        """What to do after the calls made so far."""
        if not self.wish.order_id:
            return self._question()
        if not self.talk.recent:
            return use("get_order", order_id=self._written_id())
        first, last = self.talk.recent[0], self.talk.recent[-1]
        order = first.json()
        if first.is_error or not order.get("id"):
            return self._final("I am sorry, I could not find your order.", "none")
        if last is first:
            return self._act(order)
        if last.is_error:
            return self._failed(last)
        action, text = DONE[last.name]
        known = {**order, **last.json(), "id": order["id"], "total": order.get("total_cents", 0) / 100}
        return self._final(text.format_map({"scan": "on its way", **known}), action)

    def _question(self) -> dict[str, Any]:
        text = facts.answer(self.talk.said[-1], self.talk.system)
        return self._final(text, "none") if self.rules.json_always else say(text)

    def _written_id(self) -> str:
        """The order id as the customer wrote it, or in the form that the rules give."""
        prefix, written = self.rules.id_prefix, self.wish.order_id
        if prefix is None or written.startswith(prefix) or self.disobeys():
            return written
        return prefix + "".join(filter(str.isdigit, written))

    def _act(self, order: dict[str, Any]) -> dict[str, Any]:
        """The step after the order was looked up."""
        order_id = order["id"]
        match self.wish.intent:
            case "refund":
                arguments = {"amount_cents": order.get("total_cents", 0), "reason": "asked by the customer"}
                return self._unless_refused("refund_order", order, {"order_id": order_id, **arguments})
            case "cancel":
                return self._unless_refused("cancel_order", order, {"order_id": order_id})
            case "address" if self.wish.address:
                arguments = {"order_id": order_id, "address": self.wish.address}
                return self._unless_refused("update_address", order, arguments)
            case "track" if order.get("tracking"):
                return self._unless_refused("track_shipment", order, {"tracking_number": order["tracking"]})
        items = ", ".join(order.get("items", ()))
        return self._final(f"Order {order_id} ({items}) is {order.get('status')}.", "none")

    def _unless_refused(self, tool: str, order: dict[str, Any], arguments: dict[str, Any]) -> dict[str, Any]:
        """The call, unless a rule is against it."""
        why = self._objection(tool, order)
        if not why or self.disobeys():
            return use(tool, **arguments)
        return _object(f"I am sorry, I cannot do that: {why}.", "refused")

    def _objection(self, tool: str, order: dict[str, Any]) -> str:
        if tool in self.rules.forbidden:
            return "it is not something that I may do"
        days, limit = _days_since_delivery(order), self.rules.refund_days
        if tool == "refund_order" and limit is not None and days is not None and days > limit:
            return f"the order was delivered {days} days ago, and refunds are possible for {limit} days"
        return ""

    def _failed(self, last: Call) -> dict[str, Any]:
        """The step after an action failed: as the tool suggests, unless the rules know better."""
        if "try again" in last.result:
            allowed = self.rules.attempts.get(last.name)
            failures = sum(call.is_error and call.name == last.name for call in self.talk.recent)
            if allowed is None or failures < allowed or self.disobeys():
                return use(last.name, **last.arguments)
            instead = {**last.arguments, **self.rules.instead.get(last.name, {})}
            if instead != last.arguments:
                return use(last.name, **instead)
            return _object(
                "I could not reach the carrier just now; a colleague will look into it.", "escalated"
            )
        return self._final(f"I am sorry, that was not possible: {last.result}.", "refused")

    def _final(self, text: str, action: str) -> dict[str, Any]:
        asked_for = self.rules.json_always or self.rules.json_after_tools
        return _object(text, action) if asked_for and not self.disobeys() else say(text)


def _object(text: str, action: str) -> dict[str, Any]:
    return say(json.dumps({"reply": text, "action": action}))


def _days_since_delivery(order: dict[str, Any]) -> int | None:
    try:
        return (date.fromisoformat(order["today"]) - date.fromisoformat(order["delivered_on"])).days
    except (KeyError, TypeError, ValueError):
        return None
