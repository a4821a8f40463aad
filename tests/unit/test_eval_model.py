"""An eval and its recording come back from their files as they were, whatever text a trace held."""

import json
from datetime import UTC, datetime
from importlib.resources import files

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from outerloop.evals.expect.tools import ToolCalled, ToolNotCalled
from outerloop.evals.heldout import HeldOut, Variant
from outerloop.evals.model import Cassette, Eval, Provenance, RecordedCall, content_sha256
from outerloop.evals.schema import schema_text
from outerloop.evals.suite import Entry
from outerloop.runtime.errors import UserError

# What YAML, JSON or Python's own splitlines might take for something else.
ODD = "\0\t\n\r\x0b\x0c\x1c\x1e\x7f\x85\xa0\u2028\u2029\ufeff\ufffe\U0010ffff #:-?'\"\\|>&*!%@`{}[],~=<1.e"
TEXTS = st.text() | st.text(ODD)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
ARGUMENTS = st.dictionaries(TEXTS, VALUES, max_size=3)


@given(TEXTS, TEXTS, ARGUMENTS)
@example("a\x85b", "lone\rreturn", {"\u2028": "\u2029", "nul": "\0"})
@example("a b " * 60 + "\x85", " \n \n", {"k" * 200: "v\n" * 3})
def test_an_eval_comes_back_as_it_was(title: str, tool: str, arguments: dict[str, object]) -> None:
    provenance = Provenance(
        drafted_by=title, drafted_at=datetime(2026, 1, 1, tzinfo=UTC), source_traces=(tool,)
    )
    eval_ = Eval(
        id="e1",
        agent="helpdesk",
        mode_id="m1",
        title=title,
        input=arguments,
        expect=(ToolCalled(tool=tool, arguments=arguments), ToolNotCalled(tool=title)),
        provenance=provenance,
    )
    assert Eval.from_yaml(eval_.to_yaml().encode().decode()) == eval_


@given(st.lists(st.builds(RecordedCall, tool=TEXTS, arguments=ARGUMENTS, result=TEXTS), max_size=3))
@example([RecordedCall(tool="get", arguments={}, result="a\u2028b\x85c\u2029d\re\x1cf\n")])
def test_a_recording_comes_back_as_it_was(calls: list[RecordedCall]) -> None:
    cassette = Cassette(calls=tuple(calls))
    assert Cassette.from_jsonl(cassette.to_jsonl().encode().decode()) == cassette


def test_a_recording_that_was_edited_may_miss_its_last_newline_and_says_which_line_is_wrong() -> None:
    line = RecordedCall(tool="get", arguments={}, result="ok").model_dump_json()
    assert len(Cassette.from_jsonl(f"{line}\r\n{line}").calls) == 2
    with pytest.raises(UserError, match=r"cassette\.jsonl:2"):
        Cassette.from_jsonl(f"{line}\n\n{line}\n")


OLD = """
id: e1
agent: helpdesk
mode_id: m1
title: "t\\L"
input: {messages: [{role: user}]}
expect:
- {check: tool_called, tool: get_order, arguments: {order_id: A-1}}
- {check: tool_not_called, tool: refund, arguments: {}}
- {check: no_repeated_call, most: 2}
- {check: no_repeated_call, most: 3}
- {check: no_error_status}
- {check: answered}
divergence: live
margin: 0.4
provenance: {drafted_by: d, drafted_at: '2026-01-02T00:00:00Z', source_traces: [a], accepted_by: me}
"""
TAPE = Cassette(calls=(RecordedCall(tool="get_order", arguments={"order_id": "A-1"}, result="{}"),))


def test_an_eval_of_the_first_format_keeps_its_hash_for_ever() -> None:
    known = "a7bf11ebb92ef277cc7999c7412a2b49f27ccecd94abd162120ddd430b613b3e"
    assert content_sha256(Eval.from_yaml(OLD), TAPE) == known
    assert content_sha256(Eval.from_yaml(Eval.from_yaml(OLD).to_yaml()), TAPE) == known


def test_the_hash_of_a_new_eval_says_what_is_expected_and_of_which_variants() -> None:
    new = Eval.from_yaml(f"format: 2{OLD}")
    turned = Eval.from_yaml(f"format: 2{OLD}".replace("tool_not_called", "tool_called"))
    variant = HeldOut(Variant(input={"messages": []}), TAPE)
    hashes = {Entry(e, TAPE, held).content_sha256 for e in (new, turned) for held in ((), (variant,))}
    assert len(hashes) == 4
    assert Entry(new, TAPE).content_sha256 == content_sha256(new, TAPE)
    assert Eval.from_yaml(new.to_yaml()) == new


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: [", r"^eval\.yaml:1:5 is not YAML: "),
        ("a: 1\nb: ]\n", r"^eval\.yaml:2:4 is not YAML: "),
        (
            OLD.replace("answered", "anwsered"),
            r":13: expect\.5: there is no 'anwsered'; the nearest is 'answered'",
        ),
        (OLD.replace("most: 3", "most: 0"), r"^eval\.yaml:11: expect\.3\.no_repeated_call\.most: "),
        (OLD.replace("{check: answered}", "{tool: x}"), r":13: expect\.5: it must say its kind, as 'check'"),
        (OLD.replace("check: answered", "check: refused"), "expects 'refused' says `format: 2` at its top"),
        (OLD.replace("margin", "magrin"), r"^eval\.yaml:15: magrin: there is no such field$"),
        (OLD.replace("agent: helpdesk\n", ""), r"^eval\.yaml:2: agent: Field required$"),
        ("[]", r"^eval\.yaml:1: the document: it must be a mapping"),
        (OLD.replace("input: {messages: [{role: user}]}", "input: 3"), r":6: input: it must be a mapping"),
        *(
            (OLD.replace("id: e1", f"id: {id_!r}", 1), r"^eval\.yaml:2: id: ")
            for id_ in ("../../etc", "/etc/x", "", "a/b", "-rf", ".git", "a b", "x" * 129)
        ),
    ],
)
def test_what_is_wrong_is_named_by_line_and_field(text: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        Eval.from_yaml(text)


def test_the_published_schema_is_that_of_the_code_and_takes_what_the_code_writes() -> None:
    published = files("outerloop.evals").joinpath("eval.schema.json").read_text()
    assert published == schema_text(), "outerloop evals schema > services/outerloop/evals/eval.schema.json"
    validator = Draft202012Validator(json.loads(published))
    assert not list(validator.iter_errors(yaml.safe_load(Eval.from_yaml(f"format: 2{OLD}").to_yaml())))
    wrong = yaml.safe_load(OLD.replace("answered", "anwsered"))
    assert list(validator.iter_errors(wrong))
