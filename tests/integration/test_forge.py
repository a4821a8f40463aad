"""Pull requests from opening to merge, on forges that answer over HTTP and repositories that git talks to."""

import shutil
import time
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from pydantic import SecretStr

from engines.forges import ForgeServer, Pull
from engines.github import GitHubServer
from engines.gitlab import GitLabServer
from engines.repositories import POLICY, TEAM, WHEN, agent_repository
from outerloop.evals.suite import REF
from outerloop.gate.core.case import Kind
from outerloop.gate.core.certificate import Certificate, Spending
from outerloop.gate.core.shown import Shown
from outerloop.gate.forge import (
    Fate,
    Proposal,
    State,
    Text,
    follow,
    forge_of,
    propose_merge,
    pull_request_text,
    recall,
    tell,
    withdraw,
)
from outerloop.gate.forge.flow import proposal_ref
from outerloop.gate.settings import GateSettings
from outerloop.runtime.errors import OutageError, UserError
from outerloop.runtime.git import RefUpdate, Repository

TEXT = Text(title="outerloop: it answers", body="The proof.\n")
BOTH = pytest.mark.parametrize("kind", [GitHubServer, GitLabServer])
HEAD = "outerloop/change/c1"


def certify(head: str, tree: str, **changed: object) -> Certificate:
    said = {
        "kind": "change",
        "decision_id": "d1",
        "agent": "helpdesk",
        "mode_id": "m1",
        "eval_id": "e1",
        "change_id": "c1",
        "base_commit": head,
        "patch_sha256": "a" * 64,
        "candidate_tree": tree,
        "suite_commit": "",
        "suite_sha256": "b" * 64,
        "spending": Spending(
            content="x", term=0, index=3, delta=0.05, alpha=0.0022, beta=0.02, ledger_commit="c" * 40
        ),
        "screen": (3, 4),
        "claims": (claim(Kind.NEW, "e1"),),
        "inherited": (),
        "broken": (),
        "reproduced": None,
        "reverts": "",
        "reason": "",
        "standings": {},
        "sandbox": "bubblewrap",
        "models": ("scripted",),
        "proposed_by": "scripted",
        "input_tokens": 12_345,
        "output_tokens": 1,
        "seconds": 1.5,
        "gate_version": "outerloop 0.1.0",
        "previous": "",
    }
    return Certificate(**{**said, **changed})  # type: ignore[arg-type] # checked when it is made


def claim(kind: Kind, name: str, passed: int = 23) -> Shown:
    return Shown(
        kind=kind, name=name, content_sha256="d" * 64, bar=0.725, p1=0.95, g=0.9, passed=passed, trials=24
    )


class Bench:
    """A forge with an agent's repository, and the gate's side of both."""

    def __init__(self, server: ForgeServer, repository: Repository) -> None:
        self.server, self.repository, self.people = server, repository, server.people
        settings = GateSettings(gate_forge=server.kind, gate_forge_token=SecretStr(f"{server.token}\n"))
        self.forge = forge_of(settings, server.git_url)

    async def proven(self, said: str = "Refund.\n", decision: str = "d1") -> Proposal:
        """A change that the gate has proven on the head, by a release commit."""
        await self.repository.fetch()
        head = await self.repository.resolve("main")
        assert head
        tree = await self.repository.tree_with(head, {"prompts/policy.md": (POLICY + said).encode()})
        release = await self.repository.commit(tree, [head], f"Refund ({decision})", when=WHEN, author=TEAM)
        return Proposal(release=release, certificate=certify(head, tree, decision_id=decision))

    async def propose(self, proposal: Proposal, text: Text = TEXT):
        return await propose_merge(
            self.repository, self.forge, proposal, branch="main", text=text, when=WHEN, author=TEAM
        )

    async def follow(self, proposal: Proposal):
        return await follow(self.repository, self.forge, proposal, branch="main")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def agent(tmp_path_factory):
    """An agent's repository and a mirror of it, to be copied."""
    folder = tmp_path_factory.mktemp("agent")
    await agent_repository(folder)
    return folder


@pytest.fixture
def bench(agent, tmp_path):
    @asynccontextmanager
    async def opened(kind, *, over_http=False):
        shutil.copytree(agent, tmp_path, dirs_exist_ok=True)
        remote = tmp_path / "remote"
        project = "team/helpdesk" if kind is GitHubServer else "team/agents/helpdesk"
        async with kind(remote, project) as server:
            repository = Repository(server.git_url if over_http else str(remote), tmp_path / "cache")
            yield Bench(server, repository)

    return opened


@BOTH
async def test_a_pull_request_is_opened_once_whatever_breaks(kind, bench):
    async with bench(kind, over_http=True) as at:
        proposal = await at.proven()
        at.server.instead = [web.Response(status=502)]
        with pytest.raises(OutageError):
            await at.propose(proposal)
        assert not at.people.tip(HEAD)
        at.server.lose_answer = True  # it is opened, and the gate does not learn of it
        with pytest.raises(OutageError):
            await at.propose(proposal)
        first, again = await at.propose(proposal), await at.propose(proposal)
        assert first == again
        assert (first.number, first.state, first.text) == (1, State.OPEN, TEXT)
        assert first.url.startswith(at.server.origin)
        assert len(at.server.pulls) == 1
        assert at.people.tip(HEAD) == proposal.release
        assert await recall(at.repository, "c1") == proposal
        followed = await at.follow(proposal)
        assert (followed.fate, followed.pull_request) == (Fate.OPEN, first)


@BOTH
async def test_two_at_once_open_one(kind, bench):
    async with bench(kind) as at:
        proposal = await at.proven()
        await at.propose(proposal)
        # What the second of two saw before the first had opened its own.
        at.server.instead = [web.json_response([])]
        assert (await at.propose(proposal)).number == 1
        assert len(at.server.pulls) == 1


MERGES = [
    (GitHubServer, "merge"),
    (GitHubServer, "squash"),
    (GitHubServer, "rebase"),
    (GitLabServer, "merge"),
    (GitLabServer, "squash"),
    (GitLabServer, "squash_merge"),
    (GitLabServer, "fast_forward"),
]


@pytest.mark.parametrize(("kind", "how"), MERGES)
async def test_merged_as_it_was_proven_it_is_certified(kind, how, bench):
    async with bench(kind) as at:
        proposal = await at.proven()
        await at.propose(proposal)
        at.server.merge(1, how)
        followed = await at.follow(proposal)
        assert (followed.fate, followed.commit) == (Fate.PROVEN, at.people.tip("main")), followed.reason
        # The branch may go on: what was merged was proven.
        at.people.push("main", "README.md", "later\n")
        assert (await at.follow(proposal)).fate is Fate.PROVEN
        assert (await at.propose(proposal)).state is State.MERGED


@pytest.mark.parametrize(("kind", "how"), [(GitHubServer, "merge"), (GitLabServer, "squash")])
async def test_what_a_person_changed_is_not_certified(kind, how, bench):
    async with bench(kind) as at:
        proposal = await at.proven()
        await at.propose(proposal)
        at.people.push(HEAD, "prompts/@all.md", "mine\n")
        assert (await at.follow(proposal)).fate is Fate.EDITED
        with pytest.raises(UserError, match="does not overwrite a person's work"):
            await at.propose(proposal)
        at.server.merge(1, how)
        followed = await at.follow(proposal)
        assert followed.fate is Fate.UNPROVEN
        assert "all.md" in followed.reason
        assert "@all" not in followed.reason


async def test_merged_after_others_it_is_not_certified(bench):
    async with bench(GitHubServer) as at:
        proposal = await at.proven()
        await at.propose(proposal)
        at.people.push("main", "README.md", "others\n")
        at.server.merge(1, "merge")
        followed = await at.follow(proposal)
        assert (followed.fate, followed.commit) == (Fate.UNPROVEN, at.people.tip("main"))
        assert "others came in between" in followed.reason


@BOTH
async def test_a_branch_that_moved_is_proven_again_in_the_same_pull_request(kind, bench):
    async with bench(kind) as at:
        first = await at.proven()
        await at.propose(first)
        at.people.push("main", "README.md", "others\n")
        followed = await at.follow(first)
        assert followed.fate is Fate.MOVED
        for _ in range(2):
            await tell(at.forge, 1, f"moved to {followed.commit}", followed.reason)
        assert len(at.server.pulls[0].comments) == 1
        second = await at.proven(decision="d2")
        text = Text(title="outerloop: again", body="Proven again.\n")
        assert (await at.propose(second, text)).number == 1
        assert at.people.tip(HEAD) == second.release
        assert (at.server.pulls[0].title, at.server.pulls[0].body) == (text.title, text.body)
        assert await recall(at.repository, "c1") == second
        at.server.merge(1, "merge")
        assert (await at.follow(second)).fate is Fate.PROVEN
        assert len(at.server.pulls) == 1


async def test_a_suite_that_moved_is_as_good_as_a_branch(bench):
    async with bench(GitLabServer) as at:
        proposal = await at.proven()
        await at.propose(proposal)
        tree = await at.repository.tree_with(None, {"evals/e9/eval.yaml": b"another"})
        suite = await at.repository.commit(tree, [], "Add eval e9", when=WHEN, author=TEAM)
        await at.repository.push_atomic([RefUpdate(REF, suite, "")])
        followed = await at.follow(proposal)
        assert (followed.fate, "suite moved" in followed.reason) == (Fate.MOVED, True)
        at.server.merge(1, "merge")
        followed = await at.follow(proposal)
        assert (followed.fate, "older suite" in followed.reason) == (Fate.UNPROVEN, True)
        # With its own certificate in it the suite is what this change made of it.
        certified = {"certificates/d1.json": proposal.certificate.to_json()}
        ours = await at.repository.commit(
            await at.repository.tree_with(suite, certified), [suite], "Ship", when=WHEN, author=TEAM
        )
        await at.repository.push_atomic([RefUpdate(REF, ours, suite)])
        assert (await at.follow(proposal)).fate is Fate.PROVEN


@BOTH
async def test_closed_by_a_person_is_told_from_taken_back(kind, bench):
    async with bench(kind) as at:
        proposal = await at.proven()
        await at.propose(proposal)
        at.server.pulls[0].state = "closed"
        at.people.git("update-ref", "-d", f"refs/heads/{HEAD}")
        assert (await at.follow(proposal)).fate is Fate.CLOSED
        assert (await at.propose(proposal)).state is State.CLOSED
        assert not at.people.tip(HEAD)
        at.server.pulls[0].state = "open"
        for _ in range(2):
            await withdraw(at.forge, 1, "it does not pass on the new head")
        assert (at.server.pulls[0].state, len(at.server.pulls[0].comments)) == ("closed", 1)
        assert (await at.follow(proposal)).fate is Fate.WITHDRAWN


async def test_a_merge_that_one_side_does_not_show_yet_is_looked_at_later(bench):
    async with bench(GitHubServer) as at:
        proposal = await at.proven()
        assert (await at.follow(proposal)).fate is Fate.MISSING
        await at.propose(proposal)
        at.people.move("main", proposal.release)  # pushed by hand, and the forge has not noticed
        assert (await at.follow(proposal)).fate is Fate.MERGING
        pull = at.server.pulls[0]
        pull.state, pull.merge_commit = "merged", "0" * 39 + "1"  # it has, and names a commit of its own
        followed = await at.follow(proposal)
        assert (followed.fate, followed.commit) == (Fate.PROVEN, proposal.release)
        at.people.move("main", proposal.certificate.base_commit)
        assert (await at.follow(proposal)).fate is Fate.MERGING
        pull.merge_commit = proposal.release
        followed = await at.follow(proposal)
        assert (followed.fate, "does not hold" in followed.reason) == (Fate.UNPROVEN, True)


@BOTH
async def test_of_many_pull_requests_the_open_one_of_this_repository_counts(kind, bench):
    async with bench(kind) as at:
        proposal = await at.proven()
        at.server.pulls = [
            Pull(1, HEAD, "main", "a fork's", "", state="merged", fork=True, merge_commit="1" * 40)
        ]
        at.server.pulls.append(Pull(2, HEAD, "other", "to another branch", "", state="closed"))
        assert (await at.follow(proposal)).fate is Fate.MISSING
        assert (await at.propose(proposal)).number == 3
        at.server.pulls.append(Pull(4, HEAD, "main", "closed later", "", state="closed"))
        assert (await at.follow(proposal)).pull_request.number == 3
        at.server.pulls[2].state = "closed"
        followed = await at.follow(proposal)
        assert (followed.fate, followed.pull_request.number) == (Fate.CLOSED, 4)
        at.server.pulls += [Pull(number, f"work-{number}", "main", "theirs", "") for number in range(5, 155)]
        assert (await at.follow(proposal)).fate is Fate.CLOSED


async def test_a_merge_in_the_making_is_not_out_of_date(bench):
    async with bench(GitLabServer) as at:
        proposal = await at.proven()
        await at.propose(proposal)
        at.server.pulls[0].state = "locked"
        at.people.push("main", "README.md", "others\n")
        assert (await at.follow(proposal)).fate is Fate.MERGING


@BOTH
async def test_comments_are_all_read(kind, bench):
    async with bench(kind) as at:
        await at.propose(await at.proven())
        at.server.pulls[0].comments = [f"{number} {'x' * 20_000}" for number in range(250)]
        assert await at.forge.comments(1) == at.server.pulls[0].comments
        at.server.pulls[0].comments = at.server.pulls[0].comments[:200]
        assert len(await at.forge.comments(1)) == 200


async def test_what_somebody_put_in_place_of_a_proposal_is_refused(bench):
    async with bench(GitHubServer) as at:
        proposal = await at.proven()
        await at.propose(proposal)
        at.people.git("update-ref", proposal_ref("c1"), proposal.release)
        await at.repository.fetch()
        with pytest.raises(UserError, match="does not hold a certificate"):
            await recall(at.repository, "c1")


@BOTH
async def test_the_largest_text_is_taken(kind, bench):
    async with bench(kind) as at:
        proposal = await at.proven()
        priors = tuple(claim(Kind.PRIOR, f"eval-{number}", 20 + number % 5) for number in range(2000))
        titles = {each.name: f"{each.name} {'@' * 300}" for each in priors} | {"e1": "#1 " * 300}
        certificate = certify("a" * 40, "b" * 40, claims=(claim(Kind.NEW, "e1"), *priors))
        text = pull_request_text(certificate, diagnosis="@`" * 50_000, titles=titles, branch="main")
        await at.propose(proposal, text)
        assert at.server.pulls[0].body == text.body
        assert "1960 more earlier evals are proven" in text.body


REFUSALS: list[tuple[int, dict[str, str], Any, type[Exception], str]] = [
    (401, {}, {"message": "Bad credentials"}, UserError, "OUTERLOOP_GATE_FORGE_TOKEN is not accepted"),
    (403, {}, {"message": "No"}, UserError, "OUTERLOOP_GATE_FORGE_TOKEN is not allowed to do this: it takes"),
    (403, {"X-Accepted-GitHub-Permissions": "pull_requests=write"}, {}, UserError, "pull_requests=write"),
    (403, {"Retry-After": "7"}, {"message": "secondary rate limit"}, OutageError, "wait 7 s"),
    (403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "RESET"}, {}, OutageError, "wait [89]\\d s"),
    (403, {}, {"message": "You have exceeded a secondary rate limit."}, OutageError, "wait 60 s"),
    (429, {}, {"message": "Retry later"}, OutageError, "wait 60 s: GET /api.*Retry later"),
    (429, {"RateLimit-Reset": "RESET"}, {}, OutageError, "wait [89]\\d s"),
    (
        404,
        {},
        {"message": "404 Project Not Found"},
        UserError,
        "no such repository, or OUTERLOOP_GATE_FORGE_T",
    ),
    (
        422,
        {},
        {"message": "Failed", "errors": [{"message": "head is odd"}]},
        UserError,
        "Failed; head is odd",
    ),
    (409, {}, {"message": ["one", "two"]}, UserError, "one; two"),
    (400, {}, {"message": {"title": ["is too long"]}}, UserError, "title: is too long"),
    (400, {}, {"error": "title is missing"}, UserError, "title is missing"),
    (301, {"Location": "http://127.0.0.1:1/"}, {}, UserError, "has moved: .* OUTERLOOP_AGENTS"),
    (500, {}, {}, OutageError, "fails: GET /api/"),
    (503, {"Retry-After": "3"}, "<html>", OutageError, "fails: GET /api/"),
    (200, {}, "<html>Sign in</html>", UserError, "is OUTERLOOP_GATE_FORGE_URL its API"),
    (200, {}, {"message": "hello"}, UserError, "OUTERLOOP_GATE_FORGE_URL is not the API it should be"),
]


@BOTH
async def test_each_refusal_says_what_to_do(kind, bench):
    async with bench(kind) as at:
        for status, headers, body, error, words in REFUSALS:
            given = {
                name: value.replace("RESET", f"{time.time() + 90:.0f}") for name, value in headers.items()
            }
            if isinstance(body, str):
                at.server.instead = [web.Response(status=status, headers=given, text=body)]
            else:
                said = dict(body, documentation_url=at.server.token)  # what a forge says may hold it
                at.server.instead = [web.json_response(said, status=status, headers=given)]
            with pytest.raises(error, match=words) as caught:
                await at.forge.find(HEAD, "main")
            assert at.server.token not in str(caught.value), status
        at.server.instead = [None, None]  # a connection that is cut is tried once more
        with pytest.raises(OutageError, match="cannot be reached"):
            await at.forge.find(HEAD, "main")
        settings = GateSettings(
            gate_forge="gitlab", gate_forge_url="http://", gate_forge_token=SecretStr("t")
        )
        with pytest.raises(UserError, match="OUTERLOOP_GATE_FORGE_URL"):
            await forge_of(settings, "git@git.example.com:a/b").find(HEAD, "main")


@BOTH
async def test_a_token_that_may_only_read_is_named(kind, bench):
    async with bench(kind) as at:
        at.server.read_only = True
        proposal = await at.proven()
        with pytest.raises(
            UserError, match=r"OUTERLOOP_GATE_FORGE_TOKEN is not allowed.*(pull_requests=write|api)"
        ):
            await at.propose(proposal)
        at.server.token = "another"
        with pytest.raises(UserError, match="OUTERLOOP_GATE_FORGE_TOKEN is not accepted"):
            await at.propose(proposal)


@BOTH
async def test_a_netrc_does_not_take_the_place_of_the_token(kind, bench, tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password mine\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    async with bench(kind) as at:
        assert await at.forge.find(HEAD, "main") is None
