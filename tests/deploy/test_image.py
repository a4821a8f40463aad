"""The image, built by a Docker engine: its containers are hardened as compose runs them, and close the loop.

Without an engine, or a base to build on (`make deploy-base` makes one where none can be pulled), these are
skipped.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from engines import docker
from engines.chart import ROOT

pytestmark = pytest.mark.timeout(2400)  # an image is built

NAME = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==", re.MULTILINE)  # in a list of requirements
IMAGE, LOOP, BASE = "outerloop:test", "outerloop-loop:test", "outerloop-test-base:bookworm"
# As `x-runs-agents` of compose.yaml has it, with the most that a trial needs and no more.
COMPOSE = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())
WRITABLE = ["--tmpfs", "/tmp:exec", "--tmpfs", "/var/cache/outerloop:uid=65532,gid=65532,exec"]


def run(*arguments: str, within: float = 1800) -> str:
    """What docker says, on both streams; a failure is one of the test."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=within, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout + done.stderr


def build(tag: str, dockerfile: Path, context: Path, *more: str) -> None:
    """Build with what pip needs to know of this machine: where packages are is not the project's business."""
    known = [("PIP_INDEX_URL", os.environ.get("PIP_INDEX_URL"))]
    arguments = [part for name, value in known if value for part in ("--build-arg", f"{name}={value}")]
    run("build", "--network", "host", "-q", "-f", str(dockerfile), "-t", tag, *arguments, *more, str(context))


def hardened() -> list[str]:
    """Options of `docker run` for a service that runs agents, from compose.yaml."""
    gate = COMPOSE["services"]["gate"]
    options = [f"--security-opt={each}" for each in gate["security_opt"]]
    options += [f"--cap-drop={each}" for each in gate["cap_drop"]]
    assert gate["read_only"]
    return [*options, "--read-only", *WRITABLE]


@pytest.fixture(scope="module")
def image() -> str:
    """Our image, on a base that is here."""
    if reason := docker.missing():
        pytest.skip(reason)
    base = os.environ.get("OUTERLOOP_TEST_BASE", BASE)
    if subprocess.run(["docker", "image", "inspect", base], capture_output=True, check=False).returncode:
        pytest.skip(f"no base image {base}: `make deploy-base` makes one, or name one in OUTERLOOP_TEST_BASE")
    build(IMAGE, ROOT / "deploy" / "Dockerfile", ROOT, "--build-arg", f"BASE={base}")
    return IMAGE


def inside(image: str, entry: str, *arguments: str, options: Sequence[str] = ()) -> str:
    return run("run", "--rm", *hardened(), *options, "--entrypoint", entry, image, *arguments)


def test_it_is_nobody_and_can_write_nowhere(image: str) -> None:
    assert "uid=65532" in inside(image, "id")
    tried = inside(image, "sh", "-c", "touch /opt/x /etc/x /usr/x 2>&1; touch /tmp/x && echo fine")
    assert tried.count("Read-only file system") == 3
    assert tried.splitlines()[-1] == "fine"


def test_it_says_what_is_inside(image: str) -> None:
    found = json.loads(inside(image, "cat", "/usr/share/outerloop/sbom.json"))
    names = {re.sub(r"[-_.]+", "-", each["name"]).lower() for each in found["components"]}  # PEP 503
    assert {"aiokafka", "faststream", "clickhouse-connect", "anthropic", "scipy"} <= names
    locked = NAME.findall((ROOT / "deploy" / "image.lock").read_text())
    assert names >= {name for name in locked if name not in {"setuptools", "colorama"}} - _elsewhere()


def _elsewhere() -> set[str]:
    """What the lock has for other machines only."""
    text = (ROOT / "deploy" / "image.lock").read_text()
    return set(re.findall(r"^([a-z0-9-]+)==[^;\n]+;", text, re.MULTILINE))


def test_a_trial_can_be_isolated_in_it(image: str) -> None:
    script = (
        "import asyncio, pathlib, sys;"
        "from outerloop.trial.isolation import find_bubblewrap;"
        "print(find_bubblewrap())"
    )
    assert "bwrap" in inside(image, "python", "-c", script)
    told = inside(
        image, "bwrap", "--ro-bind", "/", "/", "--unshare-all", "--dev", "/dev", "--proc", "/proc", "id"
    )
    assert "uid=65532" in told


def test_the_loop_closes_in_its_containers(image: str, tmp_path: Path) -> None:
    locked = (ROOT / "requirements.lock").read_text()
    there = set(NAME.findall((ROOT / "deploy" / "image.lock").read_text()))
    wanted = re.split(r"\n(?=[A-Za-z0-9])", locked)
    needed = _of_extras()
    extra = [each for each in wanted if (name := each.partition("==")[0]) in needed and name not in there]
    (tmp_path / "extra.txt").write_text("\n".join(extra) + "\n")
    unwanted = shutil.ignore_patterns(".*", "__pycache__")
    shutil.copytree(ROOT / "deploy" / "examples", tmp_path / "examples", ignore=unwanted)
    build(LOOP, Path(__file__).parent / "loop.Dockerfile", tmp_path)
    data = ["--tmpfs", "/data:uid=65532,gid=65532,exec,size=4g"]
    said = run(
        "run",
        "--rm",
        *hardened(),
        *data,
        LOOP,
        "-m",
        "helpdesk_demo",
        "--dir",
        "/data/demo",
        "--within",
        "1500",
    )
    closed = json.loads(said.splitlines()[-1])
    assert closed["modes_found"] == closed["modes_closed"] >= 4
    assert closed["model"] == "a script, not a model"


def _of_extras() -> set[str]:
    """Names of what `embedded` and `demo` bring, with all that they need."""
    argv = [
        str(ROOT / ".venv" / "bin" / "uv"),
        "pip",
        "compile",
        "-q",
        "pyproject.toml",
        "--no-annotate",
        "--no-header",
    ]
    argv += [
        "--extra",
        "embedded",
        "--extra",
        "demo",
        "--constraint",
        "requirements.lock",
        "--python-version",
        "3.11",
    ]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=True)
    return set(NAME.findall(done.stdout))
