"""GitLab's REST API for merge requests, version 4, with its quick actions."""

import re
from typing import Any

from aiohttp import web

from engines.forges import WHEN, ForgeServer, Pull, Refusal, allowed, paged

_STATES = {"open": "opened"}


class GitLabServer(ForgeServer):
    """See the module."""

    kind = "gitlab"
    read_only = False

    @property
    def api_url(self) -> str:
        return f"{self.origin}/api/v4"

    async def api(self, request: web.Request) -> Any:
        self._admit(request)
        project = self.project.replace("/", "%2F")
        prefix = f"/api/v4/projects/{project}/merge_requests"
        if not request.rel_url.raw_path.startswith(prefix):
            raise Refusal(404, {"message": "404 Project Not Found"})
        match request.method, request.rel_url.raw_path.removeprefix(prefix).split("/")[1:]:
            case "GET", []:
                return [self._shown(pull) for pull in paged(self._filtered(request), request, 20)]
            case "POST", []:
                return self._shown(self._create(await request.json()))
            case "GET", [number]:
                return self._shown(self.found(number))
            case "PUT", [number]:
                return self._shown(self._edit(self.found(number), await request.json()))
            case "GET", [number, "notes"]:
                said = self.found(number).comments
                newest_first = request.query.get("sort", "desc") == "desc"
                page = paged(said[::-1] if newest_first else said, request, 20)
                return [{"id": at, "body": body} for at, body in enumerate(page)]
            case "POST", [number, "notes"]:
                body = allowed(await request.json(), {"body"}, {"created_at", "internal"}, _bad)["body"]
                pull = self.found(number)
                pull.comments.append(self._acted(pull, body))
                return {"id": 1, "body": body}
        raise Refusal(404, {"error": "404 Not Found"})

    def _admit(self, request: web.Request) -> None:
        if self.token not in {
            request.headers.get("PRIVATE-TOKEN"),
            request.headers.get("Authorization", "").removeprefix("Bearer "),
        }:
            raise Refusal(401, {"message": "401 Unauthorized"})
        if self.read_only and request.method != "GET":
            said = "The request requires higher privileges than provided by the access token."
            raise Refusal(403, {"error": "insufficient_scope", "error_description": said, "scope": "api"})

    def _filtered(self, request: web.Request) -> list[Pull]:
        asked = request.query
        if asked.get("scope", "all") != "all":
            return []
        wanted = {"head": asked.get("source_branch"), "base": asked.get("target_branch")}
        state = asked.get("state", "all")
        return [
            pull
            for pull in reversed(self.pulls)
            if all(value in {None, getattr(pull, name)} for name, value in wanted.items())
            and state in {"all", _STATES.get(pull.state, pull.state)}
        ]

    def _create(self, given: Any) -> Pull:
        optional = {"description", "remove_source_branch", "squash", "labels"}
        body = allowed(given, {"source_branch", "target_branch", "title"}, optional, _bad)
        if not self.people.tip(body["source_branch"]):
            raise Refusal(422, {"message": [f'Source branch "{body["source_branch"]}" does not exist']})
        for pull in self.pulls:
            if (pull.head, pull.base, pull.state) == (body["source_branch"], body["target_branch"], "open"):
                said = f"Another open merge request already exists for this source branch: !{pull.number}"
                raise Refusal(409, {"message": [said]})
        number = len(self.pulls) + 1
        pull = Pull(number, body["source_branch"], body["target_branch"], body["title"], "")
        self.pulls.append(pull)
        return self._edit(pull, {"title": body["title"], "description": body.get("description", "")})

    def _edit(self, pull: Pull, given: Any) -> Pull:
        body = allowed(given, set(), {"title", "description", "state_event", "target_branch"}, _bad)
        if len(body.get("title", "")) > 255:
            raise Refusal(400, {"message": {"title": ["is too long (maximum is 255 characters)"]}})
        pull.title = body.get("title", pull.title)
        if "description" in body:
            pull.body = self._acted(pull, body["description"])
        if body.get("state_event") == "close" and pull.state == "open":
            pull.state = "closed"
        return pull

    def _acted(self, pull: Pull, text: str) -> str:
        """The text after its quick actions, which are taken out of it."""
        if re.search(r"(?m)^/close\b", text):
            pull.state = "closed"
        return re.sub(r"(?m)^/\w+.*$", "", text).rstrip("\n") if re.search(r"(?m)^/\w+", text) else text

    def _shown(self, pull: Pull) -> dict[str, Any]:
        return {
            "id": 1000 + pull.number,
            "iid": pull.number,
            "web_url": f"{self.origin}/{self.project}/-/merge_requests/{pull.number}",
            "state": _STATES.get(pull.state, pull.state),
            "title": pull.title,
            "description": pull.body,
            "source_branch": pull.head,
            "target_branch": pull.base,
            "source_project_id": 8 if pull.fork else 7,
            "target_project_id": 7,
            "merged_at": WHEN if pull.state == "merged" else None,
            "sha": pull.head_sha or self.people.tip(pull.head) or None,
            "merge_commit_sha": pull.merge_commit,
            "squash_commit_sha": pull.squash_commit,
        }


def _bad(why: str) -> Refusal:
    return Refusal(400, {"error": why})
