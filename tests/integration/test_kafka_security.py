"""Kafka as an SRE runs it: TLS, passwords, certificates. The clients' own settings, against Apache Kafka."""

import asyncio
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from engines.kafka import ApacheKafka, missing
from engines.kafka.secured import Authority, secured
from outerloop.cli import kafka
from outerloop.contracts.v1.failure_pb2 import ModeOpened
from outerloop.runtime.bus import Bus
from outerloop.runtime.envelope import Delivery, unpack
from outerloop.runtime.errors import OutageError
from outerloop.runtime.settings import Settings
from outerloop.runtime.topics import dead_letter_topic, topic_of

PASSWORD = "pass-word"
MODES = topic_of(ModeOpened).name


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    one = Authority(tmp_path_factory.mktemp("authority"))
    one.make()
    return one


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[ApacheKafka]:
    if reason := missing():
        pytest.skip(f"Apache Kafka cannot run here: {reason}")
    server = secured(
        tmp_path_factory.mktemp("kafka"), authority, {"triage": "pass-word"}, ["triage", "draft"]
    )
    server.start()
    yield server
    server.stop()


def by_password(node: ApacheKafka, ca: Path, password: str = PASSWORD) -> Settings:
    return Settings(
        kafka=f"127.0.0.1:{node.ports['SASL_SSL']}",
        kafka_security="SASL_SSL",
        kafka_username="triage",
        kafka_password=password,  # type: ignore[arg-type]  # pydantic makes a SecretStr of it
        kafka_ca=ca,
    )


def by_certificate(node: ApacheKafka, authority: Authority) -> Settings:
    certificate, key = authority.sign("draft")
    return Settings(
        kafka=f"127.0.0.1:{node.ports['SSL']}",
        kafka_security="SSL",
        kafka_ca=authority.ca,
        kafka_certificate=certificate,
        kafka_certificate_key=key,
        kafka_instance="draft-0",
    )


@pytest.mark.parametrize("how", ["password", "certificate"])
async def test_a_service_speaks_to_a_secured_kafka(node: ApacheKafka, authority: Authority, how: str) -> None:
    secure = by_password(node, authority.ca) if how == "password" else by_certificate(node, authority)
    group = f"g{uuid.uuid4().hex[:8]}"
    await kafka.create_topics(secure, {MODES: 1, dead_letter_topic(MODES, group): 1}, 1)
    came: asyncio.Queue[Delivery] = asyncio.Queue()

    async def take(batch: Sequence[Delivery]) -> None:
        for delivery in batch:
            came.put_nowait(delivery)

    bus = Bus(secure, group)
    bus.subscribe((MODES,), take, at_most=10)
    mode = ModeOpened(mode_id=group, agent="helpdesk")
    async with bus, asyncio.timeout(30):
        await bus.publish(mode, because=(group,))
        while unpack(await came.get(), ModeOpened) != mode:
            pass
    assert await kafka.backlog(secure, f"outerloop-{group}", [MODES]) == {MODES: 0}


@pytest.mark.parametrize("wrong", ["password", "authority"])
async def test_what_does_not_fit_is_an_outage_that_a_person_ends(
    node: ApacheKafka, authority: Authority, tmp_path: Path, wrong: str
) -> None:
    if wrong == "password":
        settings = by_password(node, authority.ca, "another")
    else:
        other = Authority(tmp_path)
        other.make()
        settings = by_password(node, other.ca)
    bus: Any = Bus(settings, "triage")
    with pytest.raises(OutageError, match="OUTERLOOP_KAFKA"):
        async with asyncio.timeout(60), bus:
            pass
