"""Rules: the controlled language in which the script can be instructed; README.md gives it by example.

Matched leniently, sentence by sentence, over the system prompt and the tool descriptions. What no sentence
says is not a rule, however sensible it would be.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from support_agent.prose import Sentence, sentences

_FLAGS = re.IGNORECASE
_ID = re.compile(r"\border(?:s|'s)?[ _-]*(?:ids?|numbers?)\b|\bids?\b|\border_id\b", _FLAGS)
_PREFIX = re.compile(r"(?<![A-Za-z])([A-Z]{1,3}-)(?=\d|N|X|#|<|\{|\[|\W?(?:\s|$))")
_JSON = re.compile(r"\bJSON\b", _FLAGS)
_ANSWER = re.compile(r"\b(?:answer|repl(?:y|ies)|respon[ds]|end with|message|output)", _FLAGS)
_ALWAYS = re.compile(
    r"\b(?:always|every|each|all (?:final )?(?:answers|replies)|any (?:answer|reply|question|message)"
    r"|also|even|too|no matter|whether|including|regardless"
    r"|without (?:having )?(?:used|using|a tool)|no tool|only ever"
    r"|never (?:answer|reply|respond)\w* (?:in|with) (?:prose|plain))\b",
    _FLAGS,
)
_DAYS = re.compile(r"\b(\d+|seven|ten|fourteen|thirty|sixty|ninety)[ -](?:calendar )?days?\b", _FLAGS)
_REFUND = re.compile(r"refund|money back|pay back|return", _FLAGS)
_WINDOW = re.compile(r"deliver|window", _FLAGS)
_CONDITION = re.compile(
    r"\b(?:if|when|unless|except|only|older|more than|again|outside|within|days?|delivered|twice|without"
    r"|before|until|after|repeat\w*|once|that|whose|which)\b",
    _FLAGS,
)
_NOT = (
    r"\b(?:do not|don't|never|must not|mustn't|may not|cannot|can't|not allowed to|not permitted to"
    r"|(?:refuse|decline|reject) (?:all|every|any))\b"
)
_FAILURE = re.compile(r"\berrors?\b|fail|time[sd]? ?-?out|timing out|unavailable|unreachable", _FLAGS)
_ONE_MORE = re.compile(
    r"(?:(?:once|one) more|one (?:more|further|single) (?:time|try|attempt|retry)|(?:retry|again|repeat)\w*"
    r" (?:it |the call )?(?:at most |only |just )*(?:once|one time)|(?:at most|only|single) (?:one |a )?retry"
    r"|(?:at most|no more than) (?:twice|two)|more than twice|fails? (?:twice|a second time|two times))\b",
    _FLAGS,
)
_TIMES = re.compile(
    r"(?:at most|no more than|up to|maximum of) (\d+|three|four) (?:times|attempts|tries|calls)", _FLAGS
)
_NOT_AGAIN = re.compile(
    r"(?:\bnot\b|never|n't\b|instead of|rather than|without|\bno\b|stop|avoid|at most|only).*"
    r"(?:\bagain\b|\bretr(?:y|ies|ying)\b|repeat|second time|same call|more than once|\bonce\b)",
    _FLAGS,
)
_WORDS = {
    "three": 3,
    "four": 4,
    "seven": 7,
    "ten": 10,
    "fourteen": 14,
    "thirty": 30,
    "sixty": 60,
    "ninety": 90,
}
_SHORTEST_VERB = 5  # "get" and "do" are in every sentence; refund, cancel and track say which tool is meant


@dataclass(frozen=True, slots=True)
class Rules:
    """What the instructions say.

    `attempts` is how often each tool may be called in vain; `instead` the arguments to call it with then.
    """

    id_prefix: str | None
    json_always: bool
    json_after_tools: bool
    refund_days: int | None
    forbidden: frozenset[str]
    attempts: Mapping[str, int]
    instead: Mapping[str, Mapping[str, str]]

    @classmethod
    def read(cls, system: str, tools: Mapping[str, Mapping[str, Any]]) -> "Rules":
        """The rules in a system prompt and in tools as the Messages API takes them."""
        policy = list(sentences(system))
        described = [
            s for name, tool in tools.items() for text in _texts(tool) for s in sentences(text, name)
        ]
        everything = [*policy, *described]
        json_rules = [s.text for s in policy if _JSON.search(s.text) and _ANSWER.search(s.paragraph)]
        return cls(
            id_prefix=next(filter(None, map(_id_prefix, everything)), None),
            json_always=any(map(_ALWAYS.search, json_rules)),
            json_after_tools=bool(json_rules),
            refund_days=next(filter(None, map(_refund_days, everything)), None),
            forbidden=frozenset(name for name in tools if any(_forbids(s, name) for s in everything)),
            attempts=_all_attempts(everything, tools),
            instead={
                name: found for name, tool in tools.items() if (found := _instead(everything, name, tool))
            },
        )


def _texts(tool: Mapping[str, Any]) -> Iterable[str]:
    yield tool.get("description") or ""
    for name, schema in (tool["input_schema"].get("properties") or {}).items():
        yield f"{name}: {schema.get('description', '')} {schema.get('pattern', '')}"


def _id_prefix(sentence: Sentence) -> str | None:
    found = _PREFIX.search(sentence.text)
    return found[1] if found and _ID.search(sentence.paragraph) else None


def _refund_days(sentence: Sentence) -> int | None:
    found = _DAYS.search(sentence.text)
    about = f"{sentence.tool} {sentence.paragraph}"
    return _number(found[1]) if found and _REFUND.search(about) and _WINDOW.search(about) else None


def _forbids(sentence: Sentence, tool: str) -> bool:
    """Whether the sentence rules the tool out, under no condition."""
    if _CONDITION.search(sentence.text):
        return False
    verb = tool.partition("_")[0]
    named = tool if len(verb) < _SHORTEST_VERB else rf"{tool}|{verb}(?:s|ed|ing)?"
    if re.search(rf"{_NOT}\W+(?:\w+\W+){{0,2}}?(?:{named})\b", sentence.text, _FLAGS):
        return True
    granted = r"(?:\w+ ){0,2}(?:is|are) (?:not|never) (?:allowed|possible|granted|permitted|given)"
    return bool(re.search(rf"\b(?:{named})\b {granted}", sentence.text, _FLAGS))


def _all_attempts(rules: Iterable[Sentence], tools: Iterable[str]) -> dict[str, int]:
    allowed: dict[str, int] = {}
    names = list(tools)
    for sentence in rules:
        attempts = _attempts(sentence)
        if attempts:
            for name in _meant(sentence, names):
                allowed.setdefault(name, attempts)
    return allowed


def _attempts(sentence: Sentence) -> int | None:
    if not _FAILURE.search(sentence.paragraph):
        return None
    if _ONE_MORE.search(sentence.text):
        return 2
    times = _TIMES.search(sentence.text)
    if times:
        return _number(times[1])
    return 1 if _NOT_AGAIN.search(sentence.text) else None


def _instead(rules: Iterable[Sentence], name: str, tool: Mapping[str, Any]) -> dict[str, str]:
    """The choice of an argument that a rule on failures names: "If it fails, ask for last_scan"."""
    for argument, schema in (tool["input_schema"].get("properties") or {}).items():
        for sentence in rules:
            named = [
                v for v in schema.get("enum", ()) if re.search(rf"\b{re.escape(str(v))}\b", sentence.text)
            ]
            if named and _FAILURE.search(sentence.paragraph) and name in _meant(sentence, [name]):
                return {argument: named[-1]}
    return {}


def _meant(sentence: Sentence, tools: list[str]) -> list[str]:
    """The tools that a sentence is about: named in it, in its paragraph, or by where it stands; else all."""
    for text in (sentence.text, sentence.paragraph, sentence.tool):
        named = [tool for tool in tools if re.search(rf"\b{tool}\b", text)]
        if named:
            return named
    return tools


def _number(word: str) -> int:
    return _WORDS.get(word.lower()) or int(word)
