"""The chart as Helm makes it of each set of values, and where the tools are that look at it.

A tool that is not there skips what needs it, with the reason: `make deploy-tools deploy-engines` gets them.
"""

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy" / "helm" / "outerloop"
VALUES = sorted((CHART / "ci").glob("*-values.yaml"))
NEWEST = "1.37.0"


def tool(name: str) -> str:
    """Where a tool is; without it the test is skipped."""
    path = os.pathsep.join([str(ROOT / ".cache" / "tools"), os.environ.get("PATH", "")])
    found = shutil.which(name, path=path)
    if found is None:
        pytest.skip(f"no {name}: `make deploy-tools deploy-engines` gets it")
    return found


def helm(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run Helm, which reaches no network for what we ask of it."""
    return subprocess.run([tool("helm"), *arguments], check=check, capture_output=True, text=True)


@cache
def rendered(values: Path, *more: str, name: str = "ol") -> tuple[dict[str, Any], ...]:
    """The objects that the chart makes of these values and `--set` expressions."""
    sets = [part for each in more for part in ("--set", each)]
    said = helm(
        "template", name, str(CHART), "-n", "outerloop", "-f", str(values), "--kube-version", NEWEST, *sets
    )
    return tuple(document for document in yaml.safe_load_all(said.stdout) if document)
