"""Pull requests on GitHub, by its REST API; github.com and GitHub Enterprise alike."""

import re

from pydantic import BaseModel, TypeAdapter

from outerloop.gate.forge.client import PAGE, Client, RefusedError, Resource, shaped
from outerloop.gate.forge.model import AlreadyOpenError, PullRequest, State, Text, chosen
from outerloop.runtime.errors import UserError

_HEADERS = {
    "Accept": "application/vnd.github+json",
    # 2026-03-10 drops `merge_commit_sha`; this one is served until March 2028 at least.
    "X-GitHub-Api-Version": "2022-11-28",
    "User-Agent": "outerloop-gate",
}
_MAY = "`Pull requests: write` (fine-grained token) or the scope `repo` (classic one)"


class _Repository(BaseModel):
    full_name: str


class _Branch(BaseModel):
    ref: str
    repo: _Repository | None  # None: the fork is gone


class _Pull(BaseModel):
    number: int
    html_url: str
    state: str
    title: str
    body: str | None
    merged_at: str | None
    merge_commit_sha: str | None = None
    head: _Branch
    base: _Branch

    def pull_request(self) -> PullRequest:
        """As the gate knows it. Before a merge the commit is that of a merge on trial, and means nothing."""
        state = State.MERGED if self.merged_at else State.OPEN if self.state == "open" else State.CLOSED
        if state is State.MERGED and not self.merge_commit_sha:
            raise UserError(
                f"{self.html_url} is merged, and GitHub's API does not say as which commit: it must serve "
                f"version {_HEADERS['X-GitHub-Api-Version']}"
            )
        merged_as = self.merge_commit_sha or "" if state is State.MERGED else ""
        text = Text(title=self.title, body=self.body or "")
        return PullRequest(number=self.number, url=self.html_url, state=state, text=text, merged_as=merged_as)


class _Comment(BaseModel):
    body: str | None


_PULL, _PULLS, _COMMENTS = TypeAdapter(_Pull), TypeAdapter(list[_Pull]), TypeAdapter(list[_Comment])


class GitHub:
    """The pull requests of `project` (OWNER/NAME); see `Forge`."""

    def __init__(self, client: Client, project: str) -> None:
        self._at = Resource(client, f"/repos/{project}", _MAY, _HEADERS)
        self._owner = project.partition("/")[0]

    async def find(self, head: str, base: str) -> PullRequest | None:
        """See `Forge`."""
        query = {"head": f"{self._owner}:{head}", "base": base, "state": "all", "per_page": str(PAGE)}
        answer = await self._at.call("GET", "/pulls", query=query)
        # GitHub leaves out a filter that it does not understand, and a fork may have a branch of that name.
        return chosen(
            [
                pull.pull_request()
                for pull in shaped(_PULLS, answer)
                if (pull.head.ref, pull.base.ref) == (head, base) and pull.head.repo == pull.base.repo
            ]
        )

    async def create(self, head: str, base: str, text: Text) -> PullRequest:
        """See `Forge`."""
        body = {"title": text.title, "body": text.body, "head": head, "base": base}
        try:
            answer = await self._at.call("POST", "/pulls", body=body)
        except RefusedError as error:
            if re.search(r"pull request already exists", error.said, re.IGNORECASE):
                raise AlreadyOpenError(str(error)) from error
            raise
        return shaped(_PULL, answer).pull_request()

    async def rewrite(self, number: int, text: Text) -> None:
        """See `Forge`."""
        await self._at.call("PATCH", f"/pulls/{number}", body={"title": text.title, "body": text.body})

    async def comments(self, number: int) -> list[str]:
        """See `Forge`."""
        found = await self._at.listed(f"/issues/{number}/comments", _COMMENTS)
        return [comment.body or "" for comment in found]

    async def comment(self, number: int, body: str) -> None:
        """See `Forge`."""
        await self._at.call("POST", f"/issues/{number}/comments", body={"body": body})

    async def close(self, number: int) -> None:
        """See `Forge`."""
        await self._at.call("PATCH", f"/pulls/{number}", body={"state": "closed"})
