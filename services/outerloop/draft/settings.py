"""Settings of draft."""

from typing import Annotated

from pydantic import Field, model_validator

from outerloop.runtime.settings import Settings


class DraftSettings(Settings):
    """See the descriptions; `outerloop settings` prints them."""

    draft_exemplars: Annotated[int, Field(ge=1, description="failing traces looked at for a draft")] = 50
    draft_healthy: Annotated[int, Field(ge=1, description="healthy traces looked at for a draft")] = 500
    draft_others: Annotated[int, Field(ge=0, description="failures of other modes looked at")] = 200
    eval_trials: Annotated[int, Field(ge=1, description="runs that a new eval asks for")] = 5
    eval_passes: Annotated[int, Field(ge=1, description="how many of them must pass")] = 4

    @model_validator(mode="after")
    def _possible(self) -> "DraftSettings":
        if self.eval_passes > self.eval_trials:
            raise ValueError("OUTERLOOP_EVAL_PASSES cannot be more than OUTERLOOP_EVAL_TRIALS")
        return self
