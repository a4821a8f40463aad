"""Faults on demand: what goes wrong with the next requests, set by a test while the server runs."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from outerloop.dev.messages_api.errors import ApiError

_MESSAGES = {
    400: "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade"
    " or purchase credits.",
    429: "This request would exceed your organization's rate limit. Please try again later.",
    500: "Internal server error",
    529: "Overloaded",
}


class Fault(BaseModel):
    """One fault, for the next `times` requests that it fits.

    429, 500 and 529 answer with that status (a `retry_after`, in seconds, goes into the header), 400 as the
    API answers who has not paid; `hang` waits `seconds` before the normal answer; `cut_stream` fits streaming
    requests only and closes the connection after `after_events` events.
    """

    model_config = ConfigDict(extra="forbid")

    kind: Literal["400", "429", "500", "529", "hang", "cut_stream"]
    times: int = Field(default=1, ge=1)
    retry_after: float | None = Field(default=None, ge=0)
    seconds: float = Field(default=0, ge=0)
    after_events: int = Field(default=0, ge=0)

    def error(self) -> ApiError | None:
        """The answer in place of the model's, for the kinds that are a status."""
        if not self.kind.isdigit():
            return None
        headers = {} if self.retry_after is None else {"retry-after": f"{self.retry_after:g}"}
        return ApiError(int(self.kind), _MESSAGES[int(self.kind)], headers)


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
