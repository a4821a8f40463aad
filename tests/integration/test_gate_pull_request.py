"""Changes to a branch that only pull requests reach: proven by the gate, and merged by people, or not."""

# ruff: noqa: F811 - pytest's fixtures
import shutil
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import pytest
import pytest_asyncio
from pydantic import SecretStr

from engines.forges import Pull
from engines.github import GitHubServer
from engines.repositories import advance
from integration.test_gate import TERMS, Court, Hand, database, db, made, settings_of  # noqa: F401 - fixtures
from integration.test_signing import keygen
from outerloop.contracts.v1.change_pb2 import ChangeProposed
from outerloop.contracts.v1.decision_pb2 import (
    OBSTACLE_CONFLICT,
    OBSTACLE_PERSON,
    VERDICT_REJECT,
    VERDICT_SHIP,
    DecisionReached,
)
from outerloop.contracts.v1.release_pb2 import FINDING_ROLLBACK_ASKED, FINDING_WORSE
from outerloop.evals.suite import BRANCH
from outerloop.gate.core.watch import Counts
from outerloop.gate.court.rows import Rows
from outerloop.gate.forge.flow import proposal_ref, recall
from outerloop.gate.production.finding import Teller
from outerloop.gate.production.undoing import undo
from outerloop.gate.release import ledger
from outerloop.gate.release.ship import already_shipped
from outerloop.gate.verify.clone import open_clone
from outerloop.gate.verify.report import verify
from outerloop.runtime.bus import Bus
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.errors import UserError
from outerloop.runtime.git import Repository
from outerloop.store import releases

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Team:
    """An agent whose people merge, on a forge."""

    court: Court
    server: GitHubServer
    folder: Path

    async def look(self) -> None:
        """A gate that has just started looks at the change."""
        try:
            await self.court.gate().handle([self.court.delivery()])
        finally:
            await self.mirror.fetch()

    @property
    def mirror(self) -> Repository:
        return self.court.remote

    @property
    def pull(self) -> Pull:
        (only,) = self.server.pulls
        return only

    @property
    def head(self) -> str:
        return self.server.people.tip("main")

    @property
    def decision(self) -> DecisionReached:
        ((decision, _),) = self.court.hand.published
        return cast(DecisionReached, decision)

    async def trials(self) -> int:
        proposal = await recall(self.mirror, self.court.change.change_id)
        assert proposal is not None
        assert proposal.certificate.spending is not None
        return len(await Rows(self.court.db).of(proposal.certificate.spending.content))

    async def says(self, mode: str) -> str:
        text = TERMS.format(agent=self.court.agent) + f"release: {{mode: {mode}}}\n"
        return await advance(self.mirror, {"outerloop.yaml": text.encode()})


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk(tmp_path_factory: pytest.TempPathFactory, chdb: str, database: str, db: ClickHouse) -> Court:
    """An agent that says what its environment is, for a change that makes it do so."""
    folder = tmp_path_factory.mktemp("desk")
    settings = settings_of("", folder, chdb, database, ANTHROPIC_API_KEY="key")
    return await made(folder, settings, db, ["env", ""])


@pytest_asyncio.fixture(loop_scope="module")
async def team(desk: Court, tmp_path: Path) -> AsyncIterator[Team]:
    """A copy of its repository, and the same change under an id of its own: its trials are on record."""
    remote = tmp_path / "remote"
    shutil.copytree(desk.settings.agents.partition("=")[2], remote)
    change = ChangeProposed()
    change.CopyFrom(desk.change)
    change.change_id = f"c-{uuid.uuid4().hex[:8]}"
    async with GitHubServer(remote, "team/desk") as server:
        told = {
            "agents": f"{desk.agent}={server.git_url}",
            "cache": tmp_path / "gates",
            "gate_forge": "github",
            "gate_forge_token": SecretStr(server.token),
        }
        settings = desk.settings.model_copy(update=told)
        mirror = await Repository.open(str(remote), tmp_path / "mirror")
        team = Team(Court(desk.agent, mirror, settings, Hand(), desk.db, change), server, tmp_path)
        await team.says("pull_request")
        yield team


needs_keygen = pytest.mark.skipif(not shutil.which("ssh-keygen"), reason="there is no ssh-keygen")


@pytest.mark.parametrize(
    ("how", "signed"), [pytest.param("merge", True, marks=needs_keygen), ("squash", False)]
)
async def test_what_a_person_merges_as_it_was_proven_ships(team: Team, how: str, *, signed: bool) -> None:
    if signed:
        key = keygen(team.folder / "key").path
        team.court.settings = team.court.settings.model_copy(update={"gate_signing_key": key})
    base = team.head
    team.server.lose_answer = True
    await team.look()  # it is opened, and the gate does not learn of it
    trials = await team.trials()
    for _ in range(2):
        await team.look()
    assert (team.pull.state, team.head, team.court.hand.published) == ("open", base, [])
    assert all(said in team.pull.body for said in ("## Proof", "The policy is long-winded", "`It answers`"))
    assert not team.server.people.tip(BRANCH)
    team.server.merge(1, how)
    for _ in range(2):
        await team.look()
    assert (team.decision.verdict, team.decision.shipped_commit) == (VERDICT_SHIP, team.head)
    assert [(claim.kind, claim.state) for claim in team.decision.claims] == [("new", "certified")]
    assert team.decision.claims[0].log_e_above > 1
    assert trials == await team.trials() > 0
    await is_right(team)
    if signed:
        refs = (BRANCH, ledger.REF, f"outerloop/change/{team.court.change.change_id}", proposal_of(team))
        assert all("\ngpgsig " in team.server.people.git("cat-file", "commit", ref) for ref in refs)


def proposal_of(team: Team) -> str:
    return proposal_ref(team.court.change.change_id)


async def is_right(team: Team) -> None:
    """What git alone tells, once a person has merged."""
    shipped = await already_shipped(team.mirror, team.court.change.change_id)
    assert shipped is not None
    assert shipped.commit == team.head
    assert (await ledger.read(team.mirror))[0].open_or_failed == 0
    clone = await open_clone(team.server.people.remote)
    for revision in ("", team.head, f"{team.head}~..{team.head}"):
        report = await verify(clone, revision)
        assert report.findings == ()
        assert [each.decision_id for each in report.verified] == [team.decision.decision_id]


async def test_a_branch_that_moved_is_judged_again_for_the_same_pull_request(team: Team) -> None:
    await team.look()
    first = team.server.people.tip(team.pull.head)
    await advance(team.mirror, {"README.md": b"others\n"})
    await team.look()
    second = team.server.people.tip(team.pull.head)
    assert team.server.people.git("rev-parse", f"{second}~") == team.head
    assert second != first
    assert team.head[:12] in team.pull.comments[0]
    assert team.head[:12] in team.pull.body
    # No confirmation failed, however often the branch moves.
    assert (await ledger.read(team.mirror))[0].open_or_failed == 0
    team.server.merge(1, "merge")
    await team.look()
    assert team.decision.verdict == VERDICT_SHIP
    await is_right(team)
    assert f"`git revert -m 1 {team.head}` undoes it" in await asked_to_undo(team)


async def asked_to_undo(team: Team) -> str:
    db, change = team.court.db, team.court.change.change_id
    (release,) = [each for each in await releases.shipped(db, team.court.agent) if each.change_id == change]
    teller = Teller(cast(Bus, team.court.hand), db)
    worse = await teller.tell(release, FINDING_WORSE, subject="m1", reason="Bad", counts=Counts(9, 9))
    found = {FINDING_WORSE: worse}
    await undo(teller, team.mirror, "main", release, found, ask="")
    return found[FINDING_ROLLBACK_ASKED].reason


Spoil = Callable[[Team], Awaitable[object]]


async def closed(team: Team) -> None:
    team.pull.state = "closed"


async def edited(team: Team) -> None:
    team.server.people.push(team.pull.head, "prompts/mine.md", "mine\n")
    for _ in range(2):
        await team.look()  # as long as nobody merges it, it may be set back
    assert (len(team.pull.comments), team.court.hand.published) == (1, [])
    team.server.merge(1, "merge")


async def rewritten(team: Team) -> None:
    await advance(team.mirror, {"prompts/policy.md": b"Be brisk.\n"})


@pytest.mark.parametrize(
    ("spoil", "obstacle", "said"),
    [
        (closed, OBSTACLE_PERSON, ""),
        (edited, OBSTACLE_PERSON, "This is not certified: a person changed it"),
        (rewritten, OBSTACLE_CONFLICT, "The gate takes this back"),
    ],
)
async def test_what_people_do_not_take_is_rejected(
    team: Team, spoil: Spoil, obstacle: int, said: str
) -> None:
    await team.look()
    await spoil(team)
    head = team.head
    for _ in range(2):
        await team.look()
    assert (team.decision.verdict, team.decision.obstacle) == (VERDICT_REJECT, obstacle)
    assert team.pull.state in {"closed", "merged"}
    assert said in "".join(team.pull.comments)
    assert team.head == head
    assert not team.server.people.tip(BRANCH)


async def test_an_agent_whose_gate_may_push_by_now_is_pushed_to(team: Team) -> None:
    await team.look()
    await team.says("push")
    await team.look()
    assert (team.decision.verdict, team.decision.shipped_commit) == (VERDICT_SHIP, team.head)
    assert (team.pull.state, "`release.mode` is push" in team.pull.comments[-1]) == ("closed", True)


async def test_without_a_token_nothing_is_tried(team: Team, caplog: pytest.LogCaptureFixture) -> None:
    team.court.settings = team.court.settings.model_copy(update={"gate_forge_token": None})
    await team.look()
    assert "waits: an agent's `release.mode` is pull_request: set OUTERLOOP_GATE_FORGE_TOKEN" in caplog.text
    assert await team.mirror.resolve(ledger.REF) is None


async def test_a_key_that_cannot_sign_stops_the_gate_at_once(desk: Court, tmp_path: Path) -> None:
    settings = desk.settings.model_copy(update={"gate_signing_key": tmp_path / "key"})
    with pytest.raises(UserError, match="OUTERLOOP_GATE_SIGNING_KEY"):
        await replace(desk, settings=settings).gate().look()
