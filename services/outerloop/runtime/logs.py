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
        return json.dumps(line, default=str, ensure_ascii=False)


def log_to_stderr(service: str, level: str, form: str) -> None:
    """Log at `level` (a name of Python's) as "text" or "json"."""
    handler = logging.StreamHandler()
    text = logging.Formatter(f"%(asctime)s %(levelname)s {service} %(name)s: %(message)s")
    handler.setFormatter(JsonLines(service) if form == "json" else text)
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # Of the client's own lines only what went wrong: it tells of every partition at every rebalance.
    logging.getLogger("aiokafka").setLevel(logging.WARNING)
