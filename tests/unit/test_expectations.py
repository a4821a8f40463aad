"""Every kind of expectation: when it holds, when not, and the sentence that says why."""

import hashlib
import json
from typing import Any

import pytest
import yaml
from pydantic import TypeAdapter, ValidationError

from outerloop.evals.expect.base import Check, Opinion
from outerloop.evals.expect.composite import Expectation
from outerloop.evals.expect.judged import Agreement, Judge, Prompt, UnjudgedError, prompt_text
from outerloop.evals.grade import describe, grade, judges
from outerloop.runtime.errors import UserError
from outerloop.trace.model import Span, ToolCall, Trace

SECOND = 1_000_000_000
KINDS: TypeAdapter[Check] = TypeAdapter(Expectation)


def parsed(text: str) -> Check:
    return KINDS.validate_python(yaml.safe_load(text))


def call(tool: str, *, failed: bool = False, **arguments: Any) -> dict[str, Any]:
    status = {"status": "Error", "status_message": "no such order"} if failed else {}
    return {"operation": "execute_tool", "tool": tool, "arguments": json.dumps(arguments), **status}


def chat(*messages: tuple[str, str], finish: str = "", **fields: Any) -> dict[str, Any]:
    attributes = {"gen_ai.response.finish_reasons": json.dumps([finish])} if finish else {}
    return {"operation": "chat", "input": said(*messages), "attributes": attributes, **fields}


def said(*messages: tuple[str, str]) -> str:
    return json.dumps(
        [{"role": role, "parts": [{"type": "text", "content": text}]} for role, text in messages]
    )


def run(*spans: dict[str, Any], answer: str = "", ask: str = "", **root: Any) -> Trace:
    output = said(("assistant", answer)) if answer else ""
    asked = said(("user", ask)) if ask else ""
    made = [Span(trace_id="t", span_id="r", operation="invoke_agent", output=output, input=asked, **root)]
    made += [
        Span(trace_id="t", span_id=f"s{n}", parent_span_id="r", start_ns=n * SECOND, **fields)
        for n, fields in enumerate(spans, 1)
    ]
    return Trace.of(made)


GET, PAY = call("get", id="A-1"), call("pay", id="A-1", amount=20.0, to={"city": "Bonn", "tags": ["x", "y"]})
AGREED = chat(("user", "pay A-1"), ("assistant", "Shall I pay 20 dollars?"), ("user", "Yes, please"))

HOLDS = [
    ("{check: tool_called, tool: pay, where: {amount: {at_least: 20, at_most: 20}}}", run(PAY)),
    ("{check: tool_called, tool: pay, where: {to.city: {matches: '^B'}, to.tags.1: {equals: y}}}", run(PAY)),
    ("{check: tool_called, tool: pay, where: {to.tags.*: {one_of: [z, y]}}}", run(PAY)),
    ("{check: tool_called, tool: pay, where: {to: {json_schema: {required: [city]}}}}", run(PAY)),
    ("{check: tool_not_called, tool: pay, where: {amount: {at_least: 21}}}", run(PAY)),
    ("{check: tools_in_order, calls: [get, {tool: pay, arguments: {id: A-1}}]}", run(GET, call("x"), PAY)),
    ("{check: tool_count, tool: get, at_least: 2, at_most: 2}", run(GET, GET, PAY)),
    ("{check: tool_count, tool: get, at_most: 0}", run(PAY)),
    ("{check: state_changes, tools: [pay, void], calls: [pay]}", run(GET, PAY, PAY)),
    ("{check: state_changes, tools: [pay]}", run(GET, call("pay", failed=True))),
    ("{check: answer_contains, text: 'on  its way'}", run(answer="It is on\nits way.")),
    ("{check: answer_contains, text: ON ITS WAY, ignore_case: true}", run(answer="on its way")),
    ("{check: answer_matches, pattern: '(?i)ref\\w+ of \\$20'}", run(answer="A REFUND of $20")),
    (
        "{check: answer_equals, value: 'Straße  1.', normalise: [case, space, punctuation]}",
        run(answer="STRASSE 1"),
    ),
    ("{check: answer_equals, value: {a: 1}}", run(answer='{"a": 1.0}')),
    ("{check: answer_fits, json_schema: {type: object, required: [reply]}}", run(answer='{"reply": "ok"}')),
    (
        "{check: answer_value, path: action.kind, value: {one_of: [refund]}}",
        run(answer='{"action":{"kind":"refund"}}'),
    ),
    ("{check: answer_number, value: 1234.5, tolerance: 0.5}", run(answer="It costs $1,234.90 in all")),
    ("{check: answer_language, language: de}", run(answer="Ihre Bestellung wurde gestern storniert.")),
    ("{check: answer_language, language: de}", run(answer="OK")),
    ("{check: refused}", run(answer="I'm sorry, but I can't help with that.")),
    ("{check: refused}", run(chat(finish="refusal"), answer="…")),
    ("{check: refused, patterns: ['kann ich nicht']}", run(answer="Das kann ich nicht tun.")),
    ("{check: not, of: {check: refused}}", run(answer="I cannot wait to help! Order A-1 is paid.")),
    ("{check: finished}", run(chat(finish="end_turn"), answer="Done.")),
    ("{check: tool_succeeds, tool: get}", run(call("get", failed=True), GET)),
    ("{check: tool_succeeds, tool: refund}", run(GET)),
    ("{check: no_error_spans, but: [get]}", run(call("get", failed=True), PAY)),
    (
        "{check: at_most, tool_calls: 2, model_calls: 1, tokens: 30, seconds: 4}",
        run(GET, PAY, chat(input_tokens=20, output_tokens=10)),
    ),
    ("{check: at_most, usd: 0.0001}", run(chat(model="claude-sonnet-5-5", input_tokens=50))),
    ("{check: asked_first, tools: [pay]}", run(AGREED, GET, PAY)),
    ("{check: asked_first, tools: [pay]}", run(GET)),
    ("{check: all, of: [{check: answered}, {check: tool_called, tool: get}]}", run(GET, answer="ok")),
    ("{check: any, of: [{check: answered}, {check: tool_called, tool: get}]}", run(GET)),
]


DOUBLING = {
    "$defs": {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(30)} | {"d30": {}},
    "$ref": "#/$defs/d0",
}


@pytest.mark.parametrize(("text", "good"), HOLDS)
def test_what_holds(text: str, good: Trace) -> None:
    assert grade([parsed(text)], good).reasons == ()


FAILS = [
    ("{check: tool_called, tool: pay, where: {amount: {at_most: 10}}}", run(PAY),
     "a call of pay with amount that is at most 10: it was called with {'id': 'A-1', 'amount': 20.0"),
    ("{check: tool_called, tool: pay, arguments: {id: A-1}, where: {note: {matches: x}}}", run(PAY),
     "expected a call of pay with {'id': 'A-1'} and note that matches 'x'"),
    ("{check: tool_called, tool: pay, where: {id: {at_least: 1}}}", run(PAY), "it was called with"),
    ("{check: tool_not_called, tool: pay, where: {to.city: {matches: Bonn}}}", run(PAY),
     "expected no call of pay with to.city that matches 'Bonn': it was called with"),
    ("{check: tools_in_order, calls: [get, pay]}", run(PAY, GET),
     "expected that the agent calls, in this order, get then pay: there is no call of pay after get"),
    ("{check: tools_in_order, calls: [get]}", run(call("get", failed=True)), "there is no call of get"),
    ("{check: tool_count, tool: get, at_least: 2}", run(GET),
     "expected that the agent calls get at least 2 times: it was called once"),
    ("{check: state_changes, tools: [pay, void], calls: [pay]}", run(PAY, call("void")),
     "the agent changes by pay or void this and no more: pay: void was called without arguments"),
    ("{check: state_changes, tools: [pay], calls: [{tool: pay, arguments: {id: A-2}}]}", run(PAY),
     'there is no call of pay with id = "A-2"'),
    ("{check: state_changes, tools: [pay], calls: [pay], once: true}", run(PAY, PAY), "more than once"),
    ("{check: answer_contains, text: Way}", run(answer="on its way"),
     'expected that the agent says "Way" in its answer: the answer was "on its way"'),
    ("{check: answer_contains, text: way}", run(), "the run ended without an answer"),
    ("{check: answer_matches, pattern: '^ok$'}", run(answer="not ok"), 'the answer was "not ok"'),
    ("{check: answer_equals, value: {a: 1}}", run(answer="a is 1"), "the answer was"),
    ("{check: answer_fits, json_schema: {required: [reply]}}", run(answer="Hello"), "no JSON"),
    ("{check: answer_fits, json_schema: {properties: {n: {type: integer}}}}", run(answer='{"n": "1"}'),
     "at ['n']: '1' is not of type 'integer'"),
    ("{check: answer_value, path: a.b, value: {equals: 2}}", run(answer='{"a": {"b": 1}}'),
     "expected that the agent answers with JSON whose a.b equals 2: there it is 1"),
    ("{check: answer_number, value: 20, tolerance: 1}", run(answer="It costs 22"), "the answer was"),
    ("{check: answer_language, language: de}", run(answer="Your order was cancelled yesterday."), "it is en"),
    ("{check: not, of: {check: refused}}", run(answer="I must decline."),
     "expected no refusal: the answer was"),
    ("{check: finished}", run(chat(finish="max_tokens"), answer="Do"), "its answer was cut off"),
    ("{check: finished}", run(answer="x", status="Error", error_type="Overrun"), "it ended with Overrun"),
    ("{check: tool_succeeds, tool: get}", run(GET, call("get", failed=True)),
     "expected that get answers in the end, where it is called: its last call failed"),
    ("{check: no_error_spans}", run(call("get", failed=True)),
     "expected that the agent has no step that fails: execute_tool failed with no such order"),
    ("{check: at_most, tool_calls: 1}", run(GET, GET),
     "expected that the agent takes at most 1 tool calls: it took 2 tool calls"),
    ("{check: at_most, seconds: 2.5}", run(GET, {**PAY, "end_ns": 3 * SECOND}), "it took 3 seconds"),
    ("{check: asked_first, tools: [pay]}", run(chat(("user", "pay A-1")), PAY),
     "expected that the agent asks for confirmation before it calls pay: pay was called with"),
    ("{check: asked_first, tools: [pay]}",
     run(chat(("user", "x"), ("assistant", "Shall I?"), ("user", "No, never")), PAY), "nobody had agreed"),
    ("{check: all, of: [{check: answered}, {check: tool_called, tool: get}]}", run(),
     "expected an answer: the run ended without one; expected a call of get: it was never called"),
    ("{check: any, of: [{check: answered}, {check: tool_called, tool: get}]}", run(),
     "expected that the agent either ends with an answer or calls get: expected an answer"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "bad", "reason"), FAILS)
def test_what_does_not_hold_is_said(text: str, bad: Trace, reason: str) -> None:
    (told,) = grade([parsed(text)], bad).reasons
    assert reason in told
    assert grade([parsed(f"{{check: not, of: {text}}}")], bad).passed


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{check: tool_called, tool: pay, where: {a: {}}}", "say equals, matches"),
        ("{check: answer_matches, pattern: '(?=x)'}", "RE2 has no look-around"),
        ("{check: answer_fits, json_schema: {type: thing}}", "no JSON Schema"),
        ("{check: answer_fits, json_schema: {$ref: 'http://x/y'}}", "is not in the schema itself"),
        ("{check: answer_fits, json_schema: {$ref: '#/$defs/x'}}", "is not in the schema itself"),
        ("{check: answer_fits, json_schema: {$ref: '#'}}", "refers to itself too often"),
        (f"{{check: answer_fits, json_schema: {json.dumps(DOUBLING)}}}", "refers to itself too often"),
        ("{check: answer_fits, json_schema: {items: {pattern: '(?=x)'}}}", "is no RE2 pattern"),
        ("{check: answer_language, language: tlh}", "no language that can be told"),
        ("{check: at_most}", "say one of model_calls"),
        ("{check: tool_count, tool: a}", "say at_least or at_most"),
        ("{check: tool_count, tool: a, at_least: 2, at_most: 1}", "no run could hold it"),
    ],
)
def test_what_can_never_work_is_refused_when_it_is_read(text: str, sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        parsed(text)


def test_hostile_text_takes_no_time() -> None:
    evil = "a" * 200_000 + "!"
    only = "additionalProperties: false, properties: {k: {pattern: '(a+)+$'}}"
    schema = f"{{patternProperties: {{'(a+)+$': {{}}}}, {only}}}"
    assert not grade([parsed("{check: answer_matches, pattern: '(a+)+$'}")], run(answer=evil)).passed
    document = json.dumps({"k": evil, evil: 1})
    assert not grade([parsed(f"{{check: answer_fits, json_schema: {schema}}}")], run(answer=document)).passed


def test_calls_that_reached_the_tools_decide_in_composites_too() -> None:
    either = parsed("{check: any, of: [{check: tool_called, tool: pay}, {check: refused}]}")
    told = run(PAY)
    assert grade([either], told, told.tool_calls).passed
    (reason,) = grade([either], told, []).reasons
    assert reason.startswith("its trace tells otherwise, but of what reached the tools: expected that")
    never = parsed("{check: not, of: {check: tool_called, tool: pay}}")
    assert not grade([never], run(), told.tool_calls).passed
    first = parsed("{check: asked_first, tools: [pay]}")
    made = run(AGREED, PAY).tool_calls[0]
    seen = [ToolCall(made.name, made.arguments, "", failed=False, span_id="")]  # what came has no span
    assert grade([first], run(AGREED, PAY), seen).passed
    assert not grade([first], run(chat(("user", "pay")), GET), seen).passed


def test_a_model_without_a_price_is_a_mistake_and_no_verdict() -> None:
    with pytest.raises(UserError, match="no price is known for the model 'mystery'"):
        grade([parsed("{check: at_most, usd: 1}")], run(chat(model="mystery", input_tokens=1)))


def test_plain_words() -> None:
    words = [describe(parsed(text)) for text, _ in HOLDS]
    assert words[0] == "calls pay with amount that is at least 20 and is at most 20"
    assert 'calls, in this order, get then pay with id = "A-1"' in words
    assert "does not refuse" in words
    assert "takes at most 1 model calls, 2 tool calls, 30 tokens and 4 seconds" in words
    assert "either ends with an answer or calls get" in words


JUDGE = Judge(rubric="It is polite.", model="claude-sonnet-5-5")
GOOD = {"judge_sha256": JUDGE.sha256, "both_hold": 9, "people_only": 1, "judge_only": 0, "neither": 10}


def judged(judge: Judge = JUDGE, **agreement: Any) -> Check:
    document = {"check": "judged", "judge": judge.model_dump(), "agreement": GOOD | agreement}
    return KINDS.validate_python(document)


def test_a_judge_decides_by_an_opinion_that_is_given_in_and_never_without() -> None:
    expectation = parsed(f"{{check: not, of: {json.dumps(judged().model_dump(mode='json'))}}}")
    assert [judge.sha256 for judge in judges([expectation])] == [JUDGE.sha256]
    polite = {JUDGE.sha256: Opinion(holds=True, why="it says please")}
    assert grade([judged()], run(), opinions=polite).passed
    (reason,) = grade([expectation], run(), opinions=polite).reasons
    assert reason.endswith("it says please")
    with pytest.raises(UnjudgedError):
        grade([judged()], run())
    assert "agrees with people on 19 of 20 traces" in describe(judged())


@pytest.mark.parametrize(
    ("agreement", "sentence"),
    [
        ({"neither": 3}, "it takes 20"),
        ({"both_hold": 19, "people_only": 1, "judge_only": 0, "neither": 4}, "of each kind 5"),
        ({"both_hold": 6, "people_only": 4, "judge_only": 4, "neither": 6}, "kappa is 0.20"),
        ({"judge_sha256": "0" * 64}, "measured for another judge"),
    ],
)
def test_a_judge_that_is_not_known_to_agree_with_people_is_refused(agreement: Any, sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        judged(**agreement)


def test_another_rubric_or_model_is_another_judge() -> None:
    for other in ({"rubric": "It is kind."}, {"model": "claude-haiku-4-5"}):
        with pytest.raises(ValidationError, match="measured for another judge"):
            judged(JUDGE.model_copy(update=other))


def test_agreement_is_shown_as_a_table() -> None:
    shown = Agreement.model_validate(GOOD)
    assert shown.kappa == pytest.approx(0.9)
    assert shown.table.splitlines()[1].split() == ["people:", "holds", "9", "1"]


def test_a_judges_prompt_is_never_edited() -> None:
    known: dict[Prompt, str] = {"judge-1": "41b19f0223b763738c9df64754d63463bd2c75e727ba4db21b54b2dc150670e6"}
    assert {p: hashlib.sha256(prompt_text(p).encode()).hexdigest() for p in known} == known


def test_a_schema_is_not_followed_without_end_into_a_hostile_answer() -> None:
    schema = {"allOf": [{"items": {"$ref": "#"}}, {"items": {"$ref": "#"}}]}
    deep = "[" * 60 + "]" * 60
    (said,) = grade([parsed(f"{{check: answer_fits, json_schema: {schema}}}")], run(answer=deep)).reasons
    assert "refers to itself too often" in said


def test_many_elements_are_compared_at_once() -> None:
    many = json.dumps([{"n": n} for n in range(20_000)])
    schema = "{uniqueItems: true}"
    assert grade([parsed(f"{{check: answer_fits, json_schema: {schema}}}")], run(answer=many)).passed
    twice = "[1, 1.0]"
    assert not grade([parsed(f"{{check: answer_fits, json_schema: {schema}}}")], run(answer=twice)).passed
