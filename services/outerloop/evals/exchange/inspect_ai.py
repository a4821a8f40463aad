"""Inspect's samples (JSON lines or a JSON list), and its evaluation logs in JSON, with their scorers."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from outerloop.evals.exchange.case import (
    NEEDS_JUDGE,
    Case,
    Lost,
    Place,
    Said,
    at_least_answered,
    chat,
    contains,
    equals,
    objects,
    user,
)
from outerloop.evals.expect.answer import AnswerMatches
from outerloop.evals.expect.composite import AnyOf, Expectation
from outerloop.evals.model import RecordedCall

_NOT_TAKEN = ("choices", "sandbox", "files", "setup")
_NO_SCORER = "target: the file names no scorer; taken as Inspect's includes()"


def cases(document: Any) -> list[Case]:
    """The cases of samples, or of a log."""
    if isinstance(document, dict):
        scorers = _scorers(document)
        samples = enumerate(objects(document.get("samples") or [], "Inspect: sample"))
        return [_case(("samples", at), sample, scorers) for at, sample in samples]
    return [_case((at,), sample, None) for at, sample in enumerate(objects(document, "Inspect: sample"))]


def _scorers(log: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    about = log.get("eval") or {}
    named = about.get("scorers") or (log.get("results") or {}).get("scores") or []
    return [scorer for scorer in named if isinstance(scorer, dict)]


def _case(at: Place, sample: Mapping[str, Any], scorers: Sequence[Mapping[str, Any]] | None) -> Case:
    asked = sample.get("input", "")
    messages = chat(asked) or user(asked if isinstance(asked, str) else str(asked))
    target = sample.get("target") or []
    targets = [str(each) for each in (target if isinstance(target, list) else [target])]
    expect: list[Expectation] = []
    lost = [Lost(f"{key}: is not taken over", (*at, key)) for key in _NOT_TAKEN if sample.get(key)]
    if targets:
        for name, said in _said(targets, scorers):
            if said.expect is not None:
                expect.append(said.expect)
            lost += [Lost(f"scorer {name}: {said.lost}", (*at, "target"))] if said.expect is None else []
        lost += [Lost(_NO_SCORER, (*at, "target"))] if not scorers else []
    name = str(sample.get("id") or f"sample {int(at[-1]) + 1}")
    calls = tuple(_calls(sample.get("messages") or []))
    return Case(name=name, messages=messages, expect=at_least_answered(expect), calls=calls, lost=tuple(lost))


def _said(targets: Sequence[str], scorers: Sequence[Mapping[str, Any]] | None) -> Iterator[tuple[str, Said]]:
    for scorer in scorers or [{"name": "includes"}]:
        name = str(scorer.get("name", "")).rpartition("/")[2]
        options = scorer.get("options") or scorer.get("params") or {}
        if name == "includes":
            ignore_case = bool(options.get("ignore_case", True))
            yield name, Said(_any([contains(each, ignore_case=ignore_case) for each in targets]))
        elif name in {"exact", "match"} and not options.get("numeric"):
            yield name, Said(_any([_matched(name, str(options.get("location", "end")), t) for t in targets]))
        elif name.startswith("model_graded"):
            yield name, Said(lost=f"{NEEDS_JUDGE}: {'; '.join(targets)[:300]}")
        else:
            yield name, Said(lost=f"has no counterpart; its target was {'; '.join(targets)[:300]}")


def _matched(name: str, location: str, target: str) -> Expectation:
    if name == "exact" or location == "exact":
        return equals(target)
    literal = rf"(?is){re.escape(target)}"
    places = {"begin": rf"(?is)^\s*{re.escape(target)}", "end": rf"{literal}[\s.,!?]*$"}
    return AnswerMatches(pattern=places.get(location, literal))


def _any(checks: Sequence[Expectation]) -> Expectation:
    return checks[0] if len(checks) == 1 else AnyOf.model_validate({"of": tuple(checks)})


def _calls(messages: Sequence[Any]) -> Iterator[RecordedCall]:
    """The tool calls of a logged sample with their results."""
    given = [each for each in messages if isinstance(each, dict)]
    results = {each.get("tool_call_id"): each for each in given if each.get("role") == "tool"}
    for each in given:
        for call in each.get("tool_calls") or []:
            if (result := results.get(call.get("id"))) is not None:
                content, error = result.get("content"), result.get("error")
                text = content if isinstance(content, str) else str(content)
                yield RecordedCall(
                    tool=str(call.get("function")),
                    arguments=call.get("arguments") or {},
                    result=str(error.get("message", text)) if isinstance(error, dict) else text,
                    failed=bool(error),
                )
