"""The node: formatted once, then started, stopped and killed on the same log."""

import subprocess
import uuid
from base64 import urlsafe_b64encode
from pathlib import Path

from engines.kafka.jars import classpath, missing
from engines.server import Server, accepts, free_port

__all__ = ["ApacheKafka", "missing"]

_HERE = Path(__file__).parent


class ApacheKafka(Server):
    """A broker and controller in one process, its log in `path`; `bootstrap` is its address."""

    def __init__(self, path: Path) -> None:
        port, controller = free_port(), free_port()
        self.bootstrap = f"127.0.0.1:{port}"
        properties = path / "server.properties"
        properties.write_text(
            (_HERE / "server.properties").read_text()
            + f"listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n"
            + f"controller.quorum.bootstrap.servers=127.0.0.1:{controller}\n"
            + f"log.dirs={path / 'log'}\n"
        )
        java = ["java", "-Xmx512m", "-Xms256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        java += [f"-Dlog4j2.configurationFile={_HERE / 'log4j2.properties'}", "-cp", classpath()]
        cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        subprocess.run(
            [*java, "kafka.tools.StorageTool", "format", "--standalone", "-t", cluster, "-c", properties],
            check=True,
            capture_output=True,
        )
        super().__init__([*java, "kafka.Kafka", str(properties)], path / "kafka.log", lambda: accepts(port))
