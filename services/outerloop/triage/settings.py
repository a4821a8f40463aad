"""Settings of triage."""

from typing import Annotated, Literal

from pydantic import Field

from outerloop.runtime.settings import ModelSettings

# Whether what was learned judges once it is measured to be no worse, or once a person says so.
Adopts = Literal["measured", "ask"]


class TriageSettings(ModelSettings):
    """See the descriptions; `outerloop settings` prints them."""

    mode_opens_at: Annotated[
        int, Field(ge=1, description="failing traces with one cause before an eval is drafted for it")
    ] = 3
    triage_batch: Annotated[int, Field(ge=1, description="traces judged at a time")] = 100
    triage_model: Annotated[
        str,
        Field(description="the model that judges what leaves no sign, and names modes; empty: none is asked"),
    ] = ""
    triage_usd_per_day: Annotated[
        float, Field(ge=0, description="what that model may cost a day, all agents and workers together")
    ] = 5.0
    triage_judge_precision: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            description="of what a judge calls bad, the share that people must call so for it to decide",
        ),
    ] = 0.8
    triage_adopts: Annotated[
        Adopts,
        Field(description="a learned detector judges when it is measured to be no worse, or `ask`: a person"),
    ] = "measured"
