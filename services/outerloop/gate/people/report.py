"""Report: a decision in the forms that CI systems show, JUnit's XML and Markdown."""

from collections.abc import Sequence
from xml.etree import ElementTree as ET

from outerloop.contracts.v1.decision_pb2 import VERDICT_SHIP, ClaimShown, DecisionReached
from outerloop.store.decisions import verdict_of

_MARKS = {"certified": "✅", "blocked": "❌", "open": "❔"}


def junit(decision: DecisionReached) -> str:
    """A test suite with a case for each claim; one more for what stopped the change before any claim."""
    cases = [_case(claim, decision) for claim in decision.claims]
    if decision.verdict != VERDICT_SHIP and not any(len(case) for case in cases):
        case = ET.Element("testcase", classname="outerloop.gate", name="change")
        ET.SubElement(case, "failure", message=_legal(decision.reason))
        cases.append(case)
    failures = sum(case.find("failure") is not None for case in cases)
    skipped = sum(case.find("skipped") is not None for case in cases)
    counts = {"tests": str(len(cases)), "failures": str(failures), "skipped": str(skipped)}
    root = ET.Element("testsuite", {"name": "outerloop gate", **counts})
    root.extend(cases)
    return ET.tostring(root, encoding="unicode", xml_declaration=True)


def _case(claim: ClaimShown, decision: DecisionReached) -> ET.Element:
    case = ET.Element("testcase", classname=f"outerloop.gate.{claim.kind}", name=_legal(claim.name))
    if claim.state != "certified" and decision.verdict != VERDICT_SHIP:
        kind = "failure" if claim.state == "blocked" else "skipped"
        ET.SubElement(case, kind, message=f"{claim.state}: {_counts(claim)}; {_legal(decision.reason)}")
    return case


def markdown(decision: DecisionReached, titles: Sequence[tuple[str, str]]) -> str:
    """A summary with a table of claims; `titles` are (eval id, title)."""
    named = dict(titles)
    lines = [f"### outerloop gate: {verdict_of(decision)}", ""]
    if decision.reason:
        lines += [_quoted(decision.reason), ""]
    if decision.claims:
        lines += ["| | claim | passed | bar | evidence |", "| --- | --- | --- | --- | --- |"]
        lines += [_row(claim, named.get(claim.name, claim.name)) for claim in decision.claims]
        level = f"Every claim is tested at α = {decision.alpha:.2g} (index {decision.ledger_index})."
        lines += ["", level]
    return "\n".join(lines) + "\n"


def _row(claim: ClaimShown, title: str) -> str:
    mark = _MARKS.get(claim.state, "")
    evidence = f"e^{claim.log_e_above:.1f}"
    passed = f"{claim.passed}/{claim.trials}"
    return f"| {mark} | {claim.kind}: {_quoted(title)} | {passed} | {claim.bar:g} | {evidence} |"


def _counts(claim: ClaimShown) -> str:
    return f"{claim.passed} of {claim.trials} trials passed, and its bar is {claim.bar:g}"


def _quoted(text: str) -> str:
    """Text as data: on one line, in a code span that nothing in it can close."""
    return "`" + _legal(" ".join(text.replace("`", "'").replace("|", "¦").split())) + "`"


def _legal(text: str) -> str:
    """Without what XML cannot hold, and what can be seen by no reader."""
    return "".join(
        letter if letter.isprintable() or letter in "\n\t" else "\N{REPLACEMENT CHARACTER}" for letter in text
    )
