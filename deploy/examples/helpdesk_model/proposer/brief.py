"""Brief: the first message of the harness, by its sections, and the cause that its evidence points to.

All regular expressions that read evidence are here. Everything specific in a cause (tool, form, days, error)
is taken from the evidence.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["argument", "loop", "permission", "answer"]

_SECTION = re.compile(r"^## +(.+?)\s*$", re.MULTILINE)
_GAP = r"[\s:`*\"-]+"
_LOOP = re.compile(rf"\brepeated_calls?{_GAP}(\w+)")
_MAX_STEPS = re.compile(r"\bmax_steps\b|\bwithout an answer\b")
_EVALUATION = re.compile(rf"\bevaluation{_GAP}(\w+)[`*]*\s*[:=-]*\s*fail\w*\b\s*[:=-]*\s*(.*)")
_TOOL_ERROR = re.compile(rf"\btool_error{_GAP}(\w+)[`*]*\s*[:=-]+\s*(.+)")
_INVALID = re.compile(r"\b(?:answer|output|reply)\s+(?:is|was) not (an? .+)")
_FORM = re.compile(
    r"\b(?:expected|(?:must|should) (?:have|be))\b.*?\b(?:form|format|pattern)\s+[`'\"]?([^\s`'\",;]+)"
)
_SUBJECT = re.compile(r"\b(?:invalid|malformed|bad|unknown)\s+([a-z][a-z ]*?)\s+[`'\"]")
_LIMIT = re.compile(r"\b(?:window|limit|period|policy|within|allowed)\b[^.\n\d]{0,40}?(\d+)[ -]days?")
_EVENT = re.compile(r"\b([a-z]+ed) \S+ days ago")
_TRANSIENT = re.compile(r"time[sd]? ?-?out|again|unavailable|unreachable|overloaded", re.IGNORECASE)
_LONGEST_QUOTE = 80


@dataclass(frozen=True, slots=True)
class Cause:
    """What went wrong. `detail` is the form, the error or the wanted shape of an answer; "" if not told."""

    kind: Kind
    tool: str = ""
    detail: str = ""
    subject: str = ""
    days: int | None = None
    event: str = "delivered"


@dataclass(frozen=True, slots=True)
class Brief:
    """The message's sections by title in lower case; the first of a title counts."""

    sections: Mapping[str, str]

    @classmethod
    def read(cls, message: str) -> "Brief":
        """The sections of the Markdown message."""
        _, *rest = _SECTION.split(message)
        pairs = list(zip(rest[::2], rest[1::2], strict=True))
        return cls({title.lower(): body for title, body in reversed(pairs)})

    @property
    def attempts(self) -> str:
        """What was tried before and why it was rejected."""
        return self.section("earlier attempts")

    def section(self, title: str) -> str:
        """The section whose title begins so, "" when there is none."""
        return next((body for name, body in self.sections.items() if name.startswith(title)), "")

    def cause(self) -> Cause | None:
        """What the evidence points to: the signals first, then the failing run; None if to nothing known."""
        signals = self.section("failure mode")
        run = self.section("a failing run")
        return _loop(signals, run) or _permission(signals, run) or _argument(signals) or _answer(signals)


def _loop(signals: str, run: str) -> Cause | None:
    called, error = _LOOP.search(signals), _TOOL_ERROR.search(signals) or _TOOL_ERROR.search(run)
    transient = error if error and _TRANSIENT.search(error[2]) else None
    if not (called or transient or _MAX_STEPS.search(signals)):
        return None
    tool = called[1] if called else transient[1] if transient else ""
    return Cause("loop", tool, _quoted(transient[2]) if transient else "")


def _permission(signals: str, run: str) -> Cause | None:
    found = _EVALUATION.search(signals)
    if not found:
        return None
    limit = _LIMIT.search(signals) or _LIMIT.search(run)
    event = _EVENT.search(found[2])
    tool = _tool_of_deed(f"{found[1]} {found[2]}", f"{run}\n{signals}")
    return Cause(
        "permission",
        tool,
        detail=_quoted(found[2]),
        days=int(limit[1]) if limit else None,
        event=event[1] if event else "delivered",
    )


def _argument(signals: str) -> Cause | None:
    for found in _TOOL_ERROR.finditer(signals):
        form, subject = _FORM.search(found[2]), _SUBJECT.search(found[2])
        if form:
            what = subject[1] if subject else "argument"
            return Cause("argument", found[1], form[1].rstrip("."), subject=what)
    return None


def _answer(signals: str) -> Cause | None:
    found = _INVALID.search(signals)
    return Cause("answer", detail=_quoted(found[1])) if found else None


def _tool_of_deed(deed: str, where: str) -> str:
    """The tool in `where` whose verb the deed is about: "refunded ..." is refund_order's; "" if none."""
    words = set(re.findall(r"[a-z]+", deed.lower().replace("_", " ")))
    for tool in re.findall(r"\b[a-z]+(?:_[a-z]+)+\b", where):
        verb = tool.partition("_")[0]
        if tool not in deed and words & {f"{verb}ed", f"{verb}d"}:
            return str(tool)
    return ""


def _quoted(text: str) -> str:
    """Evidence is foreign text: one line, no markup, and not too long, before it enters a prompt."""
    return " ".join(re.sub(r"[`\"<>{}*#]", "", text).split())[:_LONGEST_QUOTE].rstrip(" .")
