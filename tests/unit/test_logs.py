"""Log lines that a collector can read."""

import json
import logging

from outerloop.runtime.logs import JsonLines


def line(**more: object) -> dict[str, object]:
    record = logging.getLogger("outerloop.x").makeRecord(
        "outerloop.x", logging.WARNING, "f", 1, "%d traces\nwait", (3,), None, extra=more or None
    )
    text = JsonLines("ingest").format(record)
    assert "\n" not in text
    found: dict[str, object] = json.loads(text)
    return found


def test_a_record_is_one_object_on_one_line() -> None:
    said = line()
    assert {k: said[k] for k in ("level", "service", "logger", "message")} == {
        "level": "WARNING",
        "service": "ingest",
        "logger": "outerloop.x",
        "message": "3 traces\nwait",
    }
    assert set(said) == {"time", "level", "service", "logger", "message"}


def test_fields_of_the_caller_stand_beside() -> None:
    assert line(trace_id="ab", odd={1, 2})["trace_id"] == "ab"


def test_an_error_has_its_stack() -> None:
    error = ValueError("no")
    record = logging.LogRecord("x", logging.ERROR, "f", 1, "failed", (), (ValueError, error, None))
    assert "ValueError: no" in json.loads(JsonLines("gate").format(record))["error"]
