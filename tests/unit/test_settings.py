"""A wrong setting is refused at the start, by its own name."""

import re
from pathlib import Path

import pytest
from pydantic import model_validator

from outerloop.cli.config import OF_SERVICES
from outerloop.draft.settings import DraftSettings
from outerloop.gate.settings import GateSettings
from outerloop.ingest.settings import IngestSettings
from outerloop.runtime.errors import UserError
from outerloop.runtime.settings import Settings, known_variables, load
from outerloop.triage.settings import TriageSettings


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in known_variables():
        monkeypatch.delenv(variable, raising=False)
    for variable in ("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"):
        monkeypatch.delenv(variable, raising=False)


@pytest.mark.parametrize("kind", OF_SERVICES, ids=lambda kind: kind.__name__)
def test_a_service_starts_with_nothing_set(kind: type[Settings]) -> None:
    assert load(kind).kafka == "127.0.0.1:9092"


def test_values_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUTERLOOP_KAFKA", "k1:9092,k2:9092")
    monkeypatch.setenv("OUTERLOOP_KAFKA_IDEMPOTENT_PRODUCER", "false")
    monkeypatch.setenv("OUTERLOOP_CACHE", "/var/cache/outerloop")
    monkeypatch.setenv("OUTERLOOP_SETTLE_SECONDS", "0.5")
    settings = load(IngestSettings)
    assert (settings.kafka, settings.kafka_idempotent_producer) == ("k1:9092,k2:9092", False)
    assert (settings.cache, settings.settle_seconds) == (Path("/var/cache/outerloop"), 0.5)


@pytest.mark.parametrize(
    ("kind", "variable", "value"),
    [
        (Settings, "OUTERLOOP_RETRIES", "-1"),
        (Settings, "OUTERLOOP_RETRIES", "three"),
        (Settings, "OUTERLOOP_HTTP_PORT", "70000"),
        (Settings, "OUTERLOOP_KAFKA_IDEMPOTENT_PRODUCER", "perhaps"),
        (Settings, "OUTERLOOP_CLICKHOUSE_DATABASE", "x; DROP DATABASE default"),
        (Settings, "OUTERLOOP_LOG_LEVEL", "LOUD"),
        (Settings, "OUTERLOOP_AGENTS", "helpdesk"),
        (IngestSettings, "OUTERLOOP_SETTLE_SECONDS", "0"),
        (IngestSettings, "OUTERLOOP_OTLP_HTTP_PORT", "-1"),
        (TriageSettings, "OUTERLOOP_MODE_OPENS_AT", "0"),
        (DraftSettings, "OUTERLOOP_DRAFT_HEALTHY", "none"),
        (GateSettings, "OUTERLOOP_SANDBOX", "chroot"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, kind: type[Settings], variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(UserError, match=f"^{variable}: .*{re.escape(value)}"):
        load(kind)


@pytest.mark.parametrize(
    ("variable", "says"),
    [
        ("OUTERLOOP_KAFKAS", "did you mean OUTERLOOP_KAFKA?"),
        ("OUTERLOOP_SETTLE_SECOND", "did you mean OUTERLOOP_SETTLE_SECONDS?"),
        ("OUTERLOOP_CLICKHOUSE_DB", "did you mean OUTERLOOP_CLICKHOUSE"),
        ("OUTERLOOP_XYZZY", "`outerloop settings` lists them"),
    ],
)
def test_a_name_that_nobody_knows_is_refused(
    monkeypatch: pytest.MonkeyPatch, variable: str, says: str
) -> None:
    monkeypatch.setenv(variable, "1")
    with pytest.raises(UserError, match=f"^{variable}: there is no such setting.*{re.escape(says)}"):
        load(Settings)


def test_what_a_file_of_variables_leaves_empty_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    unset = load(GateSettings)
    names = ("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL", "OUTERLOOP_AGENT_ENVIRONMENT")
    for name in (*names, "OUTERLOOP_GATE_SIGNING_KEY"):
        monkeypatch.setenv(name, "")
    assert load(GateSettings) == unset
    assert unset.anthropic_base_url == "https://api.anthropic.com"


def test_a_variable_of_another_service_is_no_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUTERLOOP_MODE_OPENS_AT", "2")
    monkeypatch.setenv("OUTERLOOP_TEST_CLICKHOUSE", "http://ch:8123")
    monkeypatch.setenv("OUTERLOOP_TOOLS_URL", "http://127.0.0.1:1")
    assert load(DraftSettings).draft_healthy == 500
    assert load(TriageSettings).mode_opens_at == 2


def test_values_that_contradict_each_other_are_refused_by_name() -> None:
    class Contradictory(Settings):
        @model_validator(mode="after")
        def _never(self) -> "Contradictory":
            raise ValueError("OUTERLOOP_KAFKA cannot be that with OUTERLOOP_CLICKHOUSE")

    with pytest.raises(UserError, match=r"^OUTERLOOP_KAFKA cannot be that with OUTERLOOP_CLICKHOUSE$"):
        load(Contradictory)


def test_agents_are_repositories_with_a_branch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUTERLOOP_AGENTS", "helpdesk=https://git/h.git#release,airline=/srv/airline=1.git")
    assert load(Settings).repositories() == {
        "helpdesk": ("https://git/h.git", "release"),
        "airline": ("/srv/airline=1.git", "main"),
    }


def test_every_variable_says_what_it_means() -> None:
    silent = [name for name, meaning in known_variables().items() if not meaning]
    assert silent == []


def test_a_secured_kafka_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUTERLOOP_KAFKA_SECURITY", "SASL_SSL")
    monkeypatch.setenv("OUTERLOOP_KAFKA_USERNAME", "ingest")
    with pytest.raises(UserError, match="OUTERLOOP_KAFKA_USERNAME and OUTERLOOP_KAFKA_PASSWORD"):
        load(Settings)
    monkeypatch.setenv("OUTERLOOP_KAFKA_PASSWORD", "s3cret")
    settings = load(Settings)
    assert "s3cret" not in repr(settings)
    options = settings.kafka_client_options()
    assert options.pop("ssl_context")
    assert options == {
        "bootstrap_servers": "127.0.0.1:9092",
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "ingest",
        "sasl_plain_password": "s3cret",
    }


def test_half_of_a_certificate_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUTERLOOP_KAFKA_CERTIFICATE", "/tls/tls.crt")
    with pytest.raises(UserError, match="OUTERLOOP_KAFKA_CERTIFICATE_KEY"):
        load(Settings)


def test_a_certificate_that_cannot_be_read_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OUTERLOOP_KAFKA_SECURITY", "SSL")
    monkeypatch.setenv("OUTERLOOP_KAFKA_CA", str(tmp_path / "ca.pem"))
    with pytest.raises(UserError, match="OUTERLOOP_KAFKA_CA"):
        load(Settings).kafka_client_options()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3", "ingest.example.org"])  # noqa: S104 - it is refused
def test_otlp_is_not_received_from_others_without_a_token(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("OUTERLOOP_OTLP_HOST", host)
    with pytest.raises(UserError, match=f"^OUTERLOOP_OTLP_HOST: {host} can be .* set OUTERLOOP_OTLP_TOKEN"):
        load(IngestSettings)
    monkeypatch.setenv("OUTERLOOP_OTLP_TOKEN", " , ")
    with pytest.raises(UserError):
        load(IngestSettings)
    monkeypatch.setenv("OUTERLOOP_OTLP_TOKEN", "secret")
    assert load(IngestSettings).tokens() == ["secret"]
    assert "secret" not in repr(load(IngestSettings))
    monkeypatch.delenv("OUTERLOOP_OTLP_TOKEN")
    monkeypatch.setenv("OUTERLOOP_OTLP_HTTP_PORT", "0")
    monkeypatch.setenv("OUTERLOOP_OTLP_GRPC_PORT", "0")
    assert load(IngestSettings).tokens() == []


def test_a_certificate_and_its_key_go_together(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "x.pem"
    monkeypatch.setenv("OUTERLOOP_OTLP_TLS_CERTIFICATE", str(file))
    with pytest.raises(UserError, match=r"^OUTERLOOP_OTLP_TLS_CERTIFICATE: .*does not point to a file"):
        load(IngestSettings)
    file.write_text("")
    with pytest.raises(UserError, match="OUTERLOOP_OTLP_TLS_KEY go together"):
        load(IngestSettings)
    monkeypatch.delenv("OUTERLOOP_OTLP_TLS_CERTIFICATE")
    monkeypatch.setenv("OUTERLOOP_OTLP_TLS_CLIENT_CA", str(file))
    with pytest.raises(UserError, match="OUTERLOOP_OTLP_TLS_CLIENT_CA needs"):
        load(IngestSettings)
