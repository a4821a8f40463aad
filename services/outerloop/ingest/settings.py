"""Settings of ingest."""

import ipaddress
from typing import Annotated, Self

from pydantic import AfterValidator, Field, FilePath, SecretStr, model_validator

from outerloop.runtime.settings import Settings

_MIB = 1024 * 1024
_MOST_DAYS = 36500
REDACTABLE = {"credentials", "cards", "emails", "phones"}


def _kinds(text: str) -> str:
    kinds = {part.strip() for part in text.split(",")}
    if not kinds <= REDACTABLE | {"none"} or ("none" in kinds and len(kinds) > 1):
        raise ValueError(f"must be none, or some of {', '.join(sorted(REDACTABLE))}")
    return text


def _days(text: str) -> str:
    for item in filter(None, text.split(",")):
        agent, _, days = item.rpartition("=")
        if not agent or not days.isdecimal() or int(days) > _MOST_DAYS:
            raise ValueError(f"must be AGENT=DAYS[,…], got {item!r}")
    return text


class IngestSettings(Settings):
    """See the descriptions; `outerloop settings` prints them."""

    settle_seconds: Annotated[
        float, Field(gt=0, description="silence after which a trace with its root is judged")
    ] = 5.0
    settle_rootless_seconds: Annotated[
        float, Field(gt=0, description="silence after which a trace without its root is judged")
    ] = 60.0
    ingest_batch: Annotated[int, Field(ge=1, description="Kafka records stored at a time")] = 500
    ingest_record_bytes: Annotated[
        int, Field(ge=_MIB, description="of a Kafka record, decompressed; a larger one is a dead letter")
    ] = 32 * _MIB
    retention_days: Annotated[
        int, Field(ge=0, le=_MOST_DAYS, description="after which a trace is deleted; 0: never")
    ] = 0
    retention_by_agent: Annotated[
        str,
        AfterValidator(_days),
        Field(description="AGENT=DAYS[,…]: for these agents instead; 0: never"),
    ] = ""
    otlp_host: Annotated[
        str, Field(description="where OTLP is received; other than loopback only with a token or a client CA")
    ] = "127.0.0.1"
    otlp_http_port: Annotated[int, Field(ge=0, le=65535, description="OTLP/HTTP; 0: nowhere")] = 4318
    otlp_grpc_port: Annotated[int, Field(ge=0, le=65535, description="OTLP/gRPC; 0: nowhere")] = 4317
    otlp_token: Annotated[
        SecretStr,
        Field(description="bearer token that senders must show; several, while one replaces another: A,B"),
    ] = SecretStr("")
    otlp_tls_certificate: Annotated[FilePath | None, Field(description="PEM; OTLP is received over TLS")] = (
        None
    )
    otlp_tls_key: Annotated[FilePath | None, Field(description="PEM; of that certificate")] = None
    otlp_tls_client_ca: Annotated[
        FilePath | None, Field(description="PEM; senders must show a certificate that it has signed")
    ] = None
    otlp_max_bytes: Annotated[
        int, Field(ge=1024, le=256 * _MIB, description="of a request, decompressed; more is refused")
    ] = 20 * _MIB
    otlp_pending_bytes: Annotated[
        int, Field(ge=_MIB, description="of requests that Kafka does not have yet; more must come again")
    ] = 256 * _MIB

    redact: Annotated[
        str,
        AfterValidator(_kinds),
        Field(description="what is replaced before it is stored: credentials,cards,emails,phones, or none"),
    ] = "credentials"
    redact_phone_regions: Annotated[
        str,
        Field(
            pattern=r"^([A-Z]{2}(,[A-Z]{2})*)?$", description="where phone numbers without + are from: US,DE"
        ),
    ] = ""
    redact_key: Annotated[
        SecretStr,
        Field(description="makes placeholders that nobody else can guess; the same for all replicas"),
    ] = SecretStr("")
    redact_rules: Annotated[
        FilePath | None, Field(description="YAML; patterns: {NAME: REGEX}, names: [ATTRIBUTE], of your own")
    ] = None

    def days_by_agent(self) -> dict[str, int]:
        """Agent -> days that its traces are kept."""
        pairs = (item.rpartition("=") for item in self.retention_by_agent.split(",") if item)
        return {agent: int(days) for agent, _, days in pairs}

    def tokens(self) -> list[str]:
        """The bearer tokens of which one is asked for; none: no token is."""
        return [token for part in self.otlp_token.get_secret_value().split(",") if (token := part.strip())]

    @model_validator(mode="after")
    def _not_open_to_all(self) -> Self:
        if bool(self.otlp_tls_certificate) != bool(self.otlp_tls_key):
            raise ValueError(
                "OUTERLOOP_OTLP_TLS_CERTIFICATE and OUTERLOOP_OTLP_TLS_KEY go together: set both"
            )
        if self.otlp_tls_client_ca and not self.otlp_tls_certificate:
            raise ValueError("OUTERLOOP_OTLP_TLS_CLIENT_CA needs OUTERLOOP_OTLP_TLS_CERTIFICATE")
        listens = self.otlp_http_port or self.otlp_grpc_port
        if listens and not (self.tokens() or self.otlp_tls_client_ca or _is_loopback(self.otlp_host)):
            raise ValueError(
                f"OUTERLOOP_OTLP_HOST: {self.otlp_host} can be reached by others, so set OUTERLOOP_OTLP_TOKEN"
                " (or OUTERLOOP_OTLP_TLS_CLIENT_CA), or both OTLP ports to 0"
            )
        return self


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
