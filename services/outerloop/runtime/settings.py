"""Settings from the environment (OUTERLOOP_*): the only place that reads it.

A value that does not fit, and a name that nobody knows, are refused at start with the variable's name.
"""

import difflib
import os
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import AfterValidator, Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from outerloop.runtime.connections import ClickHouseConnection, KafkaConnection
from outerloop.runtime.errors import UserError

PREFIX = "OUTERLOOP_"
# Set for an agent by a trial, or for the tests; never settings of a service.
_FOREIGN = {"OUTERLOOP_TOOLS_URL"}
S = TypeVar("S", bound="Settings")


def _agents(text: str) -> str:
    for item in filter(None, text.split(",")):
        name, _, url = item.partition("=")
        if not name or not url:
            raise ValueError(f"must be NAME=REPOSITORY[#BRANCH][,…], got {item!r}")
    return text


class Settings(KafkaConnection, ClickHouseConnection):
    """What every service needs; a service's own settings extend it."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    http_host: Annotated[str, Field(description="where /healthz, /readyz and /metrics listen")] = "127.0.0.1"
    http_port: Annotated[int, Field(ge=0, le=65535, description="0: nowhere")] = 0
    agents: Annotated[
        str,
        NoDecode,
        AfterValidator(_agents),
        Field(description="NAME=REPOSITORY[#BRANCH][,…]: git URL of each agent"),
    ] = ""
    cache: Annotated[Path, Field(description="working copies; may be lost at any time")] = Path(
        ".outerloop/cache"
    )
    clickhouse_log_days: Annotated[
        int,
        Field(
            ge=0, le=36500, description="for ClickHouse's own logs without a TTL, set by migrate; 0: as it is"
        ),
    ] = 14
    retries: Annotated[int, Field(ge=0, description="before a message is dead-lettered")] = 3
    log_level: Annotated[
        str, Field(pattern=r"^(DEBUG|INFO|WARNING|ERROR)$", description="DEBUG, INFO, WARNING or ERROR")
    ] = "INFO"
    log_format: Annotated[
        str, Field(pattern=r"^(text|json)$", description="text, or json: an object a line")
    ] = "text"

    otlp_endpoint: Annotated[
        str,
        Field(
            validation_alias="OTEL_EXPORTER_OTLP_ENDPOINT",
            description="URL that the services' own traces go to, by OTLP over HTTP; empty: nowhere",
        ),
    ] = ""

    def repositories(self) -> dict[str, tuple[str, str]]:
        """Agent -> git URL of its repository and the branch that is released from."""
        pairs = (item.partition("=") for item in self.agents.split(",") if item)
        split = ((name, url.partition("#")) for name, _, url in pairs)
        return {name: (url, branch or "main") for name, (url, _, branch) in split}


class ModelSettings(Settings):
    """For the services that ask a model, or run an agent that does."""

    # A file of variables names those that nobody has filled in, too: an empty path would be this folder.
    @field_validator(
        "anthropic_api_key",
        "anthropic_base_url",
        "agent_environment",
        "gate_signing_key",
        mode="before",
        check_fields=False,
    )
    @classmethod
    def _empty_is_unset(cls, value: object, info: ValidationInfo) -> object:
        return cls.model_fields[str(info.field_name)].default if value == "" else value

    anthropic_api_key: Annotated[SecretStr | None, Field(validation_alias="ANTHROPIC_API_KEY")] = None
    anthropic_base_url: Annotated[str, Field(validation_alias="ANTHROPIC_BASE_URL")] = (
        "https://api.anthropic.com"
    )
    trial_seconds: Annotated[float, Field(gt=0, description="after which a run of the agent is stopped")] = (
        120.0
    )
    checks_seconds: Annotated[
        float, Field(gt=0, description="after which a run of an agent's own tests is stopped")
    ] = 600.0
    sandbox: Annotated[
        str,
        Field(
            pattern=r"^(bubblewrap|kubernetes|none)$",
            description="bubblewrap, kubernetes, or none: no isolation at all",
        ),
    ] = "bubblewrap"
    agent_environment: Annotated[
        Path | None, Field(description="Python environment that agents run in; default: this one")
    ] = None
    package_index: Annotated[
        str, Field(description="URL that agents' lock files are installed from; default: uv's own")
    ] = ""
    trial_start_seconds: Annotated[
        float | None, Field(gt=0, description="within which a sandbox must stand; default: 20, of pods 180")
    ] = None
    trial_image: Annotated[str, Field(description="image of trials' pods: this version of outerloop")] = ""
    trial_runtime_class: Annotated[
        str | None, Field(description="RuntimeClass of trials' pods (gvisor, kata); empty: the node's own")
    ] = None
    trial_namespace: Annotated[
        str, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$", description="where trials' pods run")
    ] = "outerloop-trials"
    trial_cpu: Annotated[
        str,
        Field(
            pattern=r"^(0\.[0-9]{0,2}[1-9]|[1-9][0-9]*(\.[0-9]{1,3}|m)?)$",
            description="CPUs of a trial's pod",
        ),
    ] = "1"
    trial_host: Annotated[str, Field(description="where trials' pods reach this worker: its pod's IP")] = ""
    trial_port: Annotated[int, Field(ge=0, le=65535, description="0: any that is free")] = 0
    kubernetes_api: Annotated[str, Field(description="URL of the Kubernetes API")] = (
        "https://kubernetes.default.svc"
    )
    kubernetes_account: Annotated[
        Path, Field(description="directory with the service account's token and ca.crt")
    ] = Path("/var/run/secrets/kubernetes.io/serviceaccount")


def load(kind: type[S]) -> S:
    """The settings of one service, read once, at start.

    Raises:
        UserError: naming the variable and what is wrong with it.
    """
    _refuse_unknown()
    try:
        return kind()
    except ValidationError as error:
        first = error.errors()[0]
        if not first["loc"]:  # two values that contradict each other: the sentence names their variables
            raise UserError(first["msg"].removeprefix("Value error, ")) from error
        field = str(first["loc"][0])
        variable = field if field.isupper() else PREFIX + field.upper()
        raise UserError(f"{variable}: {first['msg']} (got {first.get('input')!r})") from error


def known_variables() -> dict[str, str]:
    """Every OUTERLOOP_* variable that any loaded service understands, with its description."""
    found: dict[str, str] = {}
    for kind in _all_kinds(Settings):
        for name, field in kind.model_fields.items():
            if not field.validation_alias:
                found[PREFIX + name.upper()] = field.description or ""
    return found


def _refuse_unknown() -> None:
    known = known_variables()
    for variable in os.environ:
        if variable.startswith(PREFIX) and variable not in known and not _is_foreign(variable):
            names = [name.removeprefix(PREFIX) for name in known]
            near = difflib.get_close_matches(variable.removeprefix(PREFIX), names, n=1)
            hint = f"did you mean {PREFIX}{near[0]}?" if near else "`outerloop settings` lists them"
            raise UserError(f"{variable}: there is no such setting; {hint}")


def _is_foreign(variable: str) -> bool:
    return variable in _FOREIGN or variable.startswith("OUTERLOOP_TEST_")


def _all_kinds(kind: type[Settings]) -> list[type[Settings]]:
    return [kind, *(k for sub in kind.__subclasses__() for k in _all_kinds(sub))]
