"""An eval and its recording come back from their files as they were, whatever text a trace held."""

from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from outerloop.evals.model import Cassette, Eval, Provenance, RecordedCall, ToolCalled, ToolNotCalled
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
