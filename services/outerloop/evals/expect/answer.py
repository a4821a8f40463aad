"""Answer: what the text that a run ends with says, compared exactly."""

import json
import string
import unicodedata
from typing import Annotated, Any, Literal

from pydantic import Field

from outerloop.evals.expect.base import Check, Run, Seen, short
from outerloop.evals.expect.patterns import MOST_TEXT, Pattern, compiled, found
from outerloop.evals.expect.schemas import Schema, unfit
from outerloop.evals.expect.values import Path, Value, at
from outerloop.evals.jsonvalue import canonical
from outerloop.trace.model import Trace

_NUMBER = r"-?\d+(?:,\d{3})*(?:\.\d+)?(?:[eE][+-]?\d+)?"
_NONE = Seen(holds=False, saw="the run ended without an answer")
Normalised = Literal["case", "space", "punctuation"]


class Answered(Check):
    """The run ended with an answer that is not empty."""

    check: Literal["answered"] = "answered"

    @property
    def words(self) -> str:
        """See Check."""
        return "ends with an answer"

    @property
    def wanted(self) -> str:
        """See Check."""
        return "expected an answer"

    def look(self, run: Run) -> Seen:
        """See Check."""
        return Seen(holds=True, saw="the run ended with one") if run.trace.answer.strip() else _no_answer()


class AnswerContains(Check):
    """The answer holds this text, spaces counting as one."""

    check: Literal["answer_contains"] = "answer_contains"
    text: Annotated[str, Field(min_length=1)]
    ignore_case: bool = False

    @property
    def words(self) -> str:
        """See Check."""
        return f"says {canonical(self.text)} in its answer"

    def look(self, run: Run) -> Seen:
        """See Check."""
        ways: tuple[Normalised, ...] = ("space", "case") if self.ignore_case else ("space",)
        held = normal(self.text, ways) in normal(run.trace.answer[:MOST_TEXT], ways)
        return Seen(holds=True, saw="it says so") if held else said(run.trace)


class AnswerMatches(Check):
    """The answer holds a match of this RE2 pattern; `(?i)` at its beginning ignores case."""

    check: Literal["answer_matches"] = "answer_matches"
    pattern: Pattern

    @property
    def words(self) -> str:
        """See Check."""
        return f"answers with something that matches {canonical(self.pattern)}"

    def look(self, run: Run) -> Seen:
        """See Check."""
        held = found(self.pattern, run.trace.answer)
        return Seen(holds=True, saw="it does") if held else said(run.trace)


class AnswerEquals(Check):
    """The answer is this text, or this JSON value, when both are normalised in these ways."""

    check: Literal["answer_equals"] = "answer_equals"
    value: Any
    normalise: tuple[Normalised, ...] = ("case", "space")

    @property
    def words(self) -> str:
        """See Check."""
        return f"answers {canonical(self.value)}"

    def look(self, run: Run) -> Seen:
        """See Check."""
        answer = run.trace.answer
        if isinstance(self.value, str):
            held = normal(answer[:MOST_TEXT], self.normalise) == normal(self.value, self.normalise)
        else:
            parsed = _json(answer)
            held = parsed is not _NO_JSON and canonical(parsed) == canonical(self.value)
        return Seen(holds=True, saw="it does") if held else said(run.trace)


class AnswerFits(Check):
    """The answer is JSON that fits this schema."""

    check: Literal["answer_fits"] = "answer_fits"
    json_schema: Schema

    @property
    def words(self) -> str:
        """See Check."""
        return f"answers with JSON that fits {canonical(self.json_schema)}"

    def look(self, run: Run) -> Seen:
        """See Check."""
        value = _json(run.trace.answer)
        if value is _NO_JSON:
            return Seen(holds=False, saw=f"no JSON: {said(run.trace).saw}")
        unfitting = unfit(self.json_schema, value)
        return Seen(not unfitting, unfitting or "it does")


class AnswerValue(Check):
    """The answer is JSON in which a value at this path is as said."""

    check: Literal["answer_value"] = "answer_value"
    path: Path
    value: Value

    @property
    def words(self) -> str:
        """See Check."""
        return f"answers with JSON whose {self.path} {self.value.words}"

    def look(self, run: Run) -> Seen:
        """See Check."""
        parsed = _json(run.trace.answer)
        values = [] if parsed is _NO_JSON else list(at(parsed, self.path))
        if any(map(self.value.fits, values)):
            return Seen(holds=True, saw="it does")
        saw = f"there it is {short(canonical(values[0]))}" if values else f"not there: {said(run.trace).saw}"
        return Seen(holds=False, saw=saw)


class AnswerNumber(Check):
    """The answer names a number that is no further from `value` than `tolerance`."""

    check: Literal["answer_number"] = "answer_number"
    value: Annotated[float, Field(allow_inf_nan=False)]
    tolerance: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0

    @property
    def words(self) -> str:
        """See Check."""
        within = f", give or take {self.tolerance:g}" if self.tolerance else ""
        return f"names the number {self.value:.12g}{within} in its answer"

    def look(self, run: Run) -> Seen:
        """See Check."""
        named = compiled(_NUMBER).findall(run.trace.answer[:MOST_TEXT])
        held = any(abs(float(n.replace(",", "")) - self.value) <= self.tolerance for n in named)
        return Seen(holds=True, saw="it does") if held else said(run.trace)


def normal(text: str, ways: tuple[Normalised, ...]) -> str:
    """The text in Unicode's compatibility form, made alike in these ways."""
    text = unicodedata.normalize("NFKC", text)
    if "case" in ways:
        text = text.casefold()
    if "punctuation" in ways:
        text = text.translate(_WITHOUT)
    return " ".join(text.split()) if "space" in ways else text


def said(trace: Trace) -> Seen:
    """That it does not hold of the answer, which is shown."""
    answer = trace.answer.strip()
    return Seen(holds=False, saw=f"the answer was {short(canonical(answer))}") if answer else _NONE


def _no_answer() -> Seen:
    return Seen(holds=False, saw="the run ended without one")


_NO_JSON = object()
_WITHOUT = {ord(letter): None for letter in string.punctuation}


def _json(text: str) -> Any:
    try:
        return json.loads(text[:MOST_TEXT])
    except (ValueError, RecursionError):
        return _NO_JSON
