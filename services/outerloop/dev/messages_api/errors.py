"""The API's errors: a status, a type, a message, and the body they travel in."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    529: "overloaded_error",
}
_RETRYABLE = frozenset({429, 500, 529})
_NONE: Mapping[str, str] = MappingProxyType({})


class ApiError(Exception):
    """An answer other than 200. Its error type follows from `status`; `details` are for programs."""

    def __init__(
        self,
        status: int,
        message: str,
        headers: Mapping[str, str] = _NONE,
        details: Mapping[str, str] = _NONE,
    ) -> None:
        super().__init__(message)
        self.details = details
        self.status = status
        self.message = message
        # The real API tells SDKs outright whether a retry makes sense, and they obey.
        self.headers = {"x-should-retry": "true" if status in _RETRYABLE else "false", **headers}

    def body(self, request_id: str) -> dict[str, Any]:
        """The JSON that every failed request gets."""
        error: dict[str, Any] = {"type": _TYPES.get(self.status, _TYPES[400]), "message": self.message}
        if self.details:
            error["details"] = dict(self.details)
        return {"type": "error", "error": error, "request_id": request_id}


def invalid(message: str) -> ApiError:
    """A 400, by far the most frequent."""
    return ApiError(400, message)
