"""Environments of lock files, from an index on this machine: built once, by what sees nothing of ours."""

import asyncio
import base64
import hashlib
import io
import sys
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from outerloop.runtime.agentfile import AgentFile
from outerloop.runtime.errors import OutageError, UserError
from outerloop.runtime.settings import ModelSettings
from outerloop.trial.environments import LockError, prepared
from outerloop.trial.isolation import Bubblewrap
from outerloop.trial.sandbox import Sandbox
from outerloop.trial.spec import Spec

WHEEL = "greeter-1.0-py3-none-any.whl"
SDIST = "builder-1.0.tar.gz"
START = """
import os, socket
try:
    with open("environment/seen", "a") as file:
        print(sorted(os.environ), os.listdir(os.environ["HOME"]), socket.if_nameindex(), file=file)
except OSError: pass
"""


def wheel() -> bytes:
    """A package whose .pth file runs code in every start of its Python, as packages may."""
    info = "greeter-1.0.dist-info"
    files = {
        "greeter.py": "WORD = 'hello'\n",
        "greeter_start.py": START,
        "greeter.pth": "import greeter_start\n",
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: greeter\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    hashes = {
        n: base64.urlsafe_b64encode(hashlib.sha256(t.encode()).digest()).decode() for n, t in files.items()
    }
    files[f"{info}/RECORD"] = "".join(f"{n},sha256={h.rstrip('=')},\n" for n, h in hashes.items())
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return made.getvalue()


class Index:
    """A package index with one wheel and one package that would have to be built; counts downloads."""

    def __init__(self) -> None:
        self.files = {WHEEL: wheel(), SDIST: b"not looked into"}
        self.downloads: list[str] = []
        self.broken = False

    async def page(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if self.broken:
            return web.Response(status=503)
        links = [f"<a href='/files/{file}'>{file}</a>" for file in self.files if file.startswith(f"{name}-")]
        if not links:
            return web.Response(status=404)
        return web.Response(text=f"<html><body>{''.join(links)}</body></html>", content_type="text/html")

    async def file(self, request: web.Request) -> web.Response:
        self.downloads.append(request.match_info["name"])
        return web.Response(body=self.files[request.match_info["name"]])

    def lock(self, name: str) -> bytes:
        """A lock file with this file's package."""
        package = name.partition("-")[0]
        return (
            f"{package}==1.0 \\\n    --hash=sha256:{hashlib.sha256(self.files[name]).hexdigest()}\n".encode()
        )


@pytest.fixture
def index() -> Index:
    return Index()


@pytest.fixture
async def settings(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[ModelSettings]:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "the-real-key")
    application = web.Application()
    application.router.add_get("/simple/{name}/", index.page)
    application.router.add_get("/files/{name}", index.file)
    async with TestServer(application) as server:
        yield ModelSettings(cache=tmp_path, package_index=str(server.make_url("/simple")))


async def test_a_lock_file_is_installed_once_and_works_in_a_sandbox(
    settings: ModelSettings, index: Index
) -> None:
    lock = index.lock(WHEEL)
    one, other = await asyncio.gather(prepared(lock, settings), prepared(lock, settings))
    assert one == other == settings.cache / "environments" / hashlib.sha256(lock).hexdigest()
    assert await prepared(lock, settings) == one
    assert index.downloads == [WHEEL]
    code = "import greeter, sys; print(greeter.WORD, greeter.__cached__, sys.prefix)"
    argv = ("python", "-c", code)
    done = await Sandbox(Bubblewrap()).run(Spec(argv=argv, tree=settings.cache, environment=one))
    word, cached, prefix = done.stdout.decode().split()
    assert (word, prefix) == ("hello", str(one))
    assert cached in {str(file) for file in one.rglob("*.pyc")}
    assert {path.name for path in one.parent.iterdir()} == {one.name, f"{one.name}.lock"}


async def test_code_of_a_package_sees_nothing_of_the_gate(settings: ModelSettings, index: Index) -> None:
    path = await prepared(index.lock(WHEEL), settings)
    seen = (path / "seen").read_text()
    assert "'HOME'" in seen
    assert "ANTHROPIC" not in seen
    # Of /tmp what a package needs to be installed, if that lies there; and no network but its own.
    tmp = [part for part in Path(sys.prefix).parts[2:3] if Path(sys.prefix).parts[1] == "tmp"]
    assert seen.rstrip().endswith(f"] {tmp} [(1, 'lo')]")


async def test_an_environment_whose_python_is_gone_is_made_again(
    settings: ModelSettings, index: Index
) -> None:
    path = await prepared(index.lock(WHEEL), settings)
    (path / "bin" / "python3").unlink()
    (path / "bin" / "python3").symlink_to("/nowhere/python3")
    assert (await prepared(index.lock(WHEEL), settings) / "bin" / "python3").exists()


@pytest.mark.parametrize(
    ("lock", "why"),
    [
        (b"greeter==1.0 --hash=sha256:" + b"0" * 64, "(?i)hash"),
        (b"absent==1.0 --hash=sha256:" + b"0" * 64, "absent"),
        (b"greeter==1.0", "not a version with hashes"),
        (b"--index-url http://169.254.169.254/\n", "not a version with hashes"),
        (b"-r /etc/passwd", "not a version with hashes"),
        (b"greeter @ file:///etc/passwd --hash=sha256:" + b"0" * 64, "not a version with hashes"),
    ],
)
async def test_what_cannot_be_installed_is_the_lock_files_fault(
    settings: ModelSettings, lock: bytes, why: str
) -> None:
    with pytest.raises(LockError, match=why):
        await prepared(lock, settings)


async def test_nothing_is_built(settings: ModelSettings, index: Index) -> None:
    with pytest.raises(LockError, match="builder"):
        await prepared(index.lock(SDIST), settings)
    assert index.downloads == []


async def test_an_index_that_is_away_is_an_outage(settings: ModelSettings, index: Index) -> None:
    lock = index.lock(WHEEL)
    away = settings.model_copy(update={"package_index": "http://user:secret@127.0.0.1:9/simple"})
    with pytest.raises(OutageError) as caught:
        await prepared(lock, away)
    assert "secret" not in str(caught.value)
    index.broken = True
    with pytest.raises(OutageError, match="503"):
        await prepared(lock, settings)
    index.broken = False
    assert (await prepared(lock, settings)).is_dir()


def test_the_lock_file_is_named_in_outerloop_yaml() -> None:
    text = "{agent: a, run: [a], mutable: [b], environment: {lock: %s}}"
    assert AgentFile.parse(text % "requirements.lock").environment.lock == "requirements.lock"
    with pytest.raises(UserError, match="inside the repository"):
        AgentFile.parse(text % "../requirements.lock")
