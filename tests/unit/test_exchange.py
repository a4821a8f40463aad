"""Evals of other tools: what is taken over, and that everything else is listed."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml

from outerloop.evals.exchange.read import Format, entry_of, read
from outerloop.evals.exchange.write import inspect_samples, promptfoo
from outerloop.evals.grade import describe
from outerloop.evals.model import Eval
from outerloop.runtime.errors import UserError

PROMPTFOO = """
description: Support agent
prompts:
  - 'Customer: {{question}}'
  - file://prompts/other.txt
providers: [anthropic:messages:claude-sonnet-5-5]
defaultTest:
  assert:
    - {type: latency, threshold: 30000}
tests:
  - description: refunds
    vars: {question: 'Where is my refund for A-1031?', order: A-1031}
    assert:
      - {type: icontains, value: '{{order}}'}
      - {type: not-contains, value: sorry}
      - {type: contains-any, value: [today, tomorrow]}
      - {type: regex, value: 'A-\\d+'}
      - {type: llm-rubric, value: is polite}
      - {type: javascript, value: output.length < 10}
      - {type: 'trajectory:tool-used', value: [get_order, refund_order]}
      - {type: 'trajectory:tool-sequence', value: {mode: in_order, steps: [get_order, refund_order]}}
      - {type: regex, value: '(?=x)'}
      - {type: is-json, value: {type: object}}
      - {type: cost, threshold: 0.01}
      - type: assert-set
        assert: [{type: equals, value: ok}, {type: is-refusal}]
    options: {transform: output.trim()}
  - file://more.yaml
"""
DEEPEVAL = [
    {
        "input": "Refund A-1031",
        "actual_output": None,
        "expected_output": "It is refunded.",
        "retrieval_context": ["Refunds take 3 days."],
        "expected_tools": [{"name": "refund_order", "input_parameters": {"order_id": "A-1031"}}],
        "tools_called": [
            {"name": "get_order", "input_parameters": {"order_id": "A-1031"}, "output": {"total": 5}}
        ],
    },
    {
        "scenario": "A customer changes an address",
        "turns": [
            {"role": "user", "content": "New address"},
            {"role": "assistant", "content": "Which order?"},
            {"role": "user", "content": "A-7"},
            {"role": "assistant", "content": "Done"},
        ],
    },
]
SAMPLES = "\n".join(
    json.dumps(sample)
    for sample in (
        {"id": "s1", "input": "Capital of France?", "target": "Paris"},
        {"input": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "2+2?"}],
         "target": ["4", "four"], "choices": ["3", "4"], "metadata": {"level": 1}},
    )
)  # fmt: skip
LOG = {
    "version": 2,
    "status": "success",
    "eval": {"task": "orders", "scorers": [{"name": "inspect_ai/match", "options": {"location": "begin"}},
                                           {"name": "model_graded_qa"}]},
    "samples": [
        {"id": 1, "epoch": 1, "input": "Order A-1?", "target": "shipped", "messages": [
            {"role": "user", "content": "Order A-1?"},
            {"role": "assistant", "content": "", "tool_calls": [
                {"id": "c1", "function": "get_order", "arguments": {"id": "A-1"}, "type": "function"},
                {"id": "c2", "function": "pay", "arguments": {}, "type": "function"}]},
            {"role": "tool", "tool_call_id": "c1", "function": "get_order", "content": "shipped"},
            {"role": "tool", "tool_call_id": "c2", "function": "pay", "content": "",
             "error": {"type": "permission", "message": "not allowed"}},
        ]},
    ],
}  # fmt: skip
HOSTED = {
    "object": "eval",
    "name": "Ticket triage",
    "data_source_config": {"type": "custom", "item_schema": {"type": "object"}},
    "testing_criteria": [
        {"type": "string_check", "name": "label", "input": "{{ sample.output_text }}",
         "reference": "{{item.label}}", "operation": "ilike"},
        {"type": "string_check", "name": "not other", "input": "{{sample.output_text}}",
         "reference": "Other", "operation": "ne"},
        {"type": "text_similarity", "name": "bleu", "evaluation_metric": "bleu", "pass_threshold": 0.8},
        {"type": "score_model", "name": "tone", "model": "gpt-5", "range": [1, 7]},
    ],
    "runs": [{"data_source": {
        "type": "responses",
        "input_messages": {"type": "template", "template": [
            {"role": "developer", "content": "Sort the ticket."},
            {"role": "user", "content": {"type": "input_text", "text": "{{item.ticket}}"}}]},
        "source": {"type": "file_content", "content": [
            {"item": {"ticket": "My monitor is dead", "label": "Hardware"}}]},
    }}],
}  # fmt: skip
REGISTRY = "\n".join(
    json.dumps(
        {"input": [{"role": "system", "content": "Answer."}, {"role": "user", "content": q}], "ideal": a}
    )
    for q, a in (("2+2?", "4"), ("Colour of the sky?", ["blue", "Blue (by day)"]))
)


def words(case: Any) -> list[str]:
    return [describe(check) for check in case.expect]


def test_promptfoo() -> None:
    source, (first, second) = read(PROMPTFOO, "promptfooconfig.yaml")
    assert source is Format.PROMPTFOO
    assert first.messages == (
        {"role": "user", "parts": [{"type": "text", "content": "Customer: Where is my refund for A-1031?"}]},
    )
    assert words(first) == [
        "takes at most 30 seconds",
        'says "A-1031" in its answer',
        'does not do this: it says "sorry" in its answer',
        'either says "today" in its answer or says "tomorrow" in its answer',
        'answers with something that matches "A-\\\\d+"',
        "calls get_order and calls refund_order",
        "calls, in this order, get_order then refund_order",
        'answers with JSON that fits {"type":"object"}',
        "takes at most $0.01",
        'answers "ok" and refuses',
    ]
    lost = "\n".join(map(str, first.lost))
    for what in (
        "promptfooconfig.yaml:28: test 2: 'file://more.yaml'",
        "promptfooconfig.yaml:18: assert llm-rubric: asks a model",
        "promptfooconfig.yaml:19: assert javascript: has no",
        "promptfooconfig.yaml:22: assert regex: cannot be said",
        "promptfooconfig.yaml:27: options: is not",
    ):
        assert what in lost
    (missing, *_) = [each for each in second.lost if "prompts/other.txt" in each.what]
    assert missing.where == "promptfooconfig.yaml:5"


def test_deepeval() -> None:
    source, (golden, talk) = read(json.dumps(DEEPEVAL, indent=1), "goldens.json")
    assert source is Format.DEEPEVAL
    assert words(golden) == ['calls refund_order with order_id = "A-1031"']
    assert golden.calls[0].result == '{"total": 5}'
    assert "It is refunded." in golden.lost[0].what
    assert "goldens.json:6: retrieval_context: is not taken over" in map(str, golden.lost)
    assert [m["role"] for m in talk.messages] == ["user", "assistant", "user"]
    assert [each.what for each in talk.lost] == ["scenario: is not taken over"]
    again = read(json.dumps({"goldens": DEEPEVAL}), "x.json")[1]
    assert again[0].expect == golden.expect
    assert [(each.what, each.where) for each in again[0].lost] == [
        (each.what, "x.json:1") for each in golden.lost
    ]


def test_inspect_samples_and_logs() -> None:
    source, (capital, sums) = read(SAMPLES, "samples.jsonl")
    assert source is Format.INSPECT
    assert (capital.name, words(capital)) == ("s1", ['says "Paris" in its answer'])
    assert words(sums) == ['either says "4" in its answer or says "four" in its answer']
    assert [m["role"] for m in sums.messages] == ["system", "user"]
    assert "samples.jsonl:2: choices: is not taken over" in map(str, sums.lost)
    assert any("no scorer" in each.what for each in sums.lost)
    source, (logged,) = read(json.dumps(LOG), "log.json")
    assert source is Format.INSPECT
    assert words(logged) == ['answers with something that matches "(?is)^\\\\s*shipped"']
    assert [(c.tool, c.result, c.failed) for c in logged.calls] == [
        ("get_order", "shipped", False),
        ("pay", "not allowed", True),
    ]
    (rubric,) = logged.lost
    assert rubric.what.startswith(
        "scorer model_graded_qa: asks a model, whose agreement with people must be measured"
    )


def test_openai_hosted_and_registry() -> None:
    source, (ticket,) = read(json.dumps(HOSTED), "eval.json")
    assert source is Format.OPENAI
    assert [m["role"] for m in ticket.messages] == ["system", "user"]
    assert ticket.messages[1]["parts"][0]["content"] == "My monitor is dead"
    assert words(ticket) == ['says "Hardware" in its answer', 'does not do this: it answers "Other"']
    assert [each.what.split(":")[0] for each in ticket.lost] == [
        "text_similarity bleu",
        "score_model tone",
    ]
    bare = {key: value for key, value in HOSTED.items() if key != "runs"}
    with pytest.raises(UserError, match="--items"):
        read(json.dumps(bare), "eval.json")
    items = json.dumps({"item": {"question": "Why?", "label": "x"}})
    _, (asked,) = read(json.dumps(bare), "eval.json", items=items)
    assert asked.messages[0]["parts"][0]["content"] == "Why?"
    with pytest.raises(UserError, match="item 1 says nowhere what is asked"):
        read(json.dumps(bare), "eval.json", items='{"item": {"label": "x"}}')
    source, (sums, sky) = read(REGISTRY, "samples.jsonl")
    assert source is Format.OPENAI_REGISTRY
    assert words(sums) == ['answers with something that matches "(?s)^\\\\s*4"']
    assert len(sky.expect[0].parts) == 2
    assert "basic Match" in sums.lost[0].what
    assert sums.lost[0].where == "samples.jsonl:1"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", r"f:1:2 is not YAML: .*; nor is it JSON, or JSON lines"),
        ('{"input": 1}\n{"input', r"f:2 is not JSON"),
        ("- a\n- b", "of no known format; say which with --format"),
        ("tests: file://x.csv\nprompts: [a]", "`tests` must be a list"),
        ('[{"expected_output": "x"}]', "golden 1 has neither input nor turns"),
        ('{"tests": []}', "there is no case"),
        ('[{"input": "x", "target": "y"}, 3]', "f: Inspect: sample 2 must be an object"),
        ('[{"input": "x", "target": "y", "messages": [{"tool_calls": [7]}]}]', "is no object or list where"),
        ('{"goldens": {"a": 1}}', "f: DeepEval: goldens: they must be a list"),
        ('{"goldens": [{"turns": ["hi"]}]}', "f: DeepEval: golden 1: turn 1 must be an object"),
        ('[{"input": "x", "ideal": null}]', "f: OpenAI: sample 1 has no text as its `ideal`"),
        (
            '{"testing_criteria": [3], "items": [{"input": "x"}]}',
            "OpenAI: testing criterion 1 must be an object",
        ),
        ("prompts: [a]\ntests: [{vars: {x: 1}}]\nprompts: [b]", "f:3: 'prompts' stands here twice"),
        (
            '{"goldens": [{"input": "x", "expected_tools": [{}]}]}',
            "is no file of deepeval: something in it lacks 'name'",
        ),
    ],
)
def test_what_cannot_be_read_is_said(text: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        read(text, "f")


def test_what_is_read_is_an_eval_and_can_be_written_again() -> None:
    source, cases = read(PROMPTFOO, "p")
    entry = entry_of(cases[0], "helpdesk", source, datetime(2026, 1, 1, tzinfo=UTC))
    assert Eval.from_yaml(entry.eval.to_yaml()) == entry.eval
    assert entry_of(cases[0], "helpdesk", source, datetime(2027, 1, 1, tzinfo=UTC)).eval.id == entry.eval.id
    text, lost = promptfoo([entry.eval])
    written = yaml.safe_load(text)["tests"][0]["assert"]
    assert {"type": "icontains", "value": "A-1031"} in written
    assert {"type": "latency", "threshold": 30000.0} in written
    assert {"type": "contains-any", "value": ["today", "tomorrow"]} in written
    assert {"type": "not-contains", "value": "sorry"} in written
    assert f"{entry.eval.id}: calls get_order and calls refund_order" in lost
    _, (again,) = read(text, "again.yaml")
    assert set(words(again)) <= {*words(cases[0]), 'answers "ok"', "refuses"}  # what was one, as two
    samples, missing = inspect_samples([entry.eval])
    (line,) = map(json.loads, samples.splitlines())
    assert line["target"] == "A-1031"
    assert line["input"] == [{"role": "user", "content": "Customer: Where is my refund for A-1031?"}]
    assert len(missing) == len(entry.eval.expect) - 1


def test_a_variable_that_makes_many_tests_elsewhere_is_told() -> None:
    text = "prompts: ['{{a}}']\ntests: [{vars: {a: [1, 2]}, assert: [{type: equals, value: x}]}]"
    _, (case,) = read(text, "f")
    (lost,) = case.lost
    assert str(lost).startswith("f:2: vars.a: a list makes a test of each of its values there")


def test_the_id_of_an_imported_case_stays_what_it_was() -> None:
    source, (case,) = read('[{"input": "x", "target": "y"}]', "f")
    made = entry_of(case, "helpdesk", source, datetime(2026, 1, 1, tzinfo=UTC)).eval
    assert made.id == made.mode_id == "imported-af61a28e0b7fbc8b"
