"""Merge requests on GitLab, by version 4 of its REST API; gitlab.com and self-managed alike."""

from urllib.parse import quote

from pydantic import BaseModel, TypeAdapter

from outerloop.gate.forge.client import PAGE, Client, RefusedError, Resource, shaped
from outerloop.gate.forge.model import AlreadyOpenError, PullRequest, State, Text, chosen
from outerloop.runtime.errors import UserError

_HEADERS = {"User-Agent": "outerloop-gate"}
_MAY = "the scope `api` and the role Developer"
_STATES = {"opened": State.OPEN, "locked": State.MERGING, "merged": State.MERGED, "closed": State.CLOSED}


class _Merge(BaseModel):
    iid: int
    web_url: str
    state: str
    title: str
    description: str | None
    source_branch: str
    target_branch: str
    source_project_id: int | None  # None: the fork is gone
    target_project_id: int
    sha: str | None
    merge_commit_sha: str | None
    squash_commit_sha: str | None = None

    def pull_request(self) -> PullRequest:
        """As the gate knows it.

        A merge commit is what the target got, if there is one; else the squashed commit (`sha` is then on no
        branch); else, fast forward, the source's own.
        """
        state = _STATES.get(self.state)
        if state is None:
            raise UserError(f"{self.web_url} is {self.state!r}: not a state that this version knows")
        landed = self.merge_commit_sha or self.squash_commit_sha or self.sha or ""
        text = Text(title=self.title, body=self.description or "")
        merged_as = landed if state is State.MERGED else ""
        return PullRequest(number=self.iid, url=self.web_url, state=state, text=text, merged_as=merged_as)


class _Note(BaseModel):
    body: str


_MERGE, _MERGES, _NOTES = TypeAdapter(_Merge), TypeAdapter(list[_Merge]), TypeAdapter(list[_Note])


class GitLab:
    """The merge requests of `project` (GROUP/…/NAME); see `Forge`."""

    def __init__(self, client: Client, project: str) -> None:
        self._at = Resource(client, f"/projects/{quote(project, safe='')}/merge_requests", _MAY, _HEADERS)

    async def find(self, head: str, base: str) -> PullRequest | None:
        """See `Forge`."""
        query = {"source_branch": head, "target_branch": base, "state": "all", "scope": "all"}
        answer = await self._at.call("GET", "", query={**query, "per_page": str(PAGE)})
        return chosen(
            [
                merge.pull_request()
                for merge in shaped(_MERGES, answer)
                if (merge.source_branch, merge.target_branch) == (head, base)
                and merge.source_project_id == merge.target_project_id
            ]
        )

    async def create(self, head: str, base: str, text: Text) -> PullRequest:
        """See `Forge`."""
        branches = {"source_branch": head, "target_branch": base}
        try:
            answer = await self._at.call(
                "POST", "", body={**branches, **_said(text), "remove_source_branch": True}
            )
        except RefusedError as error:
            # 409 is nothing else; its words depend on the language of the account.
            if error.status == 409:  # noqa: PLR2004 - Conflict
                raise AlreadyOpenError(str(error)) from error
            raise
        return shaped(_MERGE, answer).pull_request()

    async def rewrite(self, number: int, text: Text) -> None:
        """See `Forge`."""
        await self._at.call("PUT", f"/{number}", body=_said(text))

    async def comments(self, number: int) -> list[str]:
        """See `Forge`."""
        oldest_first = {"sort": "asc", "order_by": "created_at"}
        return [note.body for note in await self._at.listed(f"/{number}/notes", _NOTES, oldest_first)]

    async def comment(self, number: int, body: str) -> None:
        """See `Forge`."""
        await self._at.call("POST", f"/{number}/notes", body={"body": body})

    async def close(self, number: int) -> None:
        """See `Forge`."""
        await self._at.call("PUT", f"/{number}", body={"state_event": "close"})


def _said(text: Text) -> dict[str, str | bool]:
    return {"title": text.title, "description": text.body}
