"""What CI systems are shown of a decision."""

from xml.etree import ElementTree as ET

from outerloop.cli.check import code_of
from outerloop.contracts.v1.decision_pb2 import (
    VERDICT_INCONCLUSIVE,
    ClaimShown,
    DecisionReached,
    Verdict,
)
from outerloop.gate.people.report import junit, markdown


def decided() -> DecisionReached:
    return DecisionReached(
        verdict=VERDICT_INCONCLUSIVE,
        reason="bad \x00 `|` \n## text",
        claims=[
            ClaimShown(kind="prior", name="e\x1b1", state="certified", passed=9, trials=9),
            ClaimShown(kind="prior", name="e2", state="open", passed=5, trials=9),
            ClaimShown(kind="prior", name="e3", state="blocked", passed=0, trials=9),
        ],
    )


def test_junit_counts_what_is_open_as_skipped_and_holds_hostile_text():
    root = ET.fromstring(junit(decided()))  # noqa: S314 - our own
    counts = {name: root.get(name) for name in ("tests", "failures", "skipped")}
    assert counts == {"tests": "3", "failures": "1", "skipped": "1"}
    assert (len(list(root.iter("failure"))), len(list(root.iter("skipped")))) == (1, 1)


def test_markdown_keeps_hostile_text_on_its_line():
    said = markdown(decided(), [("e2", "a | `b`\n# c")]).splitlines()
    assert said[2] == "`bad \N{REPLACEMENT CHARACTER} '¦' ## text`"
    assert "| ❔ | prior: `a ¦ 'b' # c` | 5/9 | 0 | e^0.0 |" in said


def test_each_verdict_has_an_exit_code_and_no_verdict_passes():
    said = {name: code_of(DecisionReached(verdict=name)) for name in Verdict.keys()}  # noqa: SIM118 - no dict
    assert said == {
        "VERDICT_UNSPECIFIED": 1,
        "VERDICT_SHIP": 0,
        "VERDICT_REJECT": 1,
        "VERDICT_INCONCLUSIVE": 2,
    }
