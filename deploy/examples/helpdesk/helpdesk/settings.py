"""Settings: all that is read from the environment and from the repository's files, once, at the start."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True, slots=True)
class Settings:
    """What one process works with; `tools` are descriptions as the Messages API takes them."""

    model: str
    policy: str
    tools: list[Any]
    tools_url: str
    ledger: str
    workers: int

    @classmethod
    def load(cls, environment: Mapping[str, str] = os.environ, root: Path = ROOT) -> "Settings":
        """Reads the agent at `root`."""
        models = yaml.safe_load((root / "outerloop.yaml").read_text())["models"]
        return cls(
            model=environment.get("HELPDESK_MODEL") or models["anthropic"],
            policy=(root / "prompts" / "policy.md").read_text(),
            tools=[yaml.safe_load(path.read_text()) for path in sorted((root / "tools").glob("*.yaml"))],
            tools_url=environment.get("OUTERLOOP_TOOLS_URL", ""),
            ledger=environment.get("HELPDESK_LEDGER", ""),
            workers=int(environment.get("HELPDESK_WORKERS", "8")),
        )
