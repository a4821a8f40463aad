"""What one run of a process has written: standard output and standard error, in one file under `logs`."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Output:
    """The part of the log at `path` that this run wrote: a restarted process goes on in the same file."""

    path: Path
    start: int

    def text(self) -> str:
        """All that the run has written so far."""
        with self.path.open("rb") as log:
            log.seek(self.start)
            return log.read().decode(errors="replace")

    def tail(self, lines: int = 15) -> str:
        """The last lines, for a report of what went wrong."""
        return "\n".join(self.text().splitlines()[-lines:])
