"""Schema: the JSON Schema of eval.yaml, and of what lies beside it; published as `eval.schema.json`."""

import json

from pydantic.json_schema import models_json_schema

from outerloop.evals.heldout import Variant
from outerloop.evals.model import Eval, RecordedCall

_ABOUT = "eval.yaml; Variant is variant.yaml of a held-out one, RecordedCall a line of cassette.jsonl"


def schema_text() -> str:
    """The schema as it is published: of an eval, with Variant and RecordedCall among its definitions."""
    _, schema = models_json_schema([(kind, "validation") for kind in (Eval, Variant, RecordedCall)])
    for kind in schema["$defs"].values():
        if "check" in kind.get("properties", {}):  # it has a default in Python only
            kind["properties"]["check"].pop("default", None)
            kind["required"] = ["check", *kind.get("required", [])]
    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "An eval of outerloop",
        "description": _ABOUT,
        "$ref": "#/$defs/Eval",
        **schema,
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
