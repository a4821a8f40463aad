"""Settings of triage."""

from typing import Annotated

from pydantic import Field

from outerloop.runtime.settings import Settings


class TriageSettings(Settings):
    """See the descriptions; `outerloop settings` prints them."""

    mode_opens_at: Annotated[
        int, Field(ge=1, description="failing traces with one cause before an eval is drafted for it")
    ] = 3
    triage_batch: Annotated[int, Field(ge=1, description="traces judged at a time")] = 100
