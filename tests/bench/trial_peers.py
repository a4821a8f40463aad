"""Inspect AI and promptfoo, running the trivial agent as a command; each installed apart, below .cache."""

import json
import os
import shutil
from abc import abstractmethod
from pathlib import Path
from typing import Protocol

from bench.installed import CACHE, PYTHON, Unavailable, environment, run

INSPECT = "inspect-ai==0.3.285"
PROMPTFOO = ("promptfoo@0.123.1", "node@22")  # with the Node that it asks for


class Peer(Protocol):
    """Another harness."""

    name: str

    @abstractmethod
    def seconds(self, tree: Path, model: str, trials: int, at_once: int) -> float:
        """Wall time of so many trials, without the start and the end of the harness itself.

        Raises:
            Unavailable: when it cannot be installed or run.
        """


class Inspect:
    """Inspect AI: a solver that runs the command in its sandbox `local`, which isolates nothing."""

    name = "Inspect AI, sandbox local (no isolation)"

    def seconds(self, tree: Path, model: str, trials: int, at_once: int) -> float:
        """See Peer."""
        home = environment("inspect", INSPECT)
        task = Path(__file__).with_name("inspect_task.py")
        command = [f"{home}/bin/python", str(task), PYTHON, str(tree), str(trials), str(at_once)]
        return float(run(command, cwd=tree, env=surroundings(model)).split()[-1])


class Promptfoo:
    """promptfoo: its provider `exec`, which runs a command for each test, as it is."""

    name = "promptfoo, exec provider (no isolation)"

    def seconds(self, tree: Path, model: str, trials: int, at_once: int) -> float:
        """See Peer."""
        home = CACHE / "promptfoo"
        if not (home / "ready").exists():
            if not (npm := shutil.which("npm")):
                raise Unavailable("there is no npm")
            home.mkdir(parents=True, exist_ok=True)
            skip = {"PUPPETEER_SKIP_DOWNLOAD": "1", "PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD": "1"}
            quiet = ("--no-audit", "--no-fund", "--silent", "--prefix", str(home))
            run([npm, "install", *quiet, *PROMPTFOO], env={**os.environ, **skip})
            (home / "ready").touch()
        tests = [
            {"vars": {"ask": f"anything {n}"}, "assert": [{"type": "contains", "value": "ok"}]}
            for n in range(trials)
        ]
        command = f"exec:{PYTHON} -S -E {tree}/trivial_agent.py"
        config = {"prompts": ["{{ask}}"], "providers": [command], "tests": tests}
        (tree / "promptfooconfig.json").write_text(json.dumps(config))
        bin_ = home / "node_modules" / ".bin"
        options = ("--no-cache", "--no-write", "--no-table", "--no-progress-bar", "-j", str(at_once))
        output = tree / "promptfoo.json"
        own = {"PROMPTFOO_DISABLE_TELEMETRY": "1", "PROMPTFOO_DISABLE_UPDATE": "1"}
        path = {"PATH": f"{bin_}:{os.environ['PATH']}", "PROMPTFOO_CONFIG_DIR": str(home / "config")}
        argv = [str(bin_ / "promptfoo"), "eval", "-c", "promptfooconfig.json", "-o", str(output), *options]
        run(argv, cwd=tree, env=surroundings(model) | own | path)
        return float(json.loads(output.read_text())["results"]["stats"]["evaluationDurationMs"]) / 1000


def surroundings(model: str) -> dict[str, str]:
    """What the agent needs, on top of this process's variables."""
    endpoints = {"ANTHROPIC_BASE_URL": model, "OTEL_EXPORTER_OTLP_ENDPOINT": model}
    return {**os.environ, **endpoints, "ANTHROPIC_API_KEY": "none"}


PEERS: tuple[Peer, ...] = (Inspect(), Promptfoo())
