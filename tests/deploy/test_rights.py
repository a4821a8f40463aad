"""Each service with the rights in Kafka that the chart gives it: it can do its work, and nobody else's.

On Apache Kafka with TLS, SCRAM and its own authorizer.
"""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from engines.chart import CHART, rendered
from engines.kafka import missing
from engines.kafka.rights import grant
from engines.kafka.secured import Authority, secured
from outerloop.cli import kafka
from outerloop.cli.service import load_services
from outerloop.runtime.bus import Bus
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.errors import OutageError
from outerloop.runtime.settings import Settings
from outerloop.runtime.topics import dead_letter_topic, spec_of, topics
from outerloop.store.migrate import migrate
from unit.test_contracts import DECLARED

pytestmark = pytest.mark.asyncio(loop_scope="module")

SERVICES = load_services()
USERS = {f"ol-outerloop-{name}": f"password-of-{name}" for name in SERVICES}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def where(tmp_path_factory: pytest.TempPathFactory, chdb: str) -> AsyncIterator[dict[str, Any]]:
    """Settings of every service, but for who it is: its topics are there, and users have their rights."""
    if reason := missing():
        pytest.skip(f"Apache Kafka cannot run here: {reason}")
    users = [o for o in rendered(CHART / "ci" / "strimzi-values.yaml") if o["kind"] == "KafkaUser"]
    authority = Authority(tmp_path_factory.mktemp("authority"))
    authority.make()
    node = secured(tmp_path_factory.mktemp("kafka"), authority, USERS)
    node.start()
    letters = [dead_letter_topic(t, name) for name, app in SERVICES.items() for t in app.CONSUMES]
    await kafka.create_topics(Settings(kafka=node.bootstrap), dict.fromkeys([*topics(), *letters], 1), 1)
    await grant(node.bootstrap, users)
    given: dict[str, Any] = {
        "kafka": f"127.0.0.1:{node.ports['SASL_SSL']}",
        "kafka_security": "SASL_SSL",
        "kafka_ca": authority.ca,
        "clickhouse": chdb,
        "clickhouse_database": f"rights_{uuid.uuid4().hex[:8]}",
    }
    tables = {name: given[name] for name in ("clickhouse", "clickhouse_database")}
    await migrate(Settings(**tables))
    yield given
    node.stop()


@pytest.mark.parametrize("name", SERVICES)
async def test_a_service_can_do_its_work_and_no_other(where: dict[str, Any], name: str) -> None:
    user = f"ol-outerloop-{name}"
    who: dict[str, Any] = {"kafka_username": user, "kafka_password": USERS[user]}
    more = {"otlp_http_port": 0, "otlp_grpc_port": 0} if name == "ingest" else {}
    settings = SERVICES[name].SETTINGS(**where, **who, **more)
    db, bus = ClickHouse(settings), Bus(settings, name)
    SERVICES[name].wire(settings, bus, db)
    async with contextlib.AsyncExitStack() as closing, bus, asyncio.timeout(90):
        closing.push_async_callback(db.close)
        consumers = [subscriber.consumer for subscriber in bus._subscribers]
        while not all(consumer.assignment() for consumer in consumers):  # noqa: ASYNC110 - of its groups
            await asyncio.sleep(0.1)
        assert {t.topic for c in consumers for t in c.assignment()} >= set(SERVICES[name].CONSUMES)
        for letters in (dead_letter_topic(topic, name) for topic in SERVICES[name].CONSUMES):
            await bus.send(letters, b"letter", None, {})
        bus._there |= set(topics())  # what it may not even see, we would not try: Kafka must refuse by itself
        for message in DECLARED:
            spec = spec_of(message)
            assert spec is not None
            if spec.writer == name:
                await bus.publish(message, because=("test",))
            else:
                with pytest.raises(OutageError, match="TopicAuthorizationFailed"):
                    await bus.publish(message, because=("test",))
