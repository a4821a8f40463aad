"""Environments: what a lock file asks for, installed once by uv and shared, read-only, by all trials.

A lock file is a requirements file in which everything has one version and its hashes. It comes with a change,
so nothing in it is trusted: it may name packages and nothing else, packages are unpacked and not built, and
what installs them has the network, but no variable, no file and no cache of the gate's.
"""

import asyncio
import fcntl
import hashlib
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from outerloop.runtime.agentfile import AgentFile
from outerloop.runtime.errors import OutageError, UserError
from outerloop.runtime.settings import ModelSettings
from outerloop.trial.backend import environment_of
from outerloop.trial.isolation import Bubblewrap, Unconfined
from outerloop.trial.sandbox import Sandbox
from outerloop.trial.spec import MIB, Completed, Limits, Spec

LIMITS = Limits(seconds=900, file=4096 * MIB, scratch=16_384 * MIB)
_POLL = 0.1  # seconds between two looks at whether another build has ended
_SHOWN = 600  # characters of what uv said
_REQUIREMENT = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9._-]*(\[[A-Za-z0-9._, -]+\])?\s*==\s*[A-Za-z0-9.!+_-]+"
    r"\s*(;[^#@]+?)?(\s+--hash=sha(256|384|512):[0-9a-f]+)+"
)
# What uv says when it got no answer, or one that is about the index's own state.
_AWAY = re.compile(
    r"(?i)error sending request|timed out|dns error|connect error|server error|\b(429|5\d\d)\b"
)


class LockError(UserError):
    """The lock file cannot be installed; says why. It is the fault of whoever wrote it."""


async def environment_for(agent: AgentFile, checkout: Path, settings: ModelSettings) -> Path:
    """The Python environment of an agent at a checkout: what its lock file says, or that of the settings.

    Raises:
        LockError: when the lock file is not there, or cannot be installed.
        OutageError: when the package index is away.
    """
    name = agent.environment.lock
    if not name:
        return environment_of(settings)
    lock = checkout / name
    if not await asyncio.to_thread(lock.is_file):
        raise LockError(f"outerloop.yaml: environment.lock: there is no file {name}")
    return await prepared(await asyncio.to_thread(lock.read_bytes), settings)


async def prepared(lock: bytes, settings: ModelSettings) -> Path:
    """The environment of this lock file, below `cache/environments`; built when it is not there yet.

    Raises:
        LockError: when it cannot be installed.
        OutageError: when the package index is away.
        UserError: when there is no uv, or the sandbox is elsewhere.
        TrialNotRunError: when the sandbox could not be set up.
    """
    _check(lock)
    folder = settings.cache.absolute() / "environments"
    path = folder / hashlib.sha256(lock).hexdigest()
    if _is_whole(path):
        return path
    if settings.sandbox == "kubernetes":
        raise UserError(
            "outerloop.yaml: environment.lock: trials in pods have the environment of their image"
        )
    folder.mkdir(parents=True, exist_ok=True)
    async with _alone(path.with_suffix(".lock")):
        if not _is_whole(path):
            await _build(lock, path, settings)
    return path


def _check(lock: bytes) -> None:
    """Refuses all but pinned packages with hashes: an option or an address would send uv anywhere."""
    text = re.sub(r"\\\r?\n", " ", lock.decode(errors="replace"))
    lines = (re.sub(r"(^|\s)#.*", "", line).strip() for line in text.splitlines())
    for line in filter(None, lines):
        if not _REQUIREMENT.fullmatch(line):
            raise LockError(f"the lock file cannot be installed: not a version with hashes: {line[:80]}")


def _is_whole(path: Path) -> bool:
    """Whether it is there and the Python that it was made from still is."""
    return (path / "bin" / "python3").exists()


@asynccontextmanager
async def _alone(path: Path) -> AsyncIterator[None]:
    """One at a time, of all processes that have this cache; the kernel frees it when its holder dies."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await asyncio.sleep(_POLL)
        yield
    finally:
        os.close(descriptor)


async def _build(lock: bytes, path: Path, settings: ModelSettings) -> None:
    """Builds beside `path`, then renames: what is at `path` is always whole."""
    tree = path.with_suffix(".new")
    for left in (tree, path):
        await asyncio.to_thread(shutil.rmtree, left, ignore_errors=True)
    tree.mkdir()
    try:
        (tree / "requirements.lock").write_bytes(lock)
        await _install(tree, settings)
        (tree / "environment").rename(path)
    finally:
        await asyncio.to_thread(shutil.rmtree, tree, ignore_errors=True)


async def _install(tree: Path, settings: ModelSettings) -> None:
    uv = _uv()
    confined = settings.sandbox != "none"
    inside = Sandbox(Bubblewrap() if confined else Unconfined())
    online = Sandbox(Bubblewrap(network=True) if confined else Unconfined())
    venv = (uv, "venv", "--quiet", "--relocatable", "--python", sys.executable, "environment")
    sync = (uv, "pip", "sync", "--quiet", "--python", "environment", "--require-hashes")
    # Packages are compiled here, once, as no trial may write to them; without the network, as .pth files run.
    compiled = ("environment/bin/python", "-m", "compileall", "-q", "-j", "0", "environment/lib")
    await _run(inside, tree, venv, settings)
    await _run(online, tree, (*sync, "--only-binary", ":all:", "requirements.lock"), settings)
    await inside.run(_spec(tree, compiled, settings))  # what does not compile is not imported either


async def _run(sandbox: Sandbox, tree: Path, argv: tuple[str, ...], settings: ModelSettings) -> None:
    done = await sandbox.run(_spec(tree, argv, settings))
    if not done.failure:
        return
    said = _said(done, settings)
    if _AWAY.search(said) and not done.stopped:
        raise OutageError(f"the package index is away: {said}")
    raise LockError(f"the lock file cannot be installed: {said}")


def _spec(tree: Path, argv: tuple[str, ...], settings: ModelSettings) -> Spec:
    env = {
        "UV_CACHE_DIR": "cache",
        "UV_NO_CONFIG": "1",
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_HTTP_TIMEOUT": "30",
        "UV_HTTP_RETRIES": "1",  # whoever asked for the environment waits for an outage's end
        "UV_SYSTEM_CERTS": "1",  # a company's own index may have a certificate of the company's own
    }
    if settings.package_index:
        env["UV_DEFAULT_INDEX"] = settings.package_index
    return Spec(argv=argv, tree=tree, environment=Path(sys.prefix), env=env, writable=True, limits=LIMITS)


def _said(done: Completed, settings: ModelSettings) -> str:
    """The end of what uv said, without the index's address: it may have a password in it."""
    said = done.stderr.decode(errors="replace").strip()
    if settings.package_index:
        said = said.replace(settings.package_index.rstrip("/"), "the index")
    return f"{said[-_SHOWN:]} ({done.failure})"


def _uv() -> str:
    # Only where a sandbox can see it.
    found = shutil.which("uv", path=f"{Path(sys.prefix) / 'bin'}:/usr/local/bin:/usr/bin")
    if found is None:
        raise UserError("outerloop.yaml: environment.lock: installing it takes uv: `pip install uv`")
    return found
