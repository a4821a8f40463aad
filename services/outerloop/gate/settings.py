"""Settings of gate."""

from typing import Annotated

from pydantic import Field

from outerloop.runtime.settings import ModelSettings


class GateSettings(ModelSettings):
    """See the descriptions; `outerloop settings` prints them."""

    gate_trials_at_once: Annotated[int, Field(ge=1, description="trials that run side by side")] = 2
    gate_model_calls: Annotated[int, Field(ge=1, description="model calls that one trial may make")] = 50
