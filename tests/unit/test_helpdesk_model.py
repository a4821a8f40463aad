"""The example's scripted model, by calling its reply: as the support agent and as the proposer."""

import importlib
import json
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml

from outerloop.dev.messages_api import Dice, load_script

EXAMPLES = Path(__file__).parents[2] / "deploy" / "examples"
AGENT = EXAMPLES / "helpdesk"
REPLY = load_script(EXAMPLES / "helpdesk_model" / "script.py")
TODAY = "2026-11-20"
ALL_JSON = "Every answer is a JSON object with reply and action."


def coin(*throws: int) -> Dice:
    """Dice that fall as given, then never again."""
    left = list(throws)
    return Dice(draw=lambda: 0.0 if left and left.pop(0) else 1.0, disobedience=0.5)


def order(**known: Any) -> str:
    record = {"id": "A-1234", "total_cents": 4900, "status": "delivered", "delivered_on": "2026-11-10"}
    return json.dumps(
        {**record, "items": ["tent"], "tracking": "D1", "carrier": "DHL", "today": TODAY, **known}
    )


def converse(
    text: str,
    results: Iterable[str | Exception] = (),
    *,
    policy: str = "",
    described: dict[str, str] | None = None,
    dice: Dice | None = None,
) -> list[dict[str, Any]]:
    """The blocks that the agent says, given what its calls come back with; `policy` is added to day 1's."""
    tools = [yaml.safe_load(path.read_text()) for path in sorted((AGENT / "tools").glob("*.yaml"))]
    for tool in tools:
        tool["description"] += " " + (described or {}).get(tool["name"], "")
    system = (AGENT / "prompts" / "policy.md").read_text() + "\n" + policy
    messages: list[dict[str, Any]] = [{"role": "user", "content": text}]
    dice = dice or coin()
    said = []
    for number, result in enumerate([*results, None]):
        block = {"id": f"toolu_{number}"} | REPLY(_request(system, tools, messages), dice)["content"][0]
        said.append(block)
        if block["type"] == "text" or result is None:
            break
        answer = {"type": "tool_result", "tool_use_id": block["id"], "content": str(result)}
        failed = {"is_error": True} if isinstance(result, Exception) else {}
        messages += [
            {"role": "assistant", "content": [block]},
            {"role": "user", "content": [answer | failed]},
        ]
    return said


def _request(system: str, tools: list[Any], messages: list[Any]) -> dict[str, Any]:
    return {"model": "m", "max_tokens": 9, "system": system, "tools": tools, "messages": messages}


def action(block: dict[str, Any]) -> str:
    return str(json.loads(block["text"])["action"])


class TestAgentOnDayOne:
    def test_refunds_an_order(self) -> None:
        look_up, refund, answer = converse("Refund A-1234 please", [order(), "{}"])
        assert look_up["input"] == {"order_id": "A-1234"}
        assert (refund["name"], refund["input"]["amount_cents"]) == ("refund_order", 4900)
        assert action(answer) == "refunded"

    @pytest.mark.parametrize(
        ("text", "tool"),
        [
            ("Please cancel order A-1234", "cancel_order"),
            ("Send order A-1234 to Via Roma 8, 20121 Milano", "update_address"),
            ("Where is my parcel? Order A-1234", "track_shipment"),
        ],
    )
    def test_does_what_is_asked(self, text: str, tool: str) -> None:
        assert converse(text, [order(status="placed"), "{}"])[1]["name"] == tool

    def test_tells_the_status(self) -> None:
        assert action(converse("What is the status of order A-1234?", [order()])[-1]) == "none"

    def test_passes_a_bare_id_on_and_gives_up(self) -> None:
        error = ValueError("invalid order id '1234': expected the form A-1007")
        look_up, answer = converse("refund order #1234 please", [error])
        assert look_up["input"] == {"order_id": "1234"}
        assert "could not find" in answer["text"]

    def test_refunds_however_old(self) -> None:
        assert converse("refund A-1234", [order(delivered_on="2026-08-01")])[1]["name"] == "refund_order"

    def test_answers_a_general_question_in_prose(self) -> None:
        (answer,) = converse("What are your opening hours?")
        assert answer["text"] == "The shop and the phone line are open Monday to Saturday, 9:00 to 18:00."

    def test_tries_again_for_ever(self) -> None:
        failures = [TimeoutError("carrier timeout, try again")] * 5
        said = converse("Where is my parcel? A-1234", [order(), *failures])
        assert [block.get("name") for block in said[1:]] == ["track_shipment"] * 6


ID_RULES = [
    "The order id must have the form A-1007: if a customer gives only the number, complete it.",
    "Order ids look like `A-<number>`.",
    "Put the prefix A- in front of order numbers that come without it.",
    "Always pass the order id in the form A-1007, also when the customer writes it without the prefix.",
]
NEVER_RULES = [
    "Do not call refund_order.",
    "Never refund an order.",
    "Refunds are not allowed.",
    "- You must not use refund_order.",
]
WINDOW_RULES = [
    "Call refund_order only if the order was delivered within the last 30 days; if longer ago, refuse.",
    "The refund window is 30 days.",
    "Never refund an order that was delivered more than thirty days ago.",
    "Before a refund compare delivered_on with today. If more than 30 days have passed,\nrefuse the refund.",
    "Do not call refund_order for an order delivered more than 30 days ago.",
]
STOP_RULES = [
    ("If track_shipment fails, do not call it again.", 1),
    ("When a tool answers with an error, never repeat the same call.", 1),
    ("If the carrier times out, tell the customer. Don't retry.", 1),
    ("If track_shipment fails, retry at most once, then escalate.", 2),
    ("On an error call the tool once more, but not a third time.", 2),
    ("After a timeout try at most 3 times.", 3),
]
INSTEAD_RULES = [
    "If track_shipment fails, do not call it again as before: call it with source last_scan.",
    "When a tool times out, never repeat the same call. Use `last_scan` for tracking instead.",
]
JSON_RULES = [
    ALL_JSON,
    "Always answer with a JSON object: never reply in prose.",
    "Use that JSON object for answers to general questions, too.",
    "The final reply is such a JSON object even when no tool was used.",
]


class TestAgentFollowsRules:
    @pytest.mark.parametrize("rule", ID_RULES)
    @pytest.mark.parametrize("written", ["1234", "#1234", "order number 1234", "a1234"])
    def test_form_of_ids(self, rule: str, written: str) -> None:
        text = f"refund {written} please"
        assert converse(text, policy=rule)[0]["input"] == {"order_id": "A-1234"}
        assert converse(text, described={"get_order": rule})[0]["input"] == {"order_id": "A-1234"}

    @pytest.mark.parametrize("rule", NEVER_RULES)
    def test_a_tool_is_ruled_out(self, rule: str) -> None:
        assert action(converse("refund A-1234", [order()], policy=rule)[-1]) == "refused"
        assert converse("cancel A-1234", [order()], policy=rule)[1]["name"] == "cancel_order"

    @pytest.mark.parametrize("rule", WINDOW_RULES)
    def test_window_for_refunds(self, rule: str) -> None:
        late = converse("refund A-1234", [order(delivered_on="2026-10-20")], policy=rule)[-1]
        assert action(late) == "refused"
        for age in ("2026-10-21", "2026-11-19"):
            in_time = converse("refund A-1234", [order(delivered_on=age)], policy=rule)[-1]
            assert in_time["name"] == "refund_order"

    @pytest.mark.parametrize(("rule", "attempts"), STOP_RULES)
    def test_a_failing_tool(self, rule: str, attempts: int) -> None:
        failures = [TimeoutError("carrier timeout, try again")] * 5
        said = converse("Where is my parcel? A-1234", [order(), *failures], policy=rule)
        assert [block.get("name") for block in said[1:-1]] == ["track_shipment"] * attempts
        assert action(said[-1]) == "escalated"

    @pytest.mark.parametrize("rule", INSTEAD_RULES)
    def test_another_way_when_a_tool_fails(self, rule: str) -> None:
        error = TimeoutError("carrier timeout, try again")
        said = converse("Where is my parcel? A-1234", [order(), error, '{"scan": "depot"}'], policy=rule)
        assert said[2]["input"] == {"tracking_number": "D1", "source": "last_scan"}
        assert action(said[3]) == "none"

    @pytest.mark.parametrize("rule", JSON_RULES)
    def test_json_in_every_answer(self, rule: str) -> None:
        assert action(converse("Do you take PayPal?", policy=rule)[0]) == "none"

    def test_rules_leave_other_requests_alone(self) -> None:
        rules = "\n\n".join([ID_RULES[0], WINDOW_RULES[0], STOP_RULES[0][0], JSON_RULES[0]])
        said = converse("refund A-1234", [order(), "{}"], policy=rules)
        assert [block.get("name") for block in said] == ["get_order", "refund_order", None]

    def test_the_facts_of_the_shop_are_no_rules(self) -> None:
        policy = "- Refunds reach your account within 5 working days.\n- Parcels are delivered in 4 days."
        late = converse("refund A-1234", [order(delivered_on="2026-08-01")], policy=policy)
        assert late[-1]["name"] == "refund_order"


class TestAgentDisobeys:
    def test_prose_for_json(self) -> None:
        answer = converse("status of A-1234?", [order()], dice=coin(1))[-1]
        with pytest.raises(json.JSONDecodeError):
            json.loads(answer["text"])

    def test_an_id_as_written(self) -> None:
        said = converse("refund 1234", policy=ID_RULES[0], dice=coin(1))
        assert said[0]["input"] == {"order_id": "1234"}

    def test_a_refund_out_of_the_window(self) -> None:
        late = order(delivered_on="2026-08-01")
        said = converse("refund A-1234", [late], policy=WINDOW_RULES[0], dice=coin(1))
        assert said[1]["name"] == "refund_order"

    def test_one_call_more(self) -> None:
        failures = [TimeoutError("carrier timeout, try again")] * 2
        said = converse("track A-1234", [order(), *failures], policy=STOP_RULES[0][0], dice=coin(1))
        assert [block.get("name") for block in said] == ["get_order", *["track_shipment"] * 2, None]


ARGUMENT = "- tool_error get_order: invalid order id '1007': expected the form A-1007"
LOOP = "- repeated_call track_shipment\n- tool_error track_shipment: carrier timeout, try again"
INVALID = (
    "- error_status invoke_agent: invalid_answer final answer is not a JSON object with reply and action"
)
LATE = "- evaluation refund_audit: fail: refunded A-1031 delivered 52 days ago; the refund window is 30 days"
REJECTED = """### Attempt 1
diagnosis: nothing forbids it
```diff
--- a/prompts/policy.md
+++ b/prompts/policy.md
@@ -1,2 +1,3 @@
+- Do not call refund_order.
```
rejected: eval "bare order ids" failed: expected a call of refund_order
"""


def brief(signals: str, attempts: str = "None.") -> str:
    return f"""# Task

## Failure mode

The title

{signals}

## The eval it must pass

plain words

## A failing run

<data kind="trace">
execute_tool get_order, execute_tool refund_order, then text with a heading
## Failure mode
- repeated_call nonsense
</data>

## A healthy run

<data kind="trace">chat</data>

## Files you may change

prompts/**, tools/*.yaml

## Earlier attempts

{attempts}
"""


def rehearse(text: str) -> Any:
    paths = [*(AGENT / "tools").glob("*.yaml"), AGENT / "prompts" / "policy.md", AGENT / "outerloop.yaml"]
    files = {str(path.relative_to(AGENT)): path.read_text() for path in paths}
    rehearsal = importlib.import_module("rehearsal").Rehearsal(dict(files))
    rehearsal.run(lambda request: REPLY(request, coin()), text)
    rehearsal.changed = {path: text for path, text in rehearsal.files.items() if files[path] != text}
    return rehearsal


class TestProposer:
    def test_steps(self) -> None:
        done = rehearse(brief(ARGUMENT))
        assert done.calls == ["list_files", "read_file", "edit_file", "run_tests", "finish"]
        assert set(done.said) == {"diagnosis", "cause", "risk", "confidence"}

    def test_argument_form_goes_into_the_tool(self) -> None:
        (path, text), *_ = rehearse(brief(ARGUMENT)).changed.items()
        assert path == "tools/get_order.yaml"
        assert "order id must have the form A-1007" in yaml.safe_load(text)["description"]

    def test_what_it_says_comes_from_the_evidence(self) -> None:
        signals = "- tool_error cancel_order: invalid invoice number '7': expected the form INV-99"
        (path, text), *_ = rehearse(brief(signals)).changed.items()
        assert path == "tools/cancel_order.yaml"
        assert "invoice number must have the form INV-99" in text

    @pytest.mark.parametrize("signals", [LOOP, LOOP.splitlines()[1], LOOP.replace(" track", ": `track")])
    def test_loop(self, signals: str) -> None:
        (path, text), *_ = rehearse(brief(signals)).changed.items()
        assert path == "prompts/policy.md"
        assert "If track_shipment fails" in text
        assert "call it with source last_scan" in text

    def test_ill_formed_answer(self) -> None:
        (path, text), *_ = rehearse(brief(INVALID)).changed.items()
        assert path == "prompts/policy.md"
        assert "Every answer is a JSON object with reply and action" in text

    def test_forbids_first_and_learns(self) -> None:
        assert "- Do not call refund_order.\n" in rehearse(brief(LATE)).changed["prompts/policy.md"]
        done = rehearse(brief(LATE, REJECTED))
        assert "within the last 30 days" in done.changed["prompts/policy.md"]
        assert "Do not call refund_order." not in done.changed["prompts/policy.md"]
        assert "expected a call of refund_order" in done.said["diagnosis"]

    def test_words_a_further_attempt_anew(self) -> None:
        attempt = "```diff\n+++ b/tools/get_order.yaml\n+  x\n```\ninconclusive"
        first, second = rehearse(brief(ARGUMENT)), rehearse(brief(ARGUMENT, attempt))
        assert first.changed.keys() == second.changed.keys()
        assert first.changed != second.changed

    def test_gives_up_on_what_it_does_not_know(self) -> None:
        done = rehearse(brief("- latency chat: 40 s"))
        assert done.calls == ["give_up"]
        assert not done.changed

    def test_reads_again_when_an_edit_does_not_match(self) -> None:
        rehearsal = importlib.import_module("rehearsal").Rehearsal({"prompts/policy.md": "Be kind.\n"})
        edit, failures = rehearsal._edit, ["once"]
        rehearsal._edit = lambda **given: (
            ("occurs 0 times", True) if failures and failures.pop() else edit(**given)
        )
        rehearsal.run(lambda request: REPLY(request, coin()), brief(INVALID))
        assert rehearsal.calls[2:5] == ["edit_file", "read_file", "edit_file"]
        assert rehearsal.calls[-1] == "finish"


def test_any_other_role_is_answered_in_words() -> None:
    assert REPLY({"messages": [{"role": "user", "content": "hi"}]}, coin())["content"][0]["type"] == "text"


class TestTraffic:
    @pytest.fixture
    def requests(self, monkeypatch: pytest.MonkeyPatch) -> Any:
        monkeypatch.syspath_prepend(str(EXAMPLES))
        return importlib.import_module("helpdesk_traffic.traffic").requests

    def test_is_seeded(self, requests: Any) -> None:
        assert requests(1, 50) == requests(1, 50)
        assert requests(1, 50) != requests(2, 50)

    @pytest.mark.parametrize("n", [40, 200, 600])
    def test_mixes_the_flaws_in(self, requests: Any, n: int) -> None:
        kinds = Counter(request.kind for request in requests(3, n))
        assert kinds.total() == n
        assert 0.7 < kinds["healthy"] / n < 0.78
        assert all(kinds[kind] >= 2 for kind in ("bare_id", "late_refund", "question", "carrier_down"))

    def test_no_order_is_acted_on_twice(self, requests: Any) -> None:
        first = requests(4, 300)
        both = [*first, *requests(5, 100, spent={request.order_id for request in first})]
        acting = re.compile("refund|money back|cancel|address|moved", re.IGNORECASE)
        acted = Counter(request.order_id for request in both if acting.search(request.text))
        assert set(acted.values()) == {1}
