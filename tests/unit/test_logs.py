"""Log lines that a collector can read."""

import json
import logging

from outerloop.runtime.logs import JsonLines, TextLines


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


HOSTILE = "no\n2026-01-01 INFO gate: shipped\x1b[2J\x9b31m \u202eegnahc\u2066 \U000e0041 \r\t\u2028 Grüße 😀"


def hostile() -> logging.LogRecord:
    error = ValueError(HOSTILE)
    return logging.LogRecord(
        "x", logging.ERROR, "f", 1, "attempt 1: %s", (HOSTILE,), (ValueError, error, None)
    )


def test_what_a_model_or_a_trace_says_steers_no_terminal_and_is_no_line_of_its_own() -> None:
    text = TextLines("propose").format(hostile())
    first, *others = text.split("\n")
    assert first.endswith(" ERROR propose x: attempt 1: no")
    assert all(line.startswith("    ") for line in others)
    assert "ValueError: no" in text
    assert "shipped\\u001b[2J\\u009b31m \\u202eegnahc\\u2066 \\udb40\\udc41 \\r\\t\\u2028 Grüße 😀" in text
    assert all(c.isprintable() or c == "\n" for c in text)


def test_json_holds_the_same_text_and_steers_no_terminal_either() -> None:
    text = JsonLines("propose").format(hostile())
    assert text.isprintable()
    assert json.loads(text)["message"] == f"attempt 1: {HOSTILE}"
    assert "Grüße 😀" in text
