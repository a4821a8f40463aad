"""The node: formatted once, then started, stopped and killed on the same log."""

import subprocess
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path

from engines.kafka.jars import classpath, missing
from engines.server import Server, accepts, free_port

__all__ = ["ApacheKafka", "missing"]

_HERE = Path(__file__).parent


class ApacheKafka(Server):
    """A broker and controller in one process, its log in `path`; `bootstrap` is its address.

    `more` are lines of its server.properties; `listeners`, by name, are opened beside the plain one, each on
    a port of `ports`; `users` (name -> password) may log in by SCRAM-SHA-512. `command` is for
    whoever starts it otherwise.
    """

    def __init__(
        self,
        path: Path,
        *,
        more: Sequence[str] = (),
        listeners: Sequence[str] = (),
        users: Mapping[str, str] | None = None,
    ) -> None:
        port, controller = free_port(), free_port()
        self.bootstrap = f"127.0.0.1:{port}"
        self.ports = {name: free_port() for name in listeners}
        beside = "".join(f",{name}://127.0.0.1:{at}" for name, at in self.ports.items())
        properties = path / "server.properties"
        properties.write_text(
            (_HERE / "server.properties").read_text()
            + f"listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}{beside}\n"
            + f"controller.quorum.bootstrap.servers=127.0.0.1:{controller}\n"
            + f"log.dirs={path / 'log'}\n"
            + "".join(f"{line}\n" for line in more)
        )
        java = ["java", "-Xmx512m", "-Xms256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        java += [f"-Dlog4j2.configurationFile={_HERE / 'log4j2.properties'}", "-cp", classpath()]
        # A first byte of zero: an id that began with "-" would be read as an option, once in 64 times.
        cluster = urlsafe_b64encode(b"\0" + uuid.uuid4().bytes[1:]).decode().rstrip("=")
        form = [
            *java,
            "kafka.tools.StorageTool",
            "format",
            "--standalone",
            "-t",
            cluster,
            "-c",
            str(properties),
        ]
        for name, password in (users or {}).items():
            form += ["--add-scram", f"SCRAM-SHA-512=[name={name},password={password}]"]
        subprocess.run(form, check=True, capture_output=True)
        self.command = [*java, "kafka.Kafka", str(properties)]
        super().__init__(self.command, path / "kafka.log", lambda: accepts(port))
