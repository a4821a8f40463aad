"""What every sign is made with."""

import json
import re

from outerloop.trace.model import ToolCall
from outerloop.trace.signal import Signal

DETAIL_CHARACTERS = 500
_ERROR_TEXT = re.compile(r"\s*(\{\s*\"error\"|error\b|traceback \(|exception\b)", re.IGNORECASE)


def signal(kind: str, subject: str, detail: str, span_id: str) -> Signal:
    """A sign whose detail is one line of bounded length."""
    return Signal(kind, subject, " ".join(detail.split())[:DETAIL_CHARACTERS], span_id)


def failed(call: ToolCall) -> bool:
    """Whether a call failed, by its span or by the first words of its result."""
    return call.failed or _ERROR_TEXT.match(call.result) is not None


def same(call: ToolCall) -> tuple[str, str, str]:
    """What makes two calls the same: tool, arguments and result, however they were written down."""
    return call.name, arguments(call), "".join(call.result.split())


def arguments(call: ToolCall) -> str:
    """The arguments of a call as JSON, in an order of their own."""
    return json.dumps(call.arguments, sort_keys=True, ensure_ascii=False, default=str)
