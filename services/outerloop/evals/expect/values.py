"""Values: what a value inside a tool call's arguments, or a JSON answer, must be; and where it stands."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import Field, model_validator

from outerloop.evals.expect.base import short
from outerloop.evals.expect.patterns import Pattern, found
from outerloop.evals.expect.schemas import Schema, unfit
from outerloop.evals.jsonvalue import canonical
from outerloop.runtime.documents import Document

# As in `address.city` or `items.0.sku`; `*` stands for any element or field.
Path = Annotated[str, Field(pattern=r"^[^.]+(\.[^.]+)*$")]


class Value(Document):
    """What a value must be: all that is given must hold. For null say `one_of: [null]`."""

    equals: Any = None
    matches: Pattern | None = None
    one_of: Annotated[tuple[Any, ...], Field(min_length=1)] | None = None
    at_least: float | None = None
    at_most: float | None = None
    json_schema: Schema | None = None

    @model_validator(mode="after")
    def _asks_something(self) -> "Value":
        if not self.model_dump(exclude_none=True):
            raise ValueError("say equals, matches, one_of, at_least, at_most or json_schema")
        return self

    @property
    def words(self) -> str:
        """As the end of "the value …"."""
        said = [
            f"equals {canonical(self.equals)}" if self.equals is not None else "",
            f"matches {self.matches!r}" if self.matches is not None else "",
            f"is one of {', '.join(map(canonical, self.one_of))}" if self.one_of else "",
            f"is at least {self.at_least:g}" if self.at_least is not None else "",
            f"is at most {self.at_most:g}" if self.at_most is not None else "",
            f"fits {canonical(self.json_schema)}" if self.json_schema is not None else "",
        ]
        return " and ".join(filter(None, said))

    def fits(self, value: Any) -> bool:
        """Whether the value is one."""
        if self.equals is not None and canonical(value) != canonical(self.equals):
            return False
        if self.one_of is not None and canonical(value) not in map(canonical, self.one_of):
            return False
        if self.matches is not None and not found(self.matches, _text(value)):
            return False
        return self._in_range(value) and (self.json_schema is None or not unfit(self.json_schema, value))

    def _in_range(self, value: Any) -> bool:
        if self.at_least is None and self.at_most is None:
            return True
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return (self.at_least is None or value >= self.at_least) and (
            self.at_most is None or value <= self.at_most
        )


def at(value: Any, path: str) -> Iterator[Any]:
    """The values at a path; none, when there is no such place."""
    step, _, rest = path.partition(".")
    for inner in _inside(value, step):
        yield from at(inner, rest) if rest else (inner,)


def fit(where: Mapping[str, Value], value: Any) -> bool:
    """Whether at every path there is a value that fits."""
    return all(any(wanted.fits(found) for found in at(value, path)) for path, wanted in where.items())


def in_words(where: Mapping[str, Value]) -> list[str]:
    """A clause for each path."""
    return [f"{path} that {short(value.words)}" for path, value in where.items()]


def _inside(value: Any, step: str) -> Iterator[Any]:
    if isinstance(value, dict):
        if step == "*":
            yield from value.values()
        elif step in value:
            yield value[step]
    elif isinstance(value, list):
        if step == "*":
            yield from value
        elif step.isdecimal() and int(step) < len(value):
            yield value[int(step)]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else canonical(value)
