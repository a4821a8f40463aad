"""Sameness: a call's arguments in the form in which an eval says that they are compared."""

from collections.abc import Mapping
from typing import Any

from outerloop.evals.jsonvalue import canonical
from outerloop.evals.model import Replay


def comparable(arguments: Mapping[str, Any], replay: Replay) -> dict[str, Any]:
    """The arguments without what does not count."""
    value: Any = dict(arguments)
    for path in replay.ignore:
        value = _without(value, path)
    plain: dict[str, Any] = _plain(value, replay)
    return plain


def _without(value: Any, path: str) -> Any:
    step, _, rest = path.partition(".")
    if isinstance(value, dict):
        inside = {
            key: _without(item, rest) if rest and _is(key, step) else item for key, item in value.items()
        }
        return inside if rest else {key: item for key, item in value.items() if not _is(key, step)}
    if isinstance(value, list):
        inside_ = [_without(item, rest) if rest and _is(at, step) else item for at, item in enumerate(value)]
        return inside_ if rest else [item for at, item in enumerate(value) if not _is(at, step)]
    return value


def _is(key: object, step: str) -> bool:
    return step in {"*", str(key)}


def _plain(value: Any, replay: Replay) -> Any:
    if isinstance(value, str):
        return value.casefold() if replay.ignore_case else value
    if isinstance(value, dict):
        return {key: _plain(item, replay) for key, item in value.items()}
    if isinstance(value, list):
        items = [_plain(item, replay) for item in value]
        return sorted(items, key=canonical) if replay.ignore_order else items
    return value
