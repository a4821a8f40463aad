"""Settings of gate."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr

from outerloop.runtime.git import SigningKey
from outerloop.runtime.settings import ModelSettings


class GateSettings(ModelSettings):
    """See the descriptions; `outerloop settings` prints them."""

    gate_trials_at_once: Annotated[int, Field(ge=1, description="trials that run side by side")] = 2
    gate_model_calls: Annotated[int, Field(ge=1, description="model calls that one trial may make")] = 50
    gate_forge: Annotated[
        str,
        Field(
            pattern=r"^(github|gitlab|)$",
            description="github or gitlab, where an agent's repository is on a host of your own",
        ),
    ] = ""
    gate_forge_url: Annotated[
        str,
        Field(
            pattern=r"^(https?://.*|)$",
            description="address of its API; default: api/v3 or api/v4 on the repository's host",
        ),
    ] = ""
    gate_forge_token: Annotated[
        SecretStr | None, Field(description="opens and reads pull requests (`release.mode: pull_request`)")
    ] = None
    gate_signing_key: Annotated[
        Path | None,
        Field(description="SSH private key (ed25519 or RSA) that the gate signs its commits with"),
    ] = None
    gate_trials_ahead: Annotated[
        int, Field(ge=1, description="trials of one change that are asked for at a time, of all replicas")
    ] = 8
    gate_rollback: Annotated[
        str,
        Field(
            pattern=r"^(auto|ask)$",
            description="auto: what is proven to hurt production is undone; ask: a person is asked first",
        ),
    ] = "auto"
    gate_watch_days: Annotated[
        float, Field(gt=0, description="after a release, in which its effect on production is judged")
    ] = 14.0
    gate_deploy_minutes: Annotated[
        float,
        Field(ge=0, description="until a release runs everywhere, for agents whose traces name no commit"),
    ] = 60.0
    gate_sittings: Annotated[
        int,
        Field(ge=1, le=24, description="times that a change is tried at: providers have good and bad days"),
    ] = 2
    gate_sitting_hours: Annotated[float, Field(ge=0, description="between two of them")] = 6.0
    gate_sentinel_trials: Annotated[
        int, Field(ge=0, description="trials a day of each stratum of a suite, on the release; 0: none")
    ] = 0

    def signing_key(self) -> SigningKey | None:
        """What signs the gate's commits; None: they are not signed."""
        path = self.gate_signing_key
        return SigningKey(path, "OUTERLOOP_GATE_SIGNING_KEY") if path else None
