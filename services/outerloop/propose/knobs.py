"""Knobs: settings that an agent declares, and how one is turned in a file that stays as it is else. Pure."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any

import yaml

from outerloop.runtime.agentfile import Knob
from outerloop.runtime.errors import UserError
from outerloop.runtime.yamltext import composed, loaded

MOST_TRIED = 40
_BEYOND = 0xFFFF  # JSON has no escape of one character for what comes after it


class KnobError(Exception):
    """A knob that is not in its file; the sentence says why."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One knob set to one value."""

    knob: Knob
    value: Any

    def __str__(self) -> str:
        return f"{self.knob.key} of {self.knob.path} = {_written(self.value)}"


def settings(knobs: Sequence[Knob], texts: Mapping[str, str]) -> Iterator[tuple[Turn, ...]]:
    """What can be tried, MOST_TRIED settings at most: first each knob alone, then two of them together.

    `texts` are the files of the knobs by path. What a file says already is not tried.

    Raises:
        KnobError: a knob is not in its file.
    """
    now = [value_of(texts[knob.path], knob) for knob in knobs]
    others = [
        [Turn(knob, value) for value in knob.values if value != current]
        for knob, current in zip(knobs, now, strict=True)
    ]
    found = (
        setting
        for how_many in (1, 2)
        for chosen in combinations(others, how_many)
        for setting in product(*chosen)
    )
    for _, setting in zip(range(MOST_TRIED), found, strict=False):
        yield setting


def value_of(text: str, knob: Knob) -> Any:
    """What a knob is set to in the text of its file."""
    begin, end = _span(text, knob)
    try:
        return loaded(text[begin:end], knob.path)
    except UserError as error:
        raise KnobError(f"{knob.path} has no {knob.key} that can be read: {error}") from error


def turned(text: str, turn: Turn) -> str:
    """The text with the knob set to the value; everything else stays as it was, comments too."""
    begin, end = _span(text, turn.knob)
    space = " " if begin == end else ""  # an empty value begins right at its colon
    return text[:begin] + space + _written(turn.value) + text[end:]


def _span(text: str, knob: Knob) -> tuple[int, int]:
    """Where the value of a knob stands, as offsets."""
    try:
        node = composed(text, knob.path)
    except UserError as error:
        raise KnobError(f"{knob.path} is neither YAML nor JSON") from error
    for part in knob.key.split("."):
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        node = next((value for key, value in pairs if key.value == part), None)
    # With an anchor, others refer to it; a tag may be of the agent's own.
    if (
        not isinstance(node, yaml.ScalarNode)
        or node.style in {"|", ">"}
        or text[node.start_mark.index :].startswith(("&", "!"))
    ):
        raise KnobError(f"{knob.path} has no {knob.key} with a plain value")
    return node.start_mark.index, node.end_mark.index


def _written(value: Any) -> str:
    """A scalar as YAML and JSON both read it."""
    if isinstance(value, str):
        said = json.dumps(value, ensure_ascii=False)
        return "".join(c if c.isprintable() or ord(c) > _BEYOND else f"\\u{ord(c):04x}" for c in said)
    return yaml.safe_dump(value).removesuffix("...\n").strip()
