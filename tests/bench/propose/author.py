"""A script that plays the model which repairs: it can write what it was sent, and nothing else.

It knows the kinds of causes beforehand, but not what is specific in one (a form, a limit, a list of codes):
that it takes, word for word, from what stands in its context. Without it, it looks at recorded runs, and then
gives up. Where a blunt rule comes to mind first, it proposes that one, unless its context says that the blunt
rule was rejected. So what it achieves tells whether the harness put the needed evidence before the model; how
good a model is, it does not tell.
"""

import re
from dataclasses import dataclass
from typing import Any

from outerloop.dev.messages_api import Dice, Reply

FINISH = {
    "cause": "nothing says so",
    "risk": "low: it adds a rule where there was silence",
    "confidence": 0.8,
}
_FLAGS = re.DOTALL
# Where it looks for a cause: in what it was told, and in recorded runs; a file that it reads is none.
_EVIDENCE = frozenset({"", "look_at_trace", "show_more"})


@dataclass(frozen=True, slots=True)
class Move:
    """One repair: if all of `needs` stand in the context, `rule` (with what they name) goes after `anchor`.

    `blunt`: it is tried only as long as the context does not say that it was rejected.
    """

    path: str
    needs: tuple[str, ...]
    anchor: str
    rule: str
    blunt: bool = False


_POLICY, _ROOMS, _TOOLS = "prompts/policy.md", "prompts.yaml", "quotes/tools.py"
_LAST_BULLET = r"- Say where a parcel is:[^\n]*"
_SEAT = r"seats \d+, and \d+ people are coming"
_LOOKED = r'("tool": "find_rooms"|execute_tool find_rooms|calls find_rooms)'
MOVES = (
    Move(
        "tools/get_order.yaml",
        (r"get_order.{0,900}?expected the form (?P<form>[A-Z]-\d+)",),
        r"description: Look up an order\.[^\n]*",
        " The order id must have the form {form}, also when the customer writes only the number.",
    ),
    Move(
        _POLICY,
        (r"refunded an order delivered",),
        _LAST_BULLET,
        "\n- Do not call refund_order.",
        blunt=True,
    ),
    Move(
        _POLICY,
        (r"the refund window is (?P<days>\d+) days", r"\+- Do not call refund_order\."),
        _LAST_BULLET,
        "\n- Call refund_order only if the order was delivered within the last {days} days; if it was longer"
        " ago, refuse.",
    ),
    Move(
        _POLICY,
        (r"final answer is not (?P<what>a JSON object)",),
        r'"action", what was done:[^\n]*',
        "\n\nEvery answer is {what} with reply and action, also when no tool was used.",
    ),
    Move(
        _POLICY,
        (r"track_shipment.{0,900}?try again",),
        _LAST_BULLET,
        "\n- If track_shipment fails, do not call it again: say that a colleague will follow up.",
    ),
    Move(
        _ROOMS,
        (r"book_room.{0,900}?expected the form (?P<form>\d+-\d+-\d+)",),
        r"Book a room for a meeting\.",
        " The day must have the form {form}.",
    ),
    Move(
        _ROOMS,
        (r"give the (?P<what>whole length in minutes)",),
        r"Book a room for a meeting\.",
        " Give the {what}.",
    ),
    Move(_ROOMS, (_SEAT, _LOOKED), r"Book a room for a meeting\.", " Call find_rooms before book_room."),
    Move(
        _ROOMS,
        (r"cancel_booking.{0,900}?try again",),
        r"Cancel a booking\.",
        " If cancel_booking fails, never call it again.",
    ),
    Move(_ROOMS, (r"booked a room for \d+ minutes",), r"Do what you are asked", "", blunt=True),
    Move(
        _ROOMS,
        (r"more than (?P<most>\d+) minutes take an approval", r"\+ *Never call book_room\."),
        r"Do what you are asked",
        "",
    ),
    Move(
        _TOOLS,
        (r"unknown sku '[^'{]+'", r"(?P<tool>find_product) gives the sku"),
        r'"""Make a quote\.',
        " Call {tool} first: it gives the sku.",
    ),
    Move(
        _TOOLS,
        (r"give the code, (?P<codes>one of [A-Z, ]+)",),
        r'"""Make a quote\.',
        " The currency is a code, {codes}.",
    ),
    Move(
        _TOOLS,
        (r"\d is no multiple of the pack of \d",),
        r'"""Make a quote\.',
        " Round the quantity up to a multiple of the pack, which find_product gives.",
    ),
    Move(
        "instructions.md",
        (r"gave a discount",),
        r"- We deliver[^\n]*",
        "\n- Never give a discount.",
        blunt=True,
    ),
    Move(
        "instructions.md",
        (r"more than (?P<most>\d+) % take a manager", r"\+- Never give a discount\."),
        r"- We deliver[^\n]*",
        "\n- If more than {most}% off is asked for, refuse.",
    ),
)


def reply(request: dict[str, Any], dice: Dice) -> Reply:
    """The next step of a repair."""
    del dice
    sent, calls = _sent(request)
    move, found = _choice("\n".join(text for text, name in sent if name in _EVIDENCE))
    sent_all = "\n".join(text for text, _ in sent)
    tools = {tool["name"] for tool in request["tools"]}
    if move is None:
        return _look(sent_all, calls, tools)
    read = "\n".join(text for text, name in sent if name == "read_file")
    # What it was sent may hold the place in another form (a trace's JSON, say): the file itself goes before.
    anchor = re.search(move.anchor, read or sent_all)
    edits = [failed for call, failed in calls if call["name"] == "edit_file"]
    if not read and (anchor is None or edits == [True]):
        return _use("read_file", path=move.path)
    if anchor is None or (edits and edits[-1] and calls[-1][0]["name"] == "edit_file"):
        return _use("give_up", reason="the file is not as I thought")
    edit = {"path": move.path, "old": anchor[0], "new": _edited(move, anchor[0], found)}
    done = [call["name"] for call, failed in calls if not (failed and call["name"] == "edit_file")]
    return _work(edit, done, tools)


def _work(edit: dict[str, str], names: list[str], tools: set[str]) -> Reply:
    """Edit, check, hand in; `names` are the tools that were called so far."""
    if "edit_file" not in names:
        return _use("edit_file", **edit)
    for check in ("run_tests", "run_eval"):
        if check in tools and check not in names:
            return _use(check)
    if names[-1] == "finish":
        return _use("give_up", reason="it is not accepted as it is")
    return _use("finish", diagnosis=f"{edit['path']} was silent", **FINISH)


def _edited(move: Move, anchor: str, found: dict[str, str]) -> str:
    if move.rule:
        return anchor + move.rule.format(**found)
    most = found.get("most")
    rule = f"If a booking is for more than {most} minutes, refuse." if most else "Never call book_room."
    return f"{rule}\n  {anchor}"


def _choice(sent: str) -> tuple[Move | None, dict[str, str]]:
    """What the context suffices for: the blunt moves only where no other one is possible."""
    for move in sorted(MOVES, key=lambda each: each.blunt):
        matches = [re.search(need, sent, _FLAGS) for need in move.needs]
        if all(matches):
            return move, {
                name: value for match in matches if match for name, value in match.groupdict().items()
            }
    return None, {}


def _look(sent: str, calls: list[tuple[dict[str, Any], bool]], tools: set[str]) -> Reply:
    """Look at a run that the context names and that was not looked at yet."""
    seen = {call["input"].get("trace_id") for call, _ in calls}
    named = [trace for trace in re.findall(r"\btrace ([0-9a-f]{32})\b", sent) if trace not in seen]
    if named and "look_at_trace" in tools:
        return _use("look_at_trace", trace_id=named[0])
    return _use("give_up", reason="What I was told does not say what the rule would have to be.")


def _sent(request: dict[str, Any]) -> tuple[list[tuple[str, str]], list[tuple[dict[str, Any], bool]]]:
    """Every text of our side with the tool that gave it; and the calls, with whether they failed."""
    texts: list[tuple[str, str]] = []
    failed: dict[str, bool] = {}
    made = [b for m in request["messages"] if m["role"] == "assistant" for b in m["content"]]
    names = {b["id"]: b["name"] for b in made if b["type"] == "tool_use"}
    for message in request["messages"]:
        if message["role"] == "user":
            for block in message["content"]:
                text = str(block.get("text") or block.get("content", ""))
                texts.append((text, names.get(block.get("tool_use_id"), "")))
                failed[block.get("tool_use_id", "")] = bool(block.get("is_error"))
    return texts, [(b, failed.get(b["id"], False)) for b in made if b["type"] == "tool_use"]


def _use(name: str, /, **given: Any) -> Reply:
    return {"content": [{"type": "tool_use", "name": name, "input": given}]}
