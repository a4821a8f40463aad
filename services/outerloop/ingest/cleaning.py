"""Redaction by the settings: what comes in, as protobuf and without what must not be stored."""

from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from outerloop.ingest.core.redact import Policy, Redactor
from outerloop.ingest.settings import IngestSettings
from outerloop.runtime import metrics
from outerloop.runtime.errors import UserError
from outerloop.trace.otlp import decode_logs, decode_traces, is_json

_RULES = {"patterns", "names"}


class Cleaner:
    """Cleans requests; of use to many threads at once."""

    def __init__(self, settings: IngestSettings) -> None:
        """Compile what the settings ask for.

        Raises:
            UserError: when the team's own rules are none.
        """
        try:
            self._redactor = Redactor(_policy(settings))
        except ValueError as error:
            raise UserError(f"OUTERLOOP_REDACT_RULES ({settings.redact_rules}): {error}") from error

    def traces(self, payload: bytes) -> bytes:
        """A trace request in protobuf, from protobuf or JSON, redacted.

        Raises:
            PoisonError: when it is JSON and no such request, or something must go and it is none.
        """
        if is_json(payload):
            payload = decode_traces(payload).SerializeToString()
        return _counted(*self._redactor.traces(payload))

    def logs(self, payload: bytes) -> bytes:
        """A log request; as traces."""
        if is_json(payload):
            payload = decode_logs(payload).SerializeToString()
        return _counted(*self._redactor.logs(payload))


def _counted(payload: bytes, found: Counter[str]) -> bytes:
    for name, count in found.items():
        metrics.REDACTED.labels(name).inc(count)
    return payload


def _policy(settings: IngestSettings) -> Policy:
    kinds = {part.strip() for part in settings.redact.split(",")}
    rules = _rules(settings.redact_rules) if settings.redact_rules else {}
    return Policy(
        credentials="credentials" in kinds,
        cards="cards" in kinds,
        emails="emails" in kinds,
        phones="phones" in kinds,
        phone_regions=tuple(filter(None, settings.redact_phone_regions.split(","))),
        patterns=rules.get("patterns", {}),
        names=tuple(rules.get("names", ())),
        key=settings.redact_key.get_secret_value().encode(),
    )


def _rules(file: Path) -> dict[str, Any]:
    try:
        rules = yaml.safe_load(file.read_text("utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ValueError(f"is not YAML: {error}") from error
    if not isinstance(rules, dict) or not set(rules) <= _RULES:
        raise ValueError("must have patterns and names, and nothing else")
    patterns, names = rules.get("patterns", {}), rules.get("names", [])
    if not isinstance(patterns, dict) or not all(isinstance(v, str) for kv in patterns.items() for v in kv):
        raise ValueError("patterns must be a mapping of names to regular expressions")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError("names must be a list of names of attributes")
    return rules
