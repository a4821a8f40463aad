"""Settings of the connections to Kafka and ClickHouse, and what the clients are told of them."""

import ssl
from pathlib import Path
from typing import Annotated, Any, Self

from aiokafka.abc import AbstractTokenProvider
from faststream.kafka.security import parse_security
from faststream.security import BaseSecurity, SASLOAuthBearer, SASLPlaintext, SASLScram256, SASLScram512
from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings

from outerloop.runtime.errors import UserError

_BY_PASSWORD = {"PLAIN": SASLPlaintext, "SCRAM-SHA-256": SASLScram256, "SCRAM-SHA-512": SASLScram512}


class KafkaConnection(BaseSettings):
    """Where Kafka is, and how it is spoken to."""

    kafka: Annotated[str, Field(description="bootstrap servers, HOST:PORT[,…]")] = "127.0.0.1:9092"
    kafka_idempotent_producer: Annotated[
        bool, Field(description="off for the embedded broker, which has none")
    ] = True
    kafka_session_timeout_ms: Annotated[int, Field(ge=1000, description="until a dead member is noticed")] = (
        10_000
    )
    kafka_instance: Annotated[
        str,
        Field(
            pattern=r"^[A-Za-z0-9._-]*$",
            description="name of this replica that outlives a restart (a pod's): it keeps its partitions",
        ),
    ] = ""
    kafka_security: Annotated[
        str,
        Field(
            pattern=r"^(PLAINTEXT|SSL|SASL_PLAINTEXT|SASL_SSL)$",
            description="PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL",
        ),
    ] = "PLAINTEXT"
    kafka_sasl_mechanism: Annotated[
        str,
        Field(
            pattern=r"^(PLAIN|SCRAM-SHA-256|SCRAM-SHA-512|OAUTHBEARER)$",
            description="PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER",
        ),
    ] = "SCRAM-SHA-512"
    kafka_username: Annotated[str, Field(description="for SASL with a password")] = ""
    kafka_password: Annotated[SecretStr | None, Field(description="for SASL with a password")] = None
    kafka_token_file: Annotated[
        Path | None,
        Field(description="OAUTHBEARER: file with the token, read for each connection; a sidecar renews it"),
    ] = None
    kafka_ca: Annotated[Path | None, Field(description="PEM of who signs Kafka's certificates")] = None
    kafka_certificate: Annotated[Path | None, Field(description="PEM of our own certificate (mTLS)")] = None
    kafka_certificate_key: Annotated[Path | None, Field(description="PEM of its private key")] = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.kafka_security.startswith("SASL") and (lacking := self._lacking()):
            raise ValueError(f"OUTERLOOP_KAFKA_SECURITY={self.kafka_security}: {lacking} must be set too")
        if (self.kafka_certificate is None) != (self.kafka_certificate_key is None):
            raise ValueError("OUTERLOOP_KAFKA_CERTIFICATE and OUTERLOOP_KAFKA_CERTIFICATE_KEY go together")
        return self

    def _lacking(self) -> str:
        if self.kafka_sasl_mechanism == "OAUTHBEARER":
            return "" if self.kafka_token_file else "OUTERLOOP_KAFKA_TOKEN_FILE"
        both = self.kafka_username and self.kafka_password
        return "" if both else "OUTERLOOP_KAFKA_USERNAME and OUTERLOOP_KAFKA_PASSWORD"

    def kafka_broker_options(self) -> dict[str, Any]:
        """What FastStream's KafkaBroker is told besides the address.

        Raises:
            UserError: when a file of a certificate cannot be used.
        """
        options: dict[str, Any] = {"security": self._security()}
        if self.kafka_token_file:
            options["sasl_oauth_token_provider"] = _TokenFile(self.kafka_token_file)
        return options

    def kafka_client_options(self) -> dict[str, Any]:
        """The same for a client of aiokafka's own, with the address; raises as kafka_broker_options."""
        options = self.kafka_broker_options()
        return {"bootstrap_servers": self.kafka, **parse_security(options.pop("security")), **options}

    def _security(self) -> BaseSecurity:
        context = self._tls() if self.kafka_security.endswith("SSL") else None
        if not self.kafka_security.startswith("SASL"):
            return BaseSecurity(ssl_context=context)
        if self.kafka_sasl_mechanism == "OAUTHBEARER":
            return SASLOAuthBearer(ssl_context=context)
        password = self.kafka_password.get_secret_value() if self.kafka_password else ""
        return _BY_PASSWORD[self.kafka_sasl_mechanism](self.kafka_username, password, ssl_context=context)

    def _tls(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=self.kafka_ca)
        except (OSError, ssl.SSLError) as error:
            raise UserError(f"OUTERLOOP_KAFKA_CA: {self.kafka_ca}: {error}") from error
        if self.kafka_certificate and self.kafka_certificate_key:
            try:
                context.load_cert_chain(self.kafka_certificate, self.kafka_certificate_key)
            except (OSError, ssl.SSLError) as error:
                raise UserError(f"OUTERLOOP_KAFKA_CERTIFICATE: {self.kafka_certificate}: {error}") from error
        return context


class ClickHouseConnection(BaseSettings):
    """Where ClickHouse is, and as whom it is asked."""

    clickhouse: Annotated[str, Field(description="HTTP(S) address of ClickHouse")] = "http://127.0.0.1:8123"
    clickhouse_database: Annotated[
        str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", description="database that `migrate` makes")
    ] = "outerloop"
    clickhouse_username: Annotated[str, Field(description="empty: the server's default user")] = ""
    clickhouse_password: Annotated[SecretStr | None, Field(description="of that user")] = None
    clickhouse_ca: Annotated[Path | None, Field(description="PEM of who signs ClickHouse's certificate")] = (
        None
    )

    def clickhouse_options(self) -> dict[str, Any]:
        """What clickhouse-connect is told besides address and database."""
        options: dict[str, Any] = {}
        if self.clickhouse_username:
            options["username"] = self.clickhouse_username
        if self.clickhouse_password:
            options["password"] = self.clickhouse_password.get_secret_value()
        if self.clickhouse_ca:
            options["ca_cert"] = str(self.clickhouse_ca)
        return options


class _TokenFile(AbstractTokenProvider):  # type: ignore[misc]  # aiokafka has no types
    """The token as the file has it now: whoever writes it (a kubelet, a sidecar) keeps it fresh."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def token(self) -> str:
        return self._path.read_text().strip()
