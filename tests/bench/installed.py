"""Other tools, to be measured beside: each in an environment of its own below .cache, when a bench asks."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".cache" / "bench"
PYTHON = str(Path(sys.prefix) / "bin" / "python")


class Unavailable(Exception):  # noqa: N818 - a state of this machine
    """The peer cannot be run here, and why."""


def run(command: list[str], cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    """What the command prints; it must end well."""
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip())[-300:]
        raise Unavailable(f"{Path(command[0]).name} exited with {done.returncode}: {said}")
    return done.stdout


def environment(name: str, requirement: str) -> Path:
    """The folder of a virtual environment with this in it; made at the first time, and when it changed.

    Raises:
        Unavailable: it cannot be installed.
    """
    home = CACHE / name
    ready = home / "ready"
    if not ready.exists() or ready.read_text() != requirement:
        run([PYTHON, "-m", "uv", "venv", "--quiet", "--clear", "--python", PYTHON, str(home)])
        run([PYTHON, "-m", "uv", "pip", "install", "--quiet", "--python", f"{home}/bin/python", requirement])
        ready.write_text(requirement)
    return home


def made(target: str) -> Path:
    """A file that the Makefile knows how to make.

    Raises:
        Unavailable: it cannot be made.
    """
    run(["make", "--silent", target], cwd=ROOT, env={**os.environ, "MAKEFLAGS": ""})
    return ROOT / target
