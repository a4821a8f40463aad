"""Settings of draft."""

from typing import Annotated

from pydantic import Field

from outerloop.runtime.settings import ModelSettings


class DraftSettings(ModelSettings):
    """See the descriptions; `outerloop settings` prints them."""

    draft_exemplars: Annotated[int, Field(ge=1, description="failing traces looked at for a draft")] = 50
    draft_healthy: Annotated[int, Field(ge=1, description="healthy traces looked at for a draft")] = 500
    draft_others: Annotated[int, Field(ge=0, description="failures of other modes looked at")] = 200
    draft_margin: Annotated[
        float,
        Field(ge=0.1, le=0.4, description="how far an eval may fall below its closing: critical .1, cold .4"),
    ] = 0.25
    draft_model: Annotated[
        str, Field(description="the model that drafts where it can do better than rules; empty: rules alone")
    ] = ""
    draft_model_calls: Annotated[int, Field(ge=1, description="calls of that model for one draft")] = 3
    draft_tries: Annotated[
        int,
        Field(ge=1, description="evals drafted for one opening, when people reject or the base passes"),
    ] = 3
    draft_mutants: Annotated[
        float,
        Field(ge=0, le=1, description="share of runs broken on purpose that a draft must fail to be one"),
    ] = 0.25
    draft_variants: Annotated[
        int,
        Field(ge=0, le=20, description="held-out variants of an eval at most, which no proposer is shown"),
    ] = 2
    draft_trials: Annotated[
        int,
        Field(ge=0, description="runs of the base at most to see it fail a draft; 0: only the gate asks"),
    ] = 150
    draft_auto_mutants: Annotated[
        float,
        Field(ge=0, le=1, description="share of broken runs that a draft must fail to need no review (auto)"),
    ] = 1.0
