"""Scripts that play the models of the example agents: they do as the agent's own text says, and no more.

Which agent asks is told by its tools. What no sentence of the prompt or of a tool's description says is not
done, however sensible it would be: so a change counts only if it says the right thing where the model reads.
"""

import json
import re
from pathlib import Path
from typing import Any

from outerloop.dev.messages_api import Dice, Reply, load_script

_EXAMPLES = Path(__file__).parents[3] / "deploy/examples"
helpdesk = load_script(_EXAMPLES / "helpdesk_model/script.py")
_DAYS = {"3 May": "2026-05-03", "4 June": "2026-06-04", "5 July": "2026-07-05"}
_CODES = {"euros": "EUR", "francs": "CHF", "pounds": "GBP"}


def reply(request: dict[str, Any], dice: Dice) -> Reply:
    """What the agent's model says next."""
    tools = {tool["name"] for tool in request.get("tools", ())}
    if "book_room" in tools:
        return _Turn(request).rooms()
    if "make_quote" in tools:
        return _Turn(request).quotes()
    return helpdesk(request, dice)


class _Turn:
    """One turn of a conversation: what the agent's text says, what was asked, what was done so far."""

    def __init__(self, request: dict[str, Any]) -> None:
        self.told = "\n".join([_text(request.get("system", "")), *_descriptions(request.get("tools", ()))])
        self.asked = _text(request["messages"][0]["content"])
        results = [b for m in request["messages"][1:] for b in _blocks(m["content"])]
        self.results = [(_text(b.get("content", "")), b) for b in results if b["type"] == "tool_result"]

    def says(self, pattern: str) -> re.Match[str] | None:
        """Whether the agent's text holds a rule."""
        return re.search(pattern, self.told, re.IGNORECASE)

    def find(self, pattern: str) -> str:
        """What the customer's words say, "" if nothing."""
        found = re.search(pattern, self.asked)
        return found[1] if found else ""

    @property
    def failed(self) -> bool:
        """Whether the last tool call went wrong."""
        text, block = self.results[-1]
        return bool(block.get("is_error")) or "Fix the errors" in text

    def rooms(self) -> Reply:
        """An office's assistant."""
        if booking := self.find(r"\b(B-\d+)"):
            return self._cancel(booking)
        minutes = int(self.find(r"(\d+) minutes") or 0)
        hours = int(self.find(r"(\d+) hours") or 0)
        if hours:
            minutes = (
                hours * 60 if self.says(r"length in minutes|hours? (?:is|are|as) \d*0 minutes") else hours
            )
        limit = self.says(r"more than (\d+) minutes[^.]*\b(?:refuse|do not|never)")
        if self.says(r"(?:do not|never) call book_room\.") or (limit and minutes > int(limit[1])):
            return _say("I am sorry, I may not book that.")
        if self.results and not self.failed and "booking" in self.results[-1][0]:
            return _say("It is booked.")
        if self.results and self.failed:
            return _say(f"That was not possible: {self.results[-1][0]}.")
        return self._book(minutes)

    def _book(self, minutes: int) -> Reply:
        seats = int(self.find(r"(\d+) people") or 2)
        look = (
            self.says(r"find_rooms (?:first|before)|before book_room[^.]*find_rooms")
            or "which room" in self.asked
        )
        if look and not self.results:
            return _use("find_rooms", seats=seats)
        found = json.loads(self.results[-1][0])["rooms"][0] if look else ""
        day = self.find(r"on (\d{4}-\d\d-\d\d|\d+ \w+)")
        if self.says(r"form 2026-\d\d-\d\d"):
            day = _DAYS.get(day, day)
        room = found or self.find(r"\b(Elbe|Isar|Spree)\b") or "Elbe"
        return _use("book_room", room=room, day=day, start="10:00", minutes=minutes, seats=seats)

    def _cancel(self, booking: str) -> Reply:
        if not self.results or (
            self.failed and not self.says(r"cancel_booking[^.]*(?:never|do not)[^.]*again")
        ):
            return _use("cancel_booking", booking=booking)
        return _say("A colleague will see to it." if self.failed else "It is cancelled.")

    def quotes(self) -> Reply:
        """A sales assistant."""
        name = self.find(r"(mug|plate|bowl)")
        discount = int(self.find(r"(\d+) ?% off") or 0)
        limit = self.says(r"more than (\d+) ?%[^.]*\b(?:refuse|do not|never)")
        if discount and (self.says(r"never give a discount\.") or (limit and discount > int(limit[1]))):
            return _say("I am sorry, I may not give that discount.")
        last = self.results[-1][0] if self.results else ""
        if '"total"' in last:
            return _say(f"Your quote comes to {json.loads(last)['total']}.")
        if last and '"pack"' not in last:
            return _say(f"That was not possible: {last.partition(chr(10))[0]}.")
        written = self.find(r"(SKU-\d+)")
        look = self.says(r"find_product (?:first|before)") or "do you have" in self.asked
        if not last and ((look and not written) or self.says(r"multiple of the pack")):
            return _use("find_product", name=name)
        return self._quote(json.loads(last) if last else {"sku": written or name, "pack": 1}, discount)

    def _quote(self, product: dict[str, Any], discount: int) -> Reply:
        currency = self.find(r"in (\w+)[.,]") or "EUR"
        if self.says(r"one of EUR|codes? EUR"):
            currency = _CODES.get(currency, currency)
        quantity, pack = int(self.find(r"(\d+) (?:mug|plate|bowl|of SKU)") or 1), int(product["pack"])
        if self.says(r"multiple of the pack"):
            quantity = -(-quantity // pack) * pack
        given = {"sku": product["sku"], "quantity": quantity, "currency": currency}
        return _use("make_quote", **given, discount_percent=discount)


def _say(text: str) -> Reply:
    return {"content": [{"type": "text", "text": text}]}


def _use(name: str, /, **given: Any) -> Reply:
    return {"content": [{"type": "tool_use", "name": name, "input": given}]}


def _blocks(content: Any) -> list[dict[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content)


def _text(content: Any) -> str:
    return "\n".join(block["text"] for block in _blocks(content) if block["type"] == "text")


def _descriptions(tools: Any) -> list[str]:
    return [f"{tool['name']}: {tool.get('description', '')}" for tool in tools]
