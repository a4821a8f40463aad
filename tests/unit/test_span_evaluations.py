"""Evaluation results and feedback that come with spans, in every dialect."""

from typing import Any

import pytest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue

import samples
from dialects import any_value
from outerloop.ingest.core.scanner import Scanner
from outerloop.trace.evaluation import Evaluation
from outerloop.trace.span_evaluations import HINTS, evaluations_in

OWN, PARENT = f"{2:016x}", f"{1:016x}"
# What stands on the second span of a run -> what it says: span, name, source, label, score, explanation.
ATTRIBUTES: dict[str, tuple[dict[str, Any], list[tuple[Any, ...]]]] = {
    "OpenInference, evaluations": (
        {
            "evaluations.0.evaluation.name": "correctness",
            "evaluations.0.evaluation.score": 0.25,
            "evaluations.0.evaluation.label": "incorrect",
            "evaluations.0.evaluation.explanation": "the order is another one",
            "evaluations.0.evaluation.annotator_kind": "LLM",
            "evaluations.1.evaluation.name": "tone",
            "evaluations.1.evaluation.label": "polite",
            "evaluations.1.evaluation.identifier": "judge-2",
        },
        [
            (OWN, "correctness", "llm", "incorrect", 0.25, "the order is another one"),
            (OWN, "tone", "judge-2", "polite", None, ""),
        ],
    ),
    "OpenInference, annotations by people": (
        {
            "annotations.0.annotation.name": "user feedback",
            "annotations.0.annotation.score": 0,
            "annotations.0.annotation.annotator_kind": "HUMAN",
        },
        [(OWN, "user feedback", "human", "", 0.0, "")],
    ),
    "OpenInference, of the trace": (
        {
            "trace.annotations.0.annotation.name": "user feedback",
            "trace.annotations.0.annotation.label": "thumbs_down",
        },
        [("", "user feedback", "shop", "thumbs_down", None, "")],
    ),
    "OpenInference, of the session": (
        {"session.evaluations.0.evaluation.name": "goal", "session.evaluations.0.evaluation.label": "fail"},
        [],
    ),
    "Logfire, a score": (
        {"logfire.feedback.name": "factuality", "factuality": 0.1, "logfire.feedback.comment": "it lied"},
        [(PARENT, "factuality", "shop", "", 0.1, "it lied")],
    ),
    "Logfire, an assertion": (
        {"logfire.feedback.name": "useful", "useful": False},
        [(PARENT, "useful", "shop", "fail", None, "")],
    ),
    "Logfire, a label": (
        {"logfire.feedback.name": "thumb", "thumb": "negative"},
        [(PARENT, "thumb", "shop", "negative", None, "")],
    ),
    "nothing of the kind": ({"gen_ai.evaluation.name": "x", "evaluations.name": "y"}, []),
}


def results(*made: Any) -> list[Evaluation]:
    """What is found, where the hints have one look at all."""
    request = samples.request(*made)
    found = evaluations_in(request)
    assert bool(Scanner(HINTS).marks(request.SerializeToString())) >= bool(found)
    return found


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_what_attributes_say_is_a_result(name: str) -> None:
    attributes, expected = ATTRIBUTES[name]
    span = samples.span(1, 1, "x")
    span.attributes.extend(KeyValue(key=k, value=any_value(v)) for k, v in attributes.items())
    found = results(samples.span(1, 0, "root"), span)
    assert [(e.span_id, e.name, e.source, e.label, e.score, e.explanation) for e in found] == expected
    assert {e.trace_id for e in found} <= {samples.trace_id(1)}
    assert all(e.time_ns == span.start_time_unix_nano for e in found)
    span.span_id = b""  # an invalid span says nothing
    assert results(span) == []


def test_a_span_event_is_a_result() -> None:
    span = samples.span(1, 0, "root")
    for place, name in enumerate(("gen_ai.evaluation.result", "exception", "gen_ai.evaluation.result")):
        event = span.events.add(name=name, time_unix_nano=place and samples.BEGAN + place)
        event.attributes.extend(
            samples.attributes(
                gen_ai__evaluation__name=f"e{place}",
                gen_ai__evaluation__score__label="fail",
                gen_ai__evaluation__score__value=0.5,
                gen_ai__evaluation__explanation="so",
            )
        )
    first, second = results(span)
    assert first == Evaluation(
        trace_id=samples.trace_id(1),
        span_id=PARENT,
        name="e0",
        label="fail",
        score=0.5,
        explanation="so",
        time_ns=span.start_time_unix_nano,
        source="shop",
    )
    assert (second.name, second.time_ns) == ("e2", samples.BEGAN + 2)
