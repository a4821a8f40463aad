"""Faults on demand: what goes wrong with the next requests, set by a test while the server runs."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from outerloop.dev.messages_api.errors import ApiError

_MESSAGES = {
    "unpaid": "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to"
    " upgrade or purchase credits.",
    "blocked": "Output blocked by content filtering policy",
    "429": "This request would exceed your organization's rate limit. Please try again later.",
    "500": "Internal server error",
    "529": "Overloaded",
}


class Fault(BaseModel):
    """One fault, for the next `times` requests that it fits.

    429, 500 and 529 answer with that status (a `retry_after`, in seconds, goes into the header); `unpaid` and
    `blocked` are 400s as the API gives them where the account or what was said is refused; `hang` waits
    `seconds` before the normal answer; `cut_stream` fits streaming requests only and closes the connection
    after `after_events` events.
    """

    model_config = ConfigDict(extra="forbid")

    kind: Literal["unpaid", "blocked", "429", "500", "529", "hang", "cut_stream"]
    times: int = Field(default=1, ge=1)
    retry_after: float | None = Field(default=None, ge=0)
    seconds: float = Field(default=0, ge=0)
    after_events: int = Field(default=0, ge=0)

    def error(self) -> ApiError | None:
        """The answer in place of the model's, for the kinds that are a status."""
        if self.kind not in _MESSAGES:
            return None
        headers = {} if self.retry_after is None else {"retry-after": f"{self.retry_after:g}"}
        status = int(self.kind) if self.kind.isdigit() else 400
        return ApiError(status, _MESSAGES[self.kind], headers)


class FaultPlan(BaseModel):
    """The body of POST /_faults. It replaces what was planned before, so an empty list clears."""

    model_config = ConfigDict(extra="forbid")

    faults: list[Fault]

    def take(self, *, streaming: bool) -> Fault | None:
        """The first planned fault that fits such a request, used up by one."""
        for fault in self.faults:
            if fault.kind == "cut_stream" and not streaming:
                continue
            fault.times -= 1
            if not fault.times:
                self.faults.remove(fault)
            return fault
        return None
