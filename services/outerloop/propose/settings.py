"""Settings of propose."""

from typing import Annotated, Literal

from pydantic import Field

from outerloop.runtime.settings import ModelSettings


class ProposeSettings(ModelSettings):
    """See the descriptions; `outerloop settings` prints them."""

    propose_model: Annotated[str, Field(description="the model that writes changes")] = "claude-sonnet-5-5"
    propose_attempts: Annotated[
        int,
        Field(
            ge=1, le=50, description="attempts that did not ship, after which a mode is parked for a person"
        ),
    ] = 8
    propose_candidates: Annotated[
        int,
        Field(ge=1, le=8, description="candidates of an attempt, by different strategies; one is proposed"),
    ] = 1
    propose_usd_per_session: Annotated[
        float, Field(gt=0, description="what one attempt may cost, all its candidates together")
    ] = 2.0
    propose_usd_per_mode: Annotated[
        float, Field(gt=0, description="what all attempts at one eval may cost; then its mode is parked")
    ] = 12.0
    propose_usd_per_day: Annotated[
        float, Field(gt=0, description="what sessions may cost on a day, for all agents together")
    ] = 200.0
    propose_trace: Annotated[
        bool, Field(description="whether sessions are traced themselves, as agent outerloop-propose")
    ] = True
    propose_provider: Annotated[
        Literal["anthropic", "bedrock", "vertex"], Field(description="anthropic, bedrock or vertex")
    ] = "anthropic"
    propose_provider_url: Annotated[
        str, Field(description="address of Bedrock or Vertex; default: by the region")
    ] = ""
