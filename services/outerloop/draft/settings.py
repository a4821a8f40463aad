"""Settings of draft."""

from typing import Annotated

from pydantic import Field

from outerloop.runtime.settings import Settings


class DraftSettings(Settings):
    """See the descriptions; `outerloop settings` prints them."""

    draft_exemplars: Annotated[int, Field(ge=1, description="failing traces looked at for a draft")] = 50
    draft_healthy: Annotated[int, Field(ge=1, description="healthy traces looked at for a draft")] = 500
    draft_others: Annotated[int, Field(ge=0, description="failures of other modes looked at")] = 200
    draft_margin: Annotated[
        float,
        Field(ge=0.1, le=0.4, description="how far an eval may fall below its closing: critical .1, cold .4"),
    ] = 0.25
