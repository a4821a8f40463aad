"""Features: a trace in figures and words, for a detector to learn from. None is good or bad by itself."""

import re
import zlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from math import expm1, log1p

from outerloop.trace.acts import Act, act_of
from outerloop.trace.model import Trace
from outerloop.triage.core.entities import entities_of_rules
from outerloop.triage.core.outcome import Outcome, outcome_of
from outerloop.triage.core.signals import Signs, signs_of
from outerloop.triage.core.signs.ending import REFUSES
from outerloop.triage.core.signs.making import arguments, failed
from outerloop.triage.core.signs.people import AGREES, agreed_before
from outerloop.triage.core.transcript import Transcript, transcript_of

BUCKETS = 2**18
_MIX = 0x9E3779B1  # odd and large: neighbours land far from each other
_SIGN = "sign."
_WORD = re.compile(r"\w[\w@.-]*\w")
_NUMBERED = re.compile(r"(?<!\S)\S*\d\S*")
# Of text in lower case, as all of these words: twice as fast as to ignore the case.
_SORRY = re.compile(r"\b(sorry|apologi[sz]e|apolog)")
_ASKS = re.compile(r"\b(confirm|proceed|would you like|shall i|go ahead)\b")
_THANKS = re.compile(r"\b(thank|thanks|great|perfect|appreciate)\b")
_INSISTS = re.compile(
    r"\b(no,|wrong|again|already|still|but i|are you sure|didn['’]t|actually|instead|exception|really need"
    r"|understand)\b"
)
_ACTS: tuple[Act, ...] = ("read", "write", "think", "handover")


@dataclass(frozen=True, slots=True)
class Seen:
    """What is kept of a trace: enough to compare it with others and to learn from it.

    Words are hashed into BUCKETS: `said` and `closing` the agent's (all, and the last ones), `wish` the
    user's. `effects` are hashes of what it changed.
    """

    trace_id: str
    session_id: str
    figures: dict[str, float]
    said: tuple[int, ...]
    closing: tuple[int, ...]
    wish: tuple[int, ...]
    effects: frozenset[int]
    tools: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Read:
    """A trace that was read: what happened in it, the signs in that, and what is kept of it."""

    transcript: Transcript
    signs: Signs
    run: Seen


def read(trace: Trace) -> Read:
    """Read a trace. Everything that looks at its text is done here, once."""
    transcript = transcript_of(trace)
    signs = signs_of(transcript)
    return Read(transcript, signs, _seen(transcript, signs))


def _seen(seen: Transcript, signs: Signs) -> Seen:
    outcome = outcome_of(seen)
    user, said = " ".join(t for _, t in seen.user), " ".join(t for _, t in seen.said)
    closing = seen.said[-1][1] if seen.said else ""
    done = [call.name for _, call in outcome.writes]
    return Seen(
        trace_id=seen.trace.trace_id,
        session_id=seen.trace.root.session_id,
        figures=_figures(seen, outcome, signs),
        said=_with_pairs(hashed(_words(_NUMBERED.sub("#", said)))),
        closing=_with_pairs(hashed(_words(_NUMBERED.sub("#", closing)))),
        wish=hashed(_words(user)),
        effects=frozenset(hashed(outcome.effects)),
        tools=hashed(done),
    )


def signs_in(run: Seen) -> Counter[str]:
    """How often each kind of sign was seen in a run."""
    found = {name.removeprefix(_SIGN): n for name, n in run.figures.items() if name.startswith(_SIGN)}
    return Counter({kind: round(expm1(n)) for kind, n in found.items()})


def hashed(words: Iterable[str]) -> tuple[int, ...]:
    """Words as numbers, the same in every process."""
    return tuple(map(_bucket, words))


@lru_cache(maxsize=2**16)
def _bucket(word: str) -> int:
    return zlib.crc32(word.encode("utf-8", "replace")) % BUCKETS


def _with_pairs(words: tuple[int, ...]) -> tuple[int, ...]:
    """Hashed words, and every two that stand side by side as one more."""
    return words + tuple([(one * _MIX + other) % BUCKETS for one, other in pairwise(words)])


def _figures(seen: Transcript, outcome: Outcome, signs: Signs) -> dict[str, float]:
    figures = {**_counts(seen, outcome), **_talk(seen), **_changes(seen, outcome), **_usage(seen)}
    kinds = Counter(sign.kind for sign in (*signs.rules, *signs.hints))
    figures.update({f"{_SIGN}{kind}": log1p(n) for kind, n in kinds.items()})
    return figures


def _counts(seen: Transcript, outcome: Outcome) -> dict[str, float]:
    calls = [call for _, call in seen.calls]
    acts = [act_of(call.name) for call in calls]
    wrong = [failed(call) for call in calls]
    times = Counter((call.name, arguments(call)) for call in calls)
    last = acts[-1] if acts else "none"
    ends = seen.steps[-1].role if seen.steps else "none"
    return {
        "steps": log1p(len(seen.steps)),
        "turns.user": log1p(len(seen.user)),
        "turns.agent": log1p(len(seen.said)),
        "calls": log1p(len(calls)),
        "calls.tools": log1p(len({call.name for call in calls})),
        "calls.failed": log1p(sum(wrong)),
        "calls.failed.share": sum(wrong) / max(1, len(calls)),
        "calls.failed.write": log1p(sum(w and a == "write" for w, a in zip(wrong, acts, strict=True))),
        "calls.repeated": log1p(len(calls) - len(times)),
        "calls.most": float(max(times.values(), default=0)),
        "results": log1p(sum(len(p) for p, s in zip(seen.particulars, seen.steps, strict=True) if s.call)),
        **{f"calls.{act}": log1p(acts.count(act)) for act in _ACTS},
        **{f"last.{act}": float(last == act) for act in (*_ACTS, "none")},
        **{f"ends.{role}": float(ends == role) for role in ("user", "call")},
        **{f"ending.{kind}": float(outcome.ending == kind) for kind in ("abrupt", "handed_over", "talked")},
    }


def _talk(seen: Transcript) -> dict[str, float]:
    user, said = [t.lower() for _, t in seen.user], [t.lower() for _, t in seen.said]
    closing = said[-1] if said else ""
    words = {"user": sum(len(t.split()) for t in user), "agent": sum(len(t.split()) for t in said)}
    figures = {
        "words.user": log1p(words["user"]),
        "words.agent": log1p(words["agent"]),
        "words.user.mean": log1p(words["user"] / max(1, len(user))),
        "words.agent.mean": log1p(words["agent"] / max(1, len(said))),
        "words.first": log1p(len(user[0].split())) if user else 0.0,
        "words.closing": log1p(len(closing.split())),
        "closing.asks": float("?" in closing),
    }
    for name, pattern in (("refuses", REFUSES), ("sorry", _SORRY), ("asks", _ASKS)):
        figures[f"agent.{name}"] = log1p(sum(bool(pattern.search(t)) for t in said))
        figures[f"closing.{name}"] = float(bool(pattern.search(closing)))
    for name, pattern in (("insists", _INSISTS), ("agrees", AGREES), ("thanks", _THANKS)):
        figures[f"user.{name}"] = log1p(sum(bool(pattern.search(t)) for t in user[1:]))
        figures[f"user.last.{name}"] = float(bool(user and pattern.search(user[-1])))
    return figures


def _changes(seen: Transcript, outcome: Outcome) -> dict[str, float]:
    places = [i for i, _ in outcome.writes]
    refused = [i for i, text in seen.said if REFUSES.search(text.lower())]
    unasked = sum(not agreed_before(seen, i) for i in places)
    known: set[str] = set(entities_of_rules(seen.policy))
    named = new = 0
    for step, particulars, asked in zip(seen.steps, seen.particulars, seen.asked, strict=True):
        if step.call and act_of(step.call.name) == "write":
            named, new = named + len(asked), new + len(asked - known)
        if step.role != "assistant":
            known |= particulars
    closing = seen.particulars[-1] if seen.answer else frozenset()
    return {
        "writes": log1p(len(places)),
        "writes.any": float(bool(places)),
        "writes.many": float(len(places) > 1),
        "writes.arguments": log1p(named),
        "writes.first": places[0] / len(seen.steps) if places else 1.5,
        "writes.last": places[-1] / len(seen.steps) if places else -0.5,
        "writes.unasked": unasked / max(1, len(places)),
        "writes.new": new / max(1, named),
        "writes.after_refusal": float(bool(refused and places and places[-1] > refused[0])),
        "refused.only": float(bool(refused) and not places),
        "closing.new": len(closing - known) / max(1, len(closing)),
    }


def _usage(seen: Transcript) -> dict[str, float]:
    trace = seen.trace
    ends = max(span.end_ns for span in trace.spans)
    return {
        "usage.seconds": log1p(max(0, ends - trace.spans[0].start_ns) / 1e9),
        "usage.input": log1p(max((s.input_tokens for s in trace.model_calls), default=0)),
        "usage.output": log1p(sum(s.output_tokens for s in trace.model_calls)),
    }


def _words(text: str) -> list[str]:
    words: list[str] = _WORD.findall(text.lower())
    return words
