"""`make test-deploy`: a line a check, and a JSON line at the end: how many passed, failed, were skipped."""

import json
import sys
from pathlib import Path

import pytest


class Lines:
    """Says what became of each check as soon as it is known."""

    def __init__(self) -> None:
        self.counts = {"passed": 0, "failed": 0, "skipped": 0}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A check has passed when its call has; whatever fails or is skipped around it counts too."""
        if report.when != "call" and report.outcome == "passed":
            return
        self.counts[report.outcome] += 1
        name = report.nodeid.rpartition("/")[2]
        why = ""
        if report.outcome == "skipped" and isinstance(report.longrepr, tuple):
            why = ": " + str(report.longrepr[2]).removeprefix("Skipped: ")
        sys.stdout.write(f"{report.outcome:8} {name}{why}\n")
        if report.outcome == "failed":
            sys.stdout.write(f"{report.longreprtext}\n")
        sys.stdout.flush()


def main() -> int:
    """Run the checks; 0 when none failed."""
    lines = Lines()
    here = Path(__file__).parent
    options = ["-p", "no:terminal", "-o", "addopts="]  # the usual ones are the terminal's
    code = pytest.main([str(here), *options, *sys.argv[1:]], plugins=[lines])
    sys.stdout.write(json.dumps(lines.counts) + "\n")
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
