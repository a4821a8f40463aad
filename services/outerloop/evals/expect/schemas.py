"""JSON Schemas (2020-12), checked without looking anything up and with RE2's patterns."""

import json
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from functools import lru_cache
from typing import Annotated, Any

from jsonschema import Draft202012Validator, validators
from jsonschema.exceptions import SchemaError, ValidationError, best_match
from pydantic import AfterValidator
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

from outerloop.evals.expect.patterns import compiled, found
from outerloop.evals.jsonvalue import canonical

# What refers to itself, or to the same again and again, must not be followed without end.
_MOST_REFERENCES = 20_000
_ENDLESS = "the schema refers to itself too often to say"
_LEFT: ContextVar[int] = ContextVar("left", default=_MOST_REFERENCES)


def _pattern(_: Any, pattern: str, instance: Any, __: Any) -> Iterator[ValidationError]:
    if isinstance(instance, str) and not found(pattern, instance):
        yield ValidationError(f"{instance[:100]!r} does not match {pattern!r}")


def _pattern_properties(
    validator: Any, patterns: Mapping[str, Any], instance: Any, _: Any
) -> Iterator[ValidationError]:
    for pattern, schema in patterns.items() if isinstance(instance, dict) else ():
        for key, value in instance.items():
            if found(pattern, key):
                yield from validator.descend(value, schema, path=key, schema_path=pattern)


def _additional(validator: Any, extra: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if not isinstance(instance, dict):
        return
    patterns = schema.get("patternProperties", {})
    for key, value in instance.items():
        if key in schema.get("properties", {}) or any(found(pattern, key) for pattern in patterns):
            continue
        if extra is False:
            yield ValidationError(f"{key[:100]!r} is one property too many")
        else:
            yield from validator.descend(value, extra, path=key)


def _ref(validator: Any, ref: str, instance: Any, _: Any) -> Iterator[ValidationError]:
    left = _LEFT.get() - 1
    _LEFT.set(left)
    if left < 0:
        raise RecursionError
    yield from Draft202012Validator.VALIDATORS["$ref"](validator, ref, instance, _)


def _unique(_: Any, wanted: Any, instance: Any, __: Any) -> Iterator[ValidationError]:
    if wanted and isinstance(instance, list) and len(set(map(canonical, instance))) < len(instance):
        yield ValidationError("its elements are not all different")


_extend: Any = validators.extend  # its stubs leave it untyped
_Validator = _extend(
    Draft202012Validator,
    {
        "pattern": _pattern,
        "patternProperties": _pattern_properties,
        "additionalProperties": _additional,
        "uniqueItems": _unique,
        "$ref": _ref,
    },
)
# These keep to Python's own regular expressions inside, or look elsewhere for what they say.
_REFUSED = ("unevaluatedProperties", "unevaluatedItems", "$dynamicRef")


def unfit(schema: Mapping[str, Any], value: Any) -> str:
    """What of the value does not fit the schema, in a clause; "" if it fits."""
    _LEFT.set(_MOST_REFERENCES)
    try:
        error = best_match(_validator(json.dumps(schema, sort_keys=True)).iter_errors(value))
    except RecursionError:
        return _ENDLESS
    if error is None:
        return ""
    where = "".join(f"[{step!r}]" for step in error.absolute_path)
    return f"{where and f'at {where}: '}{error.message[:200]}"


@lru_cache(maxsize=256)
def _validator(schema: str) -> Any:
    return _Validator(json.loads(schema), registry=Registry())


def _checked(schema: dict[str, Any]) -> dict[str, Any]:
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        where = ".".join(map(str, error.absolute_path)) or "the schema"
        raise ValueError(f"no JSON Schema: {where}: {error.message[:200]}") from error
    for key, value in _keywords(schema):
        if key in _REFUSED:
            raise ValueError(f"no JSON Schema that can be used here: {key} is not supported")
        if key == "$ref" and not str(value).startswith("#"):
            raise ValueError(f"no JSON Schema that can be used here: {value!r} is not in the schema itself")
        if key == "$ref":
            _resolved(schema, str(value))
        if key == "pattern" and isinstance(value, str):
            compiled(value)
        if key == "patternProperties" and isinstance(value, dict):
            list(map(compiled, value))
    kinds: tuple[Any, ...] = (None, {}, [], "", 0)
    if any(unfit(schema, value) == _ENDLESS for value in kinds):
        raise ValueError(f"no JSON Schema that can be used here: {_ENDLESS}")
    return schema


def _resolved(schema: dict[str, Any], reference: str) -> None:
    try:
        Registry().with_resource("", DRAFT202012.create_resource(schema)).resolver("").lookup(reference)
    except Unresolvable as error:
        raise ValueError(f"no JSON Schema: {reference!r} is not in the schema itself") from error


def _keywords(schema: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(schema, dict):
        for key, value in schema.items():
            yield key, value
            yield from _keywords(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _keywords(value)


Schema = Annotated[dict[str, Any], AfterValidator(_checked)]
