"""Trace context: what is done about one mode is one trace, whatever lies between."""

import re

import pytest

from outerloop.contracts.v1.decision_pb2 import DecisionReached
from outerloop.contracts.v1.failure_pb2 import FailureDetected, ModeOpened
from outerloop.contracts.v1.trace_pb2 import TraceSettled
from outerloop.contracts.v1.trial_pb2 import TrialRequested
from outerloop.runtime.tracecontext import Context, root_of, step

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def test_the_opening_of_a_mode_is_the_root_of_its_trace():
    opened = step(ModeOpened(mode_id="m"), f"00-{TRACE}-{SPAN}-01")
    assert opened.own == root_of("m")
    assert opened.parent is None
    assert root_of("m").trace_id != root_of("n").trace_id


def test_what_is_done_about_a_mode_is_in_its_trace_whatever_caused_it():
    root = root_of("m")
    by_itself = step(DecisionReached(mode_id="m"), "")
    assert (by_itself.own.trace_id, by_itself.parent, by_itself.own.sampled) == (root.trace_id, root, True)
    caused = step(DecisionReached(mode_id="m"), f"00-{root.trace_id}-{SPAN}-01")
    assert caused.parent == Context(root.trace_id, SPAN, sampled=True)
    foreign = step(DecisionReached(mode_id="m"), f"00-{TRACE}-{SPAN}-01")
    assert (foreign.own.trace_id, foreign.parent) == (root.trace_id, root)
    assert caused.own.span_id not in {SPAN, by_itself.own.span_id}


def test_what_belongs_to_no_mode_follows_its_cause():
    trial = step(TrialRequested(), f"00-{TRACE}-{SPAN}-01")
    assert (trial.own.trace_id, trial.own.sampled) == (TRACE, True)
    assert not step(TrialRequested(), f"00-{TRACE}-{SPAN}-00").own.sampled


@pytest.mark.parametrize("message", [TraceSettled(trace_id="t"), FailureDetected(trace_id="t", mode_id="m")])
def test_an_event_about_one_trace_of_production_is_not_sampled(message: TraceSettled | FailureDetected):
    assert not step(message, "").own.sampled


@pytest.mark.parametrize(
    "broken",
    [
        "",
        "nonsense",
        f"00-short-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{SPAN}",
    ],
)
def test_a_broken_context_begins_anew(broken: str):
    begun = step(TrialRequested(), broken)
    assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-00", str(begun.own))
    assert begun.parent is None
    assert begun.own.trace_id != TRACE
