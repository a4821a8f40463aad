"""Documents that people write, read strictly: what is wrong is named by file, line, field and reason."""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from outerloop.runtime.errors import UserError
from outerloop.runtime.yamltext import composed, loaded


class Document(BaseModel):
    """Base of what is read from a file: an unknown field is an error, and nothing changes afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True)


D = TypeVar("D", bound=Document)
# What pydantic says in the words of Python.
_PLAIN = {
    "extra_forbidden": "there is no such field",
    "tuple_type": "it must be a list",
    "list_type": "it must be a list",
    "dict_type": "it must be a mapping of names to values",
    "model_type": "it must be a mapping of names to values",
    "model_attributes_type": "it must be a mapping of names to values",
    "string_type": "it must be a text",
}


def parse_yaml(kind: type[D], text: str, where: str) -> D:
    """Read a YAML document of this kind.

    Raises:
        UserError: naming `where`, the line, the field and what is wrong with it.
    """
    value = loaded(text, where)
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        at = line_at(composed(text, where), error.errors()[0]["loc"])
        raise UserError(f"{where}:{at}: {first_problem(error)}") from error
    except RecursionError as error:
        raise UserError(f"{where} is nested too deep") from error


def first_problem(error: ValidationError) -> str:
    """The first thing that is wrong, with the field it is wrong in."""
    first = error.errors()[0]
    field = ".".join(map(str, first["loc"])) or "the document"
    return f"{field}: {_what(first)}"


def _what(error: ErrorDetails) -> str:
    if error["type"] == "union_tag_invalid":
        context = error["ctx"]
        known = [name.strip(" '") for name in context["expected_tags"].split(",")]
        return f"there is no {context['tag']!r}; {_nearest(context['tag'], known)}"
    if error["type"] == "union_tag_not_found":
        return f"it must say its kind, as {error['ctx']['discriminator']}"
    if error["type"] == "string_pattern_mismatch":
        return f"it must fit {error['ctx']['pattern']}"
    return _PLAIN.get(error["type"]) or error["msg"].removeprefix("Value error, ")


def _nearest(given: str, known: Sequence[str]) -> str:
    near = get_close_matches(given, known, n=1, cutoff=0.5)
    return f"the nearest is {near[0]!r}" if near else f"there are {', '.join(known)}"


def line_at(node: yaml.Node | None, loc: Sequence[int | str]) -> int:
    """The line of the place that is meant, or of the last one on the way there that the document has.

    `node` is the document, composed; `loc` the keys and numbers (from 0) that lead there.
    """
    line = node.start_mark.line if node else 0
    for step in loc:
        if isinstance(node, yaml.MappingNode):
            found = next(((key, value) for key, value in node.value if key.value == str(step)), None)
            if found:  # a step that is no key names the kind that pydantic chose
                line, node = found[0].start_mark.line, found[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            line = node.start_mark.line
    return line + 1
