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
    model_url: str
    policy: str
    tools: list[Any]
    tools_url: str
    collector: str
    collector_seconds: float
    ledger: str
    workers: int

    @classmethod
    def load(cls, environment: Mapping[str, str] = os.environ, root: Path = ROOT) -> "Settings":
        """Reads the agent at `root`."""
        models = _yaml(root / "outerloop.yaml")["models"]
        return cls(
            model=environment.get("HELPDESK_MODEL") or models["anthropic"],
            model_url=environment.get("ANTHROPIC_BASE_URL", "https://api.anthropic.com"),
            policy=(root / "prompts" / "policy.md").read_text(),
            tools=[_yaml(path) for path in sorted((root / "tools").glob("*.yaml"))],
            tools_url=environment.get("OUTERLOOP_TOOLS_URL", ""),
            collector=environment.get("OTEL_EXPORTER_OTLP_ENDPOINT", ""),
            collector_seconds=float(environment.get("OTEL_EXPORTER_OTLP_TIMEOUT", "10")),
            ledger=environment.get("HELPDESK_LEDGER", ""),
            workers=int(environment.get("HELPDESK_WORKERS", "8")),
        )


def _yaml(path: Path) -> Any:
    return yaml.load(path.read_text(), yaml.CSafeLoader)  # five times as fast as the one written in Python
