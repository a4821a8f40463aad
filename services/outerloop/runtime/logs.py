"""Logs of a service: lines for people, or an object a line for whoever collects them."""

import json
import logging
from datetime import UTC, datetime
from typing import Any

# What every record of Python's has; anything else on one is a field that the caller gave by `extra=`.
_USUAL = {*logging.LogRecord("", 0, "", 0, "", (), None).__dict__, "message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """A JSON object a line: time (RFC 3339), level, service, logger, message, fields of `extra`, error."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "service": self._service,
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: value for name, value in record.__dict__.items() if name not in _USUAL}
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return _shown(json.dumps(line, default=str, ensure_ascii=False))


class TextLines(logging.Formatter):
    """A line a record, with the lines of its message or its stack below it, indented."""

    def __init__(self, service: str) -> None:
        super().__init__(f"%(asctime)s %(levelname)s {service} %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        return "\n    ".join(map(_shown, super().format(record).split("\n")))


def _shown(text: str) -> str:
    """Text without what steers a terminal: a model's words, and a trace's, are in what services log."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)


def log_to_stderr(service: str, level: str, form: str) -> None:
    """Log at `level` (a name of Python's) as "text" or "json"."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines(service) if form == "json" else TextLines(service))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # Of the client's own lines only what went wrong: it tells of every partition at every rebalance.
    logging.getLogger("aiokafka").setLevel(logging.WARNING)
