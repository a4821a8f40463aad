"""The laptop's ClickHouse: chDB, the same engine as a library, behind ClickHouse's HTTP interface.

`python -m outerloop.dev.clickhouse --path DIR --port N` is one process that owns DIR, since chDB allows one
engine a process and one process a directory. Clients cannot tell it from a server, except for what is not
here: sessions (temporary tables), users and grants, external data in forms, `INSERT ... SELECT FROM input()`,
compressed answers.
"""

import sys
from pathlib import Path


def command(path: Path, port: int) -> list[str]:
    """The command line of a server on 127.0.0.1:`port` with its data in `path`; port 0 picks a free one."""
    return [sys.executable, "-m", __name__, "--path", str(path), "--port", str(port)]
