"""Write: our evals as promptfoo and Inspect files, as far as those can say them."""

import json
from collections.abc import Sequence
from typing import Any

import yaml

from outerloop.evals.expect.answer import AnswerContains, AnswerEquals, AnswerFits, AnswerMatches
from outerloop.evals.expect.base import NAMED, Check
from outerloop.evals.expect.behaviour import AtMost
from outerloop.evals.expect.composite import AllOf, AnyOf, Not
from outerloop.evals.expect.refusal import Refused
from outerloop.evals.model import Eval
from outerloop.trace.messages import text_of


def promptfoo(evals: Sequence[Eval]) -> tuple[str, list[str]]:
    """A configuration whose provider is to be put in, and what it cannot say of which eval."""
    lost: list[str] = []
    tests: list[dict[str, Any]] = []
    for eval_ in evals:
        asserts: list[dict[str, Any]] = []
        for check in eval_.expect:
            said = _asserts(check)
            asserts += said or []
            lost += [] if said is not None else [f"{eval_.id}: {check.words}"]
        tests.append({"description": eval_.title, "vars": {"request": _request(eval_)}, "assert": asserts})
    document = {
        "description": "Evals of outerloop. Put your agent in place of the provider echo.",
        "prompts": ["{{request}}"],
        "providers": ["echo"],
        "tests": tests,
    }
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=110), lost


def inspect_samples(evals: Sequence[Eval]) -> tuple[str, list[str]]:
    """Samples as JSON lines, for `json_dataset` and the scorer includes(), and what they cannot say."""
    lost: list[str] = []
    lines: list[str] = []
    for eval_ in evals:
        targets = [text for check in eval_.expect if (text := _target(check))]
        lost += [f"{eval_.id}: {check.words}" for check in eval_.expect if not _target(check)]
        whole = eval_.model_dump(mode="json", exclude_defaults=True, context=NAMED)
        sample = {
            "id": eval_.id,
            "input": _chat(eval_),
            "target": targets[0] if targets else "",
            "metadata": {"outerloop": whole, "words": [check.words for check in eval_.expect]},
        }
        lost += [f"{eval_.id}: its answer must also hold {text!r}" for text in targets[1:]]
        lines.append(json.dumps(sample, ensure_ascii=False))
    return "".join(f"{line}\n" for line in lines), lost


def _target(check: Check) -> str:
    """What includes() looks for, which ignores case; "" when it says something else."""
    return check.text if isinstance(check, AnswerContains) and check.ignore_case else ""


def _asserts(check: Check) -> list[dict[str, Any]] | None:
    """The assertions that say the same; None if there are none."""
    match check:
        case AllOf(of=parts):
            each = [_asserts(part) for part in parts]
            return None if None in each else [one for said in each if said for one in said]
        case AnyOf(of=parts) if all(isinstance(p, AnswerContains) and not p.ignore_case for p in parts):
            return [
                {"type": "contains-any", "value": [p.text for p in parts if isinstance(p, AnswerContains)]}
            ]
        case Not(of=inner):
            said = _asserts(inner)
            return [{**said[0], "type": f"not-{said[0]['type']}"}] if said and len(said) == 1 else None
        case AtMost():
            return _limits(check)
    one = _assert(check)
    return [one] if one else None


def _assert(check: Check) -> dict[str, Any] | None:
    match check:
        case AnswerContains(text=text, ignore_case=ignore_case):
            return {"type": "icontains" if ignore_case else "contains", "value": text}
        case AnswerMatches(pattern=pattern) if not pattern.startswith("(?"):  # JavaScript has no such flags
            return {"type": "regex", "value": pattern}
        case AnswerEquals(value=value, normalise=()):
            return {"type": "equals", "value": value}
        case AnswerFits(json_schema=schema):
            return {"type": "is-json", "value": schema}
        case Refused(patterns=()):
            return {"type": "is-refusal"}
    return None


def _limits(check: AtMost) -> list[dict[str, Any]] | None:
    if check.model_dump(exclude={"check", "seconds", "usd"}, exclude_none=True):
        return None
    latency = [{"type": "latency", "threshold": check.seconds * 1000}] if check.seconds else []
    return latency + ([{"type": "cost", "threshold": check.usd}] if check.usd else [])


def _chat(eval_: Eval) -> Any:
    messages = eval_.input.get("messages")
    if not isinstance(messages, list):
        return json.dumps(eval_.input, ensure_ascii=False)
    return [{"role": m.get("role", "user"), "content": text_of(m)} for m in messages if isinstance(m, dict)]


def _request(eval_: Eval) -> str:
    chat = _chat(eval_)
    only = chat[0]["content"] if isinstance(chat, list) and len(chat) == 1 else None
    return only if isinstance(only, str) else chat if isinstance(chat, str) else json.dumps(chat)
