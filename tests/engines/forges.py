"""Forges that people merge on: a bare repository over HTTP, and an API in front of it that is as strict.

What both have in common; `github` and `gitlab` speak the two dialects. Merging is real: the commits that the
buttons of the two forges make.
"""

import asyncio
import os
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from aiohttp import web

WHEN = "2026-01-02T03:04:05Z"
_IDENTITY = {
    f"GIT_{role}_{what}": "person@example.com"
    for role in ("AUTHOR", "COMMITTER")
    for what in ("NAME", "EMAIL")
}


@dataclass
class Pull:
    """A pull request as the forge keeps it."""

    number: int
    head: str
    base: str
    title: str
    body: str
    state: str = "open"
    fork: bool = False  # the head is a branch of somebody's copy
    head_sha: str = ""
    merge_commit: str | None = None
    squash_commit: str | None = None
    comments: list[str] = field(default_factory=list)


class Refusal(Exception):  # noqa: N818 - an answer, and no error of ours
    """What the API answers instead."""

    def __init__(self, status: int, body: Any, **headers: str) -> None:
        super().__init__(status)
        self.response = web.json_response(
            body, status=status, headers={name.replace("_", "-"): value for name, value in headers.items()}
        )


class People:
    """What people do on the forge, in the bare repository at `remote`."""

    def __init__(self, remote: Path) -> None:
        self.remote = remote

    def git(self, *arguments: str, stdin: str = "", **env: str) -> str:
        """Plain git in the repository."""
        everything = {**os.environ, **_IDENTITY, **env}
        return subprocess.run(
            ["git", *arguments],
            cwd=self.remote,
            env=everything,
            input=stdin,
            text=True,
            check=True,
            capture_output=True,
        ).stdout.strip()

    def tip(self, branch: str) -> str:
        """Where a branch is, "" if there is none."""
        return self.git("for-each-ref", "--format=%(objectname)", f"refs/heads/{branch}")

    def push(self, branch: str, path: str, content: str) -> str:
        """A commit with that file on a branch."""
        index = str(self.remote / "persons-index")
        tip = self.tip(branch)
        self.git("read-tree", tip, GIT_INDEX_FILE=index)
        blob = self.git("hash-object", "-w", "--stdin", stdin=content)
        self.git("update-index", "--add", "--cacheinfo", f"100644,{blob},{path}", GIT_INDEX_FILE=index)
        tree = self.git("write-tree", GIT_INDEX_FILE=index)
        return self.move(branch, self.git("commit-tree", tree, "-p", tip, "-m", "By hand"))

    def move(self, branch: str, commit: str) -> str:
        """Set a branch."""
        self.git("update-ref", f"refs/heads/{branch}", commit)
        return commit

    def merged(self, pull: Pull, how: str) -> None:
        """Press the button: merge, squash, rebase, fast_forward, or squash_merge (GitLab: both)."""
        base, head = self.tip(pull.base), self.tip(pull.head)
        pull.head_sha, pull.state = head, "merged"
        tree = self.git("merge-tree", "--write-tree", base, head)
        if how in {"squash", "squash_merge"}:
            pull.squash_commit = landed = self.git("commit-tree", tree, "-p", base, "-m", pull.title)
        if how in {"merge", "squash_merge"}:
            other = pull.squash_commit or head
            pull.merge_commit = landed = self.git("commit-tree", tree, "-p", base, "-p", other, "-m", "Merge")
        if how == "rebase":
            pull.merge_commit = landed = self._rebased(base, head)
        if how == "fast_forward":
            landed = head
        self.move(pull.base, landed)

    def _rebased(self, base: str, head: str) -> str:
        onto = base
        for commit in self.git("rev-list", "--reverse", f"{base}..{head}").split():
            assert self.git("merge-base", base, head) == base
            onto = self.git("commit-tree", f"{commit}^{{tree}}", "-p", onto, "-m", "Rebased")
        return onto


class ForgeServer:
    """The server: `project`.git by git's own HTTP backend, all else is the API."""

    kind = ""

    def __init__(self, remote: Path, project: str, token: str = "t0ken-of-the-gate") -> None:  # noqa: S107 - a test's
        self.people = People(remote)
        self.project = project
        self.token = token
        self.pulls: list[Pull] = []
        self.calls: list[str] = []
        # What the next calls of the API get instead; each an answer, or a connection that is cut.
        self.instead: list[web.StreamResponse | None] = []
        # Do the next call that changes something, and cut the connection instead of answering.
        self.lose_answer = False

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=1 << 26)
        app.router.add_route("*", "/{rest:.*}", self._handle)
        self._runner = web.AppRunner(app, shutdown_timeout=1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.origin = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    @property
    def git_url(self) -> str:
        """The repository's address."""
        return f"{self.origin}/{self.project}.git"

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if request.path.startswith(f"/{self.project}.git/"):
            return await self._git(request)
        self.calls.append(f"{request.method} {request.path_qs}")
        if self.instead:
            given = self.instead.pop(0)
            return given if given is not None else self._cut(request)
        try:
            body = await self.api(request)
        except Refusal as refusal:
            return refusal.response
        if self.lose_answer and request.method != "GET":
            self.lose_answer = False
            return self._cut(request)
        return web.json_response(body, status=201 if request.method == "POST" else 200)

    def _cut(self, request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    async def api(self, request: web.Request) -> Any:
        """The answer of the API; raises Refusal."""
        raise NotImplementedError

    async def _git(self, request: web.Request) -> web.StreamResponse:
        env = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self.people.remote),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": request.path.removeprefix(f"/{self.project}.git"),
            "REQUEST_METHOD": request.method,
            "QUERY_STRING": request.query_string,
            "CONTENT_TYPE": request.headers.get("Content-Type", ""),
            "GIT_PROTOCOL": request.headers.get("Git-Protocol", ""),
            "REMOTE_USER": "somebody",  # may push, then
        }
        process = await asyncio.create_subprocess_exec(
            "git", "http-backend", env=env, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        out, _ = await process.communicate(await request.read())
        head, _, content = out.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        status = int(headers.pop("Status", "200 OK").split()[0])
        return web.Response(body=content, status=status, headers=headers)

    def found(self, number: str) -> Pull:
        """The pull request of that number; raises Refusal."""
        for pull in self.pulls:
            if str(pull.number) == number:
                return pull
        raise Refusal(404, {"message": "404 Not found"})

    def merge(self, number: int, how: str) -> None:
        """A person merges."""
        self.people.merged(self.found(str(number)), how)


def allowed(
    body: Any, required: set[str], optional: set[str], refuse: Callable[[str], Refusal]
) -> dict[str, Any]:
    """The body, if its fields are the API's own."""
    if not isinstance(body, dict) or (missing := required - body.keys()):
        raise refuse(f"{', '.join(sorted(missing)) if isinstance(body, dict) else 'body'} is missing")
    if unknown := body.keys() - required - optional:
        raise refuse(f"{', '.join(sorted(unknown))} is unknown")
    return body


def paged(items: list[Any], request: web.Request, default: int) -> list[Any]:
    """The page that is asked for; 100 at most, as both forges have it."""
    size = min(100, int(request.query.get("per_page", default)))
    first = (int(request.query.get("page", 1)) - 1) * size
    return items[first : first + size]


def effects(text: str) -> set[str]:
    """What a forge would do because of a text, as the laxest parser reads it: code is like any text."""
    return set(
        re.findall(
            r"(?im)@\w+|\b(?:clos|fix|resolv|implement)\w*:?\s+\S*[#!]\d+|(?:\w+/\w+)?[#!]\d+|^\s*/\w+|https?://\S+"
            r"|<(?!/?(?:details|summary)>|!-- outerloop: )[a-z!/][^>]*>|\bwww\.\w+",
            text,
        )
    )
