"""GitHub's REST API for pull requests in version 2022-11-28, below api/v3 as on GitHub Enterprise."""

from typing import Any

from aiohttp import web

from engines.forges import WHEN, ForgeServer, Pull, Refusal, allowed, paged

_OLD, _NEW = "2022-11-28", "2026-03-10"
_LONGEST = 65_536
_DOCS = "https://docs.github.com/rest"


class GitHubServer(ForgeServer):
    """See the module."""

    kind = "github"
    read_only = False

    @property
    def api_url(self) -> str:
        return f"{self.origin}/api/v3"

    async def api(self, request: web.Request) -> Any:
        self._admit(request)
        match request.path.removeprefix(f"/api/v3/repos/{self.project}/").split("/"):
            case ["pulls"] if request.method == "GET":
                return [self._shown(pull, request) for pull in paged(self._filtered(request), request, 30)]
            case ["pulls"] if request.method == "POST":
                return self._shown(self._create(await request.json()), request)
            case ["pulls", number] if request.method == "GET":
                return self._shown(self.found(number), request)
            case ["pulls", number] if request.method == "PATCH":
                return self._shown(self._edit(self.found(number), await request.json()), request)
            case ["issues", number, "comments"] if request.method == "GET":
                said = self.found(number).comments
                return [{"id": at, "body": body} for at, body in enumerate(paged(said, request, 30))]
            case ["issues", number, "comments"] if request.method == "POST":
                body = allowed(await request.json(), {"body"}, set(), _invalid)["body"]
                self.found(number).comments.append(body)
                return {"id": 1, "body": body}
        raise Refusal(404, {"message": "Not Found", "documentation_url": _DOCS, "status": "404"})

    def _admit(self, request: web.Request) -> None:
        if not request.headers.get("User-Agent"):
            raise Refusal(403, {"message": "Request forbidden by administrative rules."})
        if request.headers.get("X-GitHub-Api-Version", _OLD) not in {_OLD, _NEW}:
            raise Refusal(400, {"message": "The version is not supported"})
        if request.headers.get("Authorization") not in {f"Bearer {self.token}", f"token {self.token}"}:
            raise Refusal(401, {"message": "Bad credentials", "documentation_url": _DOCS, "status": "401"})
        if self.read_only and request.method != "GET":
            needs = {"X_Accepted_GitHub_Permissions": "pull_requests=write"}
            raise Refusal(403, {"message": "Resource not accessible by personal access token"}, **needs)

    def _filtered(self, request: web.Request) -> list[Pull]:
        asked = request.query
        found = self.pulls
        if ":" in asked.get("head", ""):  # without an owner the filter is left out
            found = [pull for pull in found if self._label(pull) == asked["head"]]
        if base := asked.get("base"):
            found = [pull for pull in found if pull.base == base]
        state = asked.get("state", "open")
        return [p for p in reversed(found) if state == "all" or (p.state == "open") == (state == "open")]

    def _label(self, pull: Pull) -> str:
        return f"{'somebody' if pull.fork else self.project.partition('/')[0]}:{pull.head}"

    def _create(self, given: Any) -> Pull:
        body = allowed(given, {"title", "head", "base"}, {"body", "draft", "maintainer_can_modify"}, _invalid)
        self._check(body)
        head, base = self.people.tip(body["head"]), self.people.tip(body["base"])
        for name, tip in (("head", head), ("base", base)):
            if not tip:
                raise Refusal(422, _failed({"resource": "PullRequest", "field": name, "code": "invalid"}))
        if not self.people.git("rev-list", f"{base}..{head}"):
            raise _invalid(f"No commits between {body['base']} and {body['head']}")
        if any((p.head, p.base, p.state) == (body["head"], body["base"], "open") for p in self.pulls):
            raise _invalid(f"A pull request already exists for {self.project.split('/')[0]}:{body['head']}.")
        self.pulls.append(
            Pull(len(self.pulls) + 1, body["head"], body["base"], body["title"], body.get("body") or "")
        )
        return self.pulls[-1]

    def _edit(self, pull: Pull, given: Any) -> Pull:
        body = allowed(given, set(), {"title", "body", "state", "base", "maintainer_can_modify"}, _invalid)
        self._check(body)
        pull.title, pull.body = body.get("title", pull.title), body.get("body", pull.body)
        if "state" in body and pull.state != "merged":
            pull.state = body["state"]
        return pull

    def _check(self, body: dict[str, Any]) -> None:
        if len(body.get("body") or "") > _LONGEST:
            raise _invalid(f"body is too long (maximum is {_LONGEST} characters)")
        if len(body.get("title", "x")) > 256 or not body.get("title", "x").strip():
            raise _invalid("title is too long (maximum is 256 characters)")

    def _shown(self, pull: Pull, request: web.Request) -> dict[str, Any]:
        owner, _, name = self.project.partition("/")
        repo = {"id": 1, "full_name": self.project}
        head_repo = {"id": 2, "full_name": f"somebody/{name}"} if pull.fork else repo
        merged = pull.state == "merged"
        shown = {
            "number": pull.number,
            "html_url": f"{self.origin}/{self.project}/pull/{pull.number}",
            "state": "open" if pull.state == "open" else "closed",
            "title": pull.title,
            "body": pull.body or None,
            "merged_at": WHEN if merged else None,
            "head": {"ref": pull.head, "label": self._label(pull), "repo": head_repo},
            "base": {"ref": pull.base, "label": f"{owner}:{pull.base}", "repo": repo},
        }
        if request.headers.get("X-GitHub-Api-Version", _OLD) == _OLD:
            # Before a merge this is a merge on trial, on no branch.
            landed = pull.merge_commit or pull.squash_commit or pull.head_sha
            shown["merge_commit_sha"] = landed if merged else "7e57" * 10
        return shown


def _failed(*errors: dict[str, str]) -> dict[str, Any]:
    return {
        "message": "Validation Failed",
        "errors": list(errors),
        "documentation_url": _DOCS,
        "status": "422",
    }


def _invalid(why: str) -> Refusal:
    return Refusal(422, _failed({"resource": "PullRequest", "code": "custom", "message": why}))
