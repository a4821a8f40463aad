"""Running the real git program so that nothing but our arguments decides what it does.

No configuration but ours, no hooks, no prompts, no pager, no other program: a repository that we fetch is
content, never behaviour. Time and output are bounded, and a cancelled call leaves no process behind.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from outerloop.runtime.git.model import GitError

LOCAL_SECONDS = 120.0
REMOTE_SECONDS = 600.0
MAX_OUTPUT = 256 * 1024 * 1024
_MAX_STDERR = 64 * 1024

# What git needs of the process it runs in: itself, the keys for the remote, and the way to it.
_INHERITED = (
    "PATH",
    "HOME",
    "TMPDIR",
    "SSH_AUTH_SOCK",
    "GIT_SSH_COMMAND",
    "GIT_SSL_CAINFO",
    "SSL_CERT_FILE",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
    "https_proxy",
    "http_proxy",
    "no_proxy",
)

_FIXED = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "true",
    "GIT_PAGER": "cat",
    "GIT_LITERAL_PATHSPECS": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "LC_ALL": "C.UTF-8",
}

_SETTINGS = (
    f"core.hooksPath={os.devnull}",
    f"core.attributesFile={os.devnull}",
    f"core.excludesFile={os.devnull}",
    "core.fsmonitor=false",
    "core.autocrlf=false",
    "core.quotePath=false",
    "core.protectHFS=true",
    "core.protectNTFS=true",
    "credential.helper=",
    "protocol.allow=never",
    "protocol.file.allow=always",
    "protocol.ssh.allow=always",
    "protocol.https.allow=always",
    "protocol.http.allow=always",
    "protocol.git.allow=always",
    "protocol.ext.allow=never",
    "fetch.recurseSubmodules=false",
    "push.recurseSubmodules=no",
    "submodule.recurse=false",
    "push.gpgSign=false",
    "commit.gpgSign=false",
    "gc.auto=0",  # objects that no ref holds yet are a candidate in the making
    "maintenance.auto=false",
    "diff.external=",
    "diff.suppressBlankEmpty=false",
    "init.defaultBranch=main",
)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a git process ended: exit status and what it wrote."""

    status: int
    stdout: bytes
    stderr: str


async def run(
    git_dir: Path,
    *arguments: str,
    stdin: bytes = b"",
    env: Mapping[str, str] | None = None,
    work_tree: Path | None = None,
    seconds: float = LOCAL_SECONDS,
) -> Ended:
    """Run git in the bare repository `git_dir` (absolute); any exit status is an answer.

    Raises:
        GitError: if there is no git, or it ran longer than `seconds`, or wrote more than `MAX_OUTPUT` bytes.
    """
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    settings = [word for setting in _SETTINGS for word in ("-c", setting)]
    tree = [f"--work-tree={work_tree}"] if work_tree else []
    try:
        process = await asyncio.create_subprocess_exec(
            "git",
            *settings,
            f"--git-dir={git_dir}",
            *tree,
            *arguments,
            cwd=work_tree or git_dir,
            env={**inherited, **_FIXED, **(env or {})},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,  # so that ssh and git's other helpers end with it
        )
    except OSError as error:
        raise GitError(f"git cannot be started in {git_dir}: {error}") from error
    try:
        async with asyncio.timeout(seconds):
            stdout, stderr, _ = await asyncio.gather(
                _read(process.stdout, MAX_OUTPUT, arguments[0]),
                _read_head(process.stderr, _MAX_STDERR),
                _feed(process.stdin, stdin),
            )
            status = await process.wait()
    except TimeoutError as error:
        raise GitError(f"git {arguments[0]} did not end within {seconds:g} s") from error
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.communicate()  # to the end of its pipes, so that they are closed
    return Ended(status, stdout, stderr.decode(errors="replace").strip())


async def succeed(
    git_dir: Path, *arguments: str, stdin: bytes = b"", env: Mapping[str, str] | None = None
) -> bytes:
    """What git wrote to its standard output.

    Raises:
        GitError: as `run`, and when git does not end with status 0; with the end of what git said.
    """
    ended = await run(git_dir, *arguments, stdin=stdin, env=env)
    if ended.status:
        raise GitError(f"git {arguments[0]} ended with {ended.status}: {ended.stderr[-2000:]}")
    return ended.stdout


async def _feed(pipe: asyncio.StreamWriter | None, data: bytes) -> None:
    if pipe is None:
        return
    # Git may have its answer before it has read everything.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        pipe.write(data)
        await pipe.drain()
    pipe.close()


async def _read(pipe: asyncio.StreamReader | None, limit: int, command: str) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while pipe and (chunk := await pipe.read(1 << 16)):
        size += len(chunk)
        if size > limit:
            raise GitError(f"git {command} wrote more than {limit} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


async def _read_head(pipe: asyncio.StreamReader | None, limit: int) -> bytes:
    head = bytearray()
    while pipe and (chunk := await pipe.read(1 << 14)):
        head += chunk[: max(0, limit - len(head))]
    return bytes(head)
