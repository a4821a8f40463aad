"""What a sandbox is asked to run, within which limits, and what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

MIB = 1024 * 1024

Stop = Literal["", "time", "memory", "processes", "disk"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a sandboxed command may use; times in seconds, sizes in bytes.

    `seconds` are the command's own: those in which a trial waits for the model do not count.
    `memory` bounds the private memory of each process, and the resident memory of all together.
    `scratch` bounds what /tmp and /dev/shm hold each, and by how much a writable tree may grow; `file` the
    size of any one file. Of stdout and of stderr each, `output` bytes are kept: the first half and the last.
    """

    seconds: float = 120.0
    start_seconds: float = 20.0
    memory: int = 2048 * MIB
    processes: int = 256
    file: int = 256 * MIB
    scratch: int = 512 * MIB
    output: int = MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """One command to run.

    `tree` is the working directory, seen as /agent, read-only unless `writable`. `environment` is the
    Python environment whose `python` comes first on PATH. The command's variables are `env` (which wins),
    PATH, HOME, USER, LANG, and `urls`, nothing else. `urls` maps a variable to a path: given one, the
    sandbox has a loopback port, the variables hold http://127.0.0.1:PORT/path, and the port's listening
    socket is handed to the caller. `labels` (agent, trial) say what the run is for, to whoever looks at it.
    """

    argv: tuple[str, ...]
    tree: Path
    environment: Path
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    urls: Mapping[str, str] = field(default_factory=dict[str, str])
    writable: bool = False
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True)
class Completed:
    """How a command ended.

    `exit_code` is -N when signal N ended it. `stopped` says which limit the sandbox stopped it for;
    `cut` whether stdout was longer than what is kept.
    """

    exit_code: int
    stdout: bytes
    stderr: bytes
    seconds: float
    stopped: Stop = ""
    cut: bool = False

    @property
    def timed_out(self) -> bool:
        """Whether it ran into the limit on time."""
        return self.stopped == "time"

    @property
    def failure(self) -> str:
        """Why this was no orderly end, as a clause; "" when it was one."""
        if self.stopped:
            return f"it was stopped after {self.seconds:.1f} s: over its limit of {self.stopped}"
        if self.exit_code < 0:
            return f"it was ended by signal {-self.exit_code}"
        return f"it exited with code {self.exit_code}" if self.exit_code else ""
