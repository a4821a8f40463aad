"""`outerloop verify` in real repositories: what the gate shipped is right, and what was edited is found."""

import asyncio
import json
import re
import shutil
import subprocess
from dataclasses import replace
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from engines.repositories import AGENT, POLICY, TEAM, WHEN, advance, agent_repository
from engines.shipments import certified, entry, shipped
from outerloop.cli import app
from outerloop.evals.suite import REF as SUITE
from outerloop.evals.suite import burial, files_of
from outerloop.gate.core.certificate import Certificate, sha256
from outerloop.gate.core.entries import appended
from outerloop.gate.core.spending import Released, Renewed, Reserved
from outerloop.gate.forge.flow import proposal_ref
from outerloop.gate.people.retire import retire
from outerloop.gate.production.rollback import Undone, roll_back
from outerloop.gate.release import ledger
from outerloop.gate.release.ship import whole_suite
from outerloop.gate.verify.clone import FETCH, open_clone
from outerloop.gate.verify.report import verify
from outerloop.runtime.errors import UserError
from outerloop.runtime.git import Repository
from outerloop.store.releases import Shipped

PROMPT = "prompts/policy.md"
MAIN = "refs/heads/main"


def git(folder, *arguments, **options):
    return subprocess.check_output(["git", "-C", str(folder), *arguments], text=True, **options).strip()


def of_change(change_id, eval_id, commit):
    return Shipped(
        decision_id=f"decision-of-{change_id}",
        change_id=change_id,
        agent="helpdesk",
        mode_id="m1",
        eval_id=eval_id,
        commit=commit,
        at=WHEN,
    )


async def rolled_back(repository, release):
    undone = await roll_back(repository, "main", release, "errors rose", when=WHEN)
    assert isinstance(undone, Undone)
    return undone.commit


async def _history(folder):
    """Two changes, work by the team, and a rollback of the second change."""
    terms = AGENT["outerloop.yaml"] + b"depends: {e1: [tools/**], e2: [prompts/**]}\n"
    repository, _ = await agent_repository(folder, {**AGENT, "outerloop.yaml": terms})
    policy = POLICY.replace("Rule 3: be", "Rule 3: stay")
    one = await shipped(repository, "c1", "e1", {PROMPT: policy.encode()})
    team = await advance(repository, {"README.md": b"x\n"})
    policy = policy.replace("Rule 18: be", "Rule 18: always be")
    two = await shipped(repository, "c2", "e2", {PROMPT: policy.encode()})
    undone = await rolled_back(repository, of_change("c2", "e2", two))
    return SimpleNamespace(folder=folder, one=one, team=team, two=two, undone=undone)


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    return asyncio.run(_history(tmp_path_factory.mktemp("history")))


@pytest.fixture
def world(history, tmp_path):
    """A copy of it that a test may spoil; `repository` is the gate's mirror of `remote`."""
    for name in ("remote", "cache"):
        shutil.copytree(history.folder / name, tmp_path / name)
    repository = Repository(str(tmp_path / "remote"), tmp_path / "cache")
    about = {name: getattr(history, name) for name in ("one", "team", "two", "undone")}
    return SimpleNamespace(remote=tmp_path / "remote", repository=repository, **about)


async def findings(world, revision=""):
    report = await verify(await open_clone(world.remote), revision)
    return "\n".join(f"{each.commit} {each.what}" for each in report.findings)


async def push(world, ref, tree, parents, message="x"):
    """Somebody forces a commit of this tree onto a ref of the remote."""
    commit = await world.repository.commit(tree, parents, message, when=WHEN, author=TEAM)
    git(world.repository.directory, "push", "-q", "--force", str(world.remote), f"{commit}:{ref}")
    await world.repository.fetch()
    return commit


async def edited(world, ref, files, parents=None):
    """Somebody commits other files (None removes one) onto a branch, or in the place of its head."""
    head = git(world.remote, "rev-parse", ref)
    plain = {path: None if content is None else ("100644", content) for path, content in files.items()}
    tree = await world.repository._tree_with(head, plain)
    return await push(world, ref, tree, [head] if parents is None else parents)


def certificate_of(world, change):
    path = f"certificates/decision-of-{change}.json"
    return path, subprocess.check_output(["git", "-C", str(world.remote), "show", f"{SUITE}:{path}"])


def message_of(world, commit):
    return git(world.remote, "log", "-1", "--format=%B", commit)


async def test_what_the_gate_shipped_is_found_to_be_right(world):
    report = await verify(await open_clone(world.remote))
    assert report.findings == ()
    assert [(each.commit, each.kind) for each in report.verified] == [
        (world.one, "change"),
        (world.two, "change"),
        (world.undone, "rollback"),
    ]
    clone = await open_clone(world.remote)
    assert [each.commit for each in (await verify(clone, world.two)).verified] == [world.two]
    assert [each.commit for each in (await verify(clone, f"{world.one}..main~1")).verified] == [world.two]


async def test_where_nothing_was_shipped_nothing_is_wrong(tmp_path):
    await agent_repository(tmp_path)
    report = await verify(await open_clone(tmp_path / "remote"))
    assert (report.verified, report.findings) == ((), ())


LOOSER = files_of(replace(entry("e1"), eval=entry("e1").eval.model_copy(update={"margin": 0.4})))
SUITE_EDITS = {
    "an eval loosened": (LOOSER, "evals/e1/eval.yaml was changed"),
    "an eval removed": (dict.fromkeys(LOOSER), "evals/e1/eval.yaml was removed"),
    "a certificate edited": (
        {"certificates/decision-of-c1.json": b"{}\n"},
        "certificates/decision-of-c1.json was changed",
    ),
    "an eval smuggled in": (files_of(entry("e9")), "grew by other than one certificate with its eval"),
    "a certificate forged": ({"certificates/d9.json": b"{}\n"}, "certificates/d9.json: kind: Field required"),
}


@pytest.mark.parametrize("edit", SUITE_EDITS)
async def test_what_was_done_to_the_suite_is_found_and_by_which_commit(world, edit):
    files, sentence = SUITE_EDITS[edit]
    commit = await edited(world, SUITE, files)
    assert re.search(f"{commit} .*{re.escape(sentence)}", await findings(world))


def retiring(world, eval_id, reason="we sell no lamps"):
    return retire(world.repository, eval_id, by="ada", reason=reason, when=WHEN)


async def test_what_a_person_retired_is_asked_of_no_later_change_and_all_is_right(world):
    commit = await retiring(world, "e1")
    assert git(world.remote, "rev-parse", SUITE) == commit
    assert await retiring(world, "e1", "again") == commit  # it stays as it is
    suite = await whole_suite(world.repository)
    assert suite.get("e1") is None
    assert [each.eval.id for each in suite.retired] == ["e1"]
    stone = json.loads(git(world.remote, "show", f"{SUITE}:retired/e1.json"))
    assert (stone["retired_by"], stone["reason"]) == ("ada", "we sell no lamps")
    assert git(world.remote, "show", f"{SUITE}:evals/e1/eval.yaml")  # the suite only grows
    three = await shipped(world.repository, "c3", "e3", {"prompts/new.md": b"Be brief.\n"})
    report = await verify(await open_clone(world.remote))
    assert report.findings == ()
    assert report.verified[-1].commit == three
    _, certificate = certificate_of(world, "c3")
    claimed = {c["name"] for c in json.loads(certificate)["claims"] if c["kind"] in {"prior", "new"}}
    assert claimed == {"e2", "e3"}


async def test_who_retired_an_eval_and_why_is_told_also_before_the_next_certificate(world):
    commit = await retiring(world, "e1")
    report = await verify(await open_clone(world.remote))
    assert report.findings == ()
    (retired,) = report.retired
    assert (retired.commit, retired.eval_id, retired.by, retired.why, retired.at) == (
        commit,
        "e1",
        "ada",
        "we sell no lamps",
        WHEN,
    )
    await shipped(world.repository, "c3", "e3", {"prompts/new.md": b"Be brief.\n"})
    assert (await verify(await open_clone(world.remote))).retired == (retired,)


@pytest.mark.parametrize(
    ("stone", "sentence"),
    [
        ({"retired_by": " "}, "retired/e1.json does not say who retired it, and why"),
        ({"reason": ""}, "retired/e1.json: reason: String should have at least 1 character"),
        ({"content_sha256": "0"}, "retired/e1.json is of no eval that the suite held then"),
    ],
)
async def test_a_tombstone_without_a_person_a_reason_or_an_eval_is_found(world, stone, sentence):
    true = await whole_suite(world.repository)
    said = burial(true, "e1", by="ada", reason="so", when=WHEN)["retired/e1.json"]
    content = json.dumps(json.loads(said) | stone).encode()
    commit = await edited(world, SUITE, {"retired/e1.json": content})
    assert f"{commit} {sentence}" in await findings(world)


async def test_what_is_retired_does_not_come_back(world):
    await retiring(world, "e1")
    with pytest.raises(UserError, match="eval e1 was retired"):
        await shipped(world.repository, "c3", "e1", {"prompts/new.md": b"Be brief.\n"})


async def test_what_the_suite_never_had_leaves_no_tombstone(world):
    assert await retiring(world, "e9") is None


@pytest.mark.parametrize("reason", ["", " "])
async def test_nothing_is_retired_without_a_reason(world, reason):
    with pytest.raises(UserError, match="and why, must be said"):
        await retiring(world, "e1", reason)


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({"retired/e1.json": None}, "retired/e1.json was removed"),
        ({"retired/e1.json": b"{}\n"}, "retired/e1.json was changed"),
    ],
)
async def test_a_tombstone_stays(world, files, sentence):
    await retiring(world, "e1")
    commit = await edited(world, SUITE, files)
    assert f"{commit} the suite's {sentence}" in await findings(world)


@pytest.mark.parametrize(
    ("stone", "sentence"),
    [
        (b"{}", "retired/e1.json: eval_id: Field required"),
        ({"eval_id": "e2"}, "it is of eval 'e2', not of the one that its name says"),
        ({"content_sha256": "0"}, "is of no eval that the suite holds as it is"),
    ],
)
async def test_a_suite_with_a_false_tombstone_is_not_whole(world, stone, sentence):
    true = await whole_suite(world.repository)
    said = burial(true, "e1", by="ada", reason="so", when=WHEN)["retired/e1.json"]
    content = stone if isinstance(stone, bytes) else json.dumps(json.loads(said) | stone).encode()
    await edited(world, SUITE, {"retired/e1.json": content})
    with pytest.raises(UserError, match=re.escape(sentence)):
        await whole_suite(world.repository)


async def test_a_merge_into_the_suite_is_found(world):
    head = git(world.remote, "rev-parse", SUITE)
    tree = await world.repository.tree_of(head)
    commit = await push(world, SUITE, tree, [head, world.team])
    assert f"{commit} the suite branch has a merge" in await findings(world)


async def test_a_suite_that_was_moved_back_is_found(world):
    git(world.remote, "update-ref", SUITE, f"{SUITE}~2")
    found = await findings(world)
    assert re.search(f"{world.two} the suite branch has no certificate [0-9a-f]{{64}}", found)
    assert re.search(f"{world.undone} the suite branch has no certificate", found)
    assert world.one not in found


async def test_a_suite_that_was_written_anew_is_found(world):
    """History and all, so that nothing was ever changed in it: what was shipped names the old one."""
    path, content = certificate_of(world, "c2")
    softer = Certificate.from_json(content)
    softer = replace(softer, standings={**softer.standings, "e1": replace(softer.standings["e1"], bar=0.3)})
    first = git(world.remote, "rev-parse", f"{SUITE}~2")
    tree = await world.repository.tree_with(first, {path: softer.to_json(), **files_of(entry("e2"))})
    await push(world, SUITE, tree, [first])
    found = await findings(world)
    assert f"{world.two} the suite branch has no certificate" in found
    assert "certificate decision-of-c2 is of no commit of the release branch" in found
    assert re.search(r"the bar of eval e1 is lowered from 0\.\d+ to 0\.3", found)


async def test_an_eval_that_goes_by_another_name_is_found(world):
    head, first = (git(world.remote, "rev-parse", f"{SUITE}{back}") for back in ("~1", "~2"))
    renamed = entry("e2").eval.model_copy(update={"id": "e9"}).to_yaml().encode()
    tree = await world.repository.tree_with(head, {"evals/e2/eval.yaml": renamed})
    commit = await push(world, SUITE, tree, [first])
    what = "evals/e2/eval.yaml: its id is 'e9', not the name of its directory"
    assert f"{commit} {what}" in await findings(world)


async def test_an_eval_that_was_loosened_where_it_came_in_is_found(world):
    head, first = (git(world.remote, "rev-parse", f"{SUITE}{back}") for back in ("~1", "~2"))
    loosened = files_of(replace(entry("e2"), eval=entry("e2").eval.model_copy(update={"margin": 0.4})))
    await push(world, SUITE, await world.repository.tree_with(head, loosened), [first])
    assert f"{world.two} it does not claim its new eval e2 once, as it is in the suite" in await findings(
        world
    )


async def amended(world, files=None, parents=None, message=None):
    """Somebody amends the second change on the release branch."""
    tree = await world.repository.tree_with(world.two, files or {})
    return await push(
        world,
        MAIN,
        tree,
        [world.team] if parents is None else parents,
        message or message_of(world, world.two),
    )


async def test_a_shipped_commit_that_was_amended_is_found(world):
    commit = await amended(world, files={PROMPT: b"Anything goes.\n"})
    found = await findings(world)
    assert re.search(f"{commit} its tree is [0-9a-f]{{40}}, and [0-9a-f]{{40}} was proven", found)
    assert "certificate rollback" not in found
    assert "is of no commit of the release branch" in found  # the rollback, which is gone


async def test_a_shipped_commit_on_another_base_is_found(world):
    commit = await amended(world, parents=[world.one])
    assert f"{commit} it is built on {world.one}, not on {world.team}" in await findings(world)
    merge = await amended(world, parents=[world.team, world.one])
    assert f"{merge} it is built on {world.team} and {world.one}, not" in await findings(world)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("Decision", "forged", "its Decision is forged, and decision-of-c2 in its certificate"),
        ("Mode", "", "its Mode is missing, and m1 in its certificate"),
        ("Certificate", "f" * 64, f"the suite branch has no certificate {'f' * 64}"),
        ("Certificate", "", r"the suite branch has no certificate \(its message names none\)"),
    ],
)
async def test_a_trailer_that_was_edited_is_found(world, name, value, sentence):
    trailer = f"Outerloop-{name}: {value}" if value else ""
    message = re.sub(
        rf"\nOuterloop-{name}: \S+", f"\n{trailer}" if trailer else "", message_of(world, world.two)
    )
    commit = await amended(world, message=message)
    assert re.search(f"{commit} {sentence}", await findings(world))


async def test_a_proof_that_is_used_again_is_found(world):
    tree = await world.repository.tree_of(world.two)
    message = "Again\n\n" + message_of(world, world.two)
    again = await push(world, "refs/heads/again", tree, [world.team], message)
    head = git(world.remote, "rev-parse", MAIN)
    await push(world, MAIN, await world.repository.tree_of(head), [head, again])
    found = await findings(world)
    for commit in (again, world.two):
        assert f"{commit} another commit of the branch names the same certificate" in found


@pytest.mark.parametrize("quoted", ["one", "two", "undone"])
async def test_a_message_that_quotes_a_release_is_one_finding(world, quoted):
    """A person squashes what came with a release's message: the release itself is right."""
    head, release = git(world.remote, "rev-parse", MAIN), getattr(world, quoted)
    tree = await world.repository.tree_with(head, {"tests/test_prompt.py": b"\n"})
    commit = await push(world, MAIN, tree, [head], "Our own (#7)\n\n" + message_of(world, release))
    (found,) = (await findings(world)).splitlines()
    assert found.startswith(f"{commit} its tree is {tree}, and ")
    assert f"; it is built on {head}, not on " in found
    assert await findings(world, release) == ""


async def test_a_merge_that_a_message_quotes_later_is_right(world):
    proven = await world.repository.tree_of(world.two)
    squash = await push(world, MAIN, proven, [world.team], "Mend e2 (#2)")
    tree = await world.repository.tree_with(squash, {"README.md": b"y\n"})
    quoting = await push(world, MAIN, tree, [squash], message_of(world, world.two))
    report = await verify(await open_clone(world.remote))
    wrong = {each.commit: len(each.wrong) for each in report.verified}
    assert wrong == {world.one: 0, quoting: 1, squash: 0}


async def test_what_is_quoted_is_no_trailer(world):
    head = git(world.remote, "rev-parse", MAIN)
    tree = await world.repository.tree_with(head, {"README.md": b"y\n"})
    await push(world, MAIN, tree, [head], message_of(world, world.one) + "\n\nI like that one.\n")
    assert await findings(world) == ""


async def test_a_release_that_was_taken_off_the_branch_is_found(world):
    git(world.remote, "update-ref", MAIN, world.one)
    assert "certificate decision-of-c2 is of no commit of the release branch" in await findings(world)
    assert await findings(world, world.one) == ""


async def test_branches_that_were_all_moved_back_are_found(world):
    """They agree, and an eval is gone; what was shipped has left refs besides."""
    git(world.remote, "update-ref", MAIN, world.one)
    git(world.remote, "update-ref", SUITE, f"{SUITE}~2")
    await spent_back(world)
    told = "is at it, and no certificate of the suite says so"
    gone = f"{told}, and main does not have it"
    assert (await findings(world)).splitlines() == [
        f"{world.two} refs/outerloop/changes/c2 {gone}",
        f"{world.undone} refs/outerloop/rollbacks/decision-of-c2 {gone}",
    ]
    # Nor does it help to set them to what is still there.
    for ref in ("changes/c2", "decisions/decision-of-c2", "rollbacks/decision-of-c2"):
        git(world.remote, "update-ref", f"refs/outerloop/{ref}", world.one)
        assert f"{world.one} refs/outerloop/" in await findings(world)
    assert f"{world.one} refs/outerloop/changes/c2 {told}" in await findings(world)


async def spent_back(world):
    """The ledger is moved back with them."""
    git(world.remote, "update-ref", ledger.REF, f"{ledger.REF}~2")


async def test_a_branch_that_was_moved_back_with_all_proof_deleted_is_no_new_one(world):
    git(world.remote, "update-ref", MAIN, f"{world.one}~1")
    for ref in (SUITE, ledger.REF):
        git(world.remote, "update-ref", "-d", ref)
    with pytest.raises(UserError, match="no suite branch is here"):
        await findings(world)


async def test_what_a_person_merged_is_known_by_what_it_does(world):
    proven = await world.repository.tree_of(world.two)
    squash = await push(world, MAIN, proven, [world.team], "Mend e2 (#2)\n\n* Mend e2")
    report = await verify(await open_clone(world.remote), squash)
    assert [(each.commit, each.wrong) for each in report.verified] == [(squash, ())]
    assert "certificate decision-of-c2" not in await findings(world)
    merge = await push(world, MAIN, proven, [world.team, world.two], message_of(world, world.two))
    assert merge not in await findings(world)
    await edited(world, MAIN, {PROMPT: b"Anything goes.\n"}, [world.team])
    assert "certificate decision-of-c2 is of no commit of the release branch" in await findings(world)


async def test_a_patch_outside_of_what_may_change_is_found(world):
    terms = b"agent: helpdesk\nrun: [x]\nmutable: ['**']\n"
    commit = await shipped(world.repository, "c3", "e3", {"helpdesk.py": b"evil\n", "outerloop.yaml": terms})
    found = await findings(world)
    assert f"{commit} 'helpdesk.py' is not in `mutable` (prompts/**, tools/*.yaml)" in found
    assert f"{commit} 'outerloop.yaml' is never open to change" in found


def _spending(**edits):
    return lambda certificate: replace(certificate, spending=replace(certificate.spending, **edits))


CERTIFICATE_EDITS = {
    "a bar lowered": (
        lambda c: replace(c, standings={**c.standings, "e1": replace(c.standings["e1"], bar=0.3)}),
        "the bar of eval e1 is lowered",
    ),
    "a ledger that never was": (_spending(ledger_commit="0" * 40), "has not reserved index 1"),
    "an older ledger": (_spending(ledger_commit="FIRST"), "has not reserved index 1"),
    "another agent": (
        lambda c: replace(c, agent="airline"),
        "of the agent airline, and its base of helpdesk",
    ),
    "another base's failure": (
        lambda c: replace(c, reproduced=replace(c.reproduced, commit="0" * 40)),
        "was reproduced at 0000",
    ),
}


@pytest.mark.parametrize("edit", CERTIFICATE_EDITS)
async def test_a_certificate_that_does_not_prove_it_is_found(world, edit):
    """Shipped by a gate that somebody has bent: branch, suite and certificate agree."""
    bend, sentence = CERTIFICATE_EDITS[edit]
    first = git(world.remote, "rev-list", "--max-parents=0", ledger.REF)

    def bent(certificate):
        done = bend(certificate)
        known = done.spending.ledger_commit == "FIRST"
        return _spending(ledger_commit=first)(done) if known else done

    commit = await shipped(world.repository, "c3", "e3", {PROMPT: b"New.\n"}, edit=bent)
    assert re.search(f"{commit} .*{sentence}", await findings(world))


async def test_what_a_change_cannot_affect_is_inherited_and_nothing_else(world):
    await shipped(world.repository, "c3", "e3", {PROMPT: b"New.\n"}, inherits=["e1"])
    assert await findings(world) == ""
    commit = await shipped(world.repository, "c4", "e4", {PROMPT: b"Newer.\n"}, inherits=["e1", "e2"])
    assert await findings(world) == (
        f"{commit} eval e2 is inherited, and 'prompts/policy.md', on which it depends, is not what it was"
    )


async def test_nothing_is_inherited_across_other_terms(world):
    terms = AGENT["outerloop.yaml"] + b"depends: {e2: [tools/**], e1: [prompts/**]}\n"
    await advance(world.repository, {"outerloop.yaml": terms})
    commit = await shipped(world.repository, "c3", "e3", {PROMPT: b"New.\n"}, inherits=["e2"])
    found = await findings(world)
    assert f"{commit} evals are inherited from decision-of-c2, which had another outerloop.yaml" in found


async def test_a_rollback_that_does_more_is_found(world):
    tree = await world.repository.tree_with(world.undone, {PROMPT: b"Anything goes.\n"})
    decision = git(world.remote, "log", "-1", "--format=%(trailers:key=Outerloop-Decision,valueonly)", SUITE)
    path = f"certificates/{decision}.json"
    honest = await world.repository.show(git(world.remote, "rev-parse", SUITE), path)
    bent = replace(Certificate.from_json(honest), candidate_tree=tree).to_json()
    grown = await world.repository.tree_with(git(world.remote, "rev-parse", f"{SUITE}~1"), {path: bent})
    await push(world, SUITE, grown, [git(world.remote, "rev-parse", f"{SUITE}~1")])
    message = message_of(world, world.undone).replace(sha256(honest), sha256(bent))
    commit = await push(world, MAIN, tree, [world.two], message)
    found = await findings(world)
    assert f"{commit} it is not its base without what {world.two} had changed" in found


async def test_a_rollback_of_what_was_not_shipped_is_found(world):
    mine = await advance(world.repository, {PROMPT: b"What the team says.\n"})
    commit = await rolled_back(world.repository, of_change("c9", "e1", mine))
    assert f"{commit} it undoes {mine}, which was not shipped" in await findings(world)


async def test_a_ledger_that_was_edited_is_found(world):
    text = git(world.remote, "show", f"{ledger.REF}:{ledger.NAME}") + "\n"
    commit = await edited(world, ledger.REF, {ledger.NAME: text.replace("T", "t", 1).encode()})
    found = await findings(world)
    assert f"{commit} the ledger was not appended to by one entry, but rewritten" in found
    assert f"{commit} the ledger is broken: {ledger.NAME}:2: does not follow the line before it" in found


async def spent(world, *entries, why=""):
    """Somebody appends these to the ledger, as the gate would; the commit of the last one."""
    commit = ""
    for each in entries:
        text = git(world.remote, "show", f"{ledger.REF}:{ledger.NAME}").encode() + b"\n"
        commit = await edited(world, ledger.REF, {ledger.NAME: appended(text, each, WHEN, why)})
    return commit


async def test_error_that_is_given_back_for_a_failure_is_found(world):
    await spent(world, Reserved("failed-one", 1))
    assert await findings(world) == ""
    commit = await spent(world, Released("failed-one"))
    assert await findings(world) == f"{commit} the ledger releases failed-one, which nothing proves"


async def proposed(world, change, tree, *before, edit=lambda certificate: certificate):
    """What a pull request leaves while nobody has merged it, with its error released."""
    certificate = edit(await certified(world.repository, change, entry("e3"), tree, ()))
    release = await push(world, f"refs/heads/outerloop/change/{change}", tree, [certificate.base_commit])
    kept = await world.repository.tree_with(None, {"certificate.json": certificate.to_json()})
    record = await push(world, proposal_ref("c3"), kept, [release, *before])
    await spent(world, Released(certificate.spending.content))
    return record


async def test_error_that_was_given_back_for_what_people_have_not_merged_is_right(world):
    """Of what was proposed before the branch moved, too."""
    tree = await world.repository.tree_with(world.undone, {PROMPT: b"New.\n"})
    first = await proposed(world, "c3", tree)
    second = await proposed(world, "c3-again", tree, first)
    assert await findings(world) == ""
    git(world.remote, "update-ref", proposal_ref("c3"), first)
    assert re.search("the ledger releases [0-9a-f-]{36}, which nothing proves", await findings(world))

    def unproven(certificate):
        new = replace(certificate.claims[0], passed=0)
        return replace(certificate, claims=(new, *certificate.claims[1:]))

    third = await proposed(world, "c3-bent", tree, second, edit=unproven)
    await proposed(world, "c3-empty", tree, third, edit=lambda c: replace(c, claims=()))
    found = await findings(world)
    assert "and in what was proposed its new claim on e3 is not proven" in found
    assert "and in what was proposed nothing is claimed of its eval" in found
    assert found.count("the ledger releases") == 2


async def test_who_granted_the_error_once_more_is_told(world):
    await spent(world, Renewed("Ann", 1), why="all of them were one proposer")
    report = await verify(await open_clone(world.remote))
    assert report.findings == ()
    assert [(each.by, each.why) for each in report.renewals] == [("Ann", "all of them were one proposer")]


@pytest.mark.parametrize("how", ["moved back", "written anew"])
async def test_a_ledger_that_lost_an_entry_is_found(world, how):
    if how == "moved back":
        git(world.remote, "update-ref", ledger.REF, f"{ledger.REF}~2")
    else:
        await edited(world, ledger.REF, {}, parents=[])
    found = await findings(world)
    assert f"{world.two} the ledger that it names has not reserved index 1 for it" in found
    assert ("rewritten" in found) == (how == "written anew")


@pytest.mark.parametrize("named", ["", "f" * 40, "an older one"])
async def test_a_ledger_is_held_against_a_rollback_too(world, named):
    """Whoever moves it back behind a rollback would free what failed since the last shipment."""
    decision = git(world.remote, "log", "-1", "--format=%(trailers:key=Outerloop-Decision,valueonly)", SUITE)
    path = f"certificates/{decision}.json"
    honest = await world.repository.show(git(world.remote, "rev-parse", SUITE), path)
    certificate = Certificate.from_json(honest)
    assert certificate.ledger_commit == git(world.remote, "rev-parse", ledger.REF)
    older = git(world.remote, "rev-parse", f"{ledger.REF}~3") if " " in named else named
    bent = replace(certificate, ledger_commit=older).to_json()
    grown = await world.repository.tree_with(git(world.remote, "rev-parse", f"{SUITE}~1"), {path: bent})
    await push(world, SUITE, grown, [git(world.remote, "rev-parse", f"{SUITE}~1")])
    message = message_of(world, world.undone).replace(sha256(honest), sha256(bent))
    tree = await world.repository.tree_of(world.undone)
    commit = await push(world, MAIN, tree, [world.two], message)
    assert (
        f"{commit} the ledger that it names ({older or 'none'}) is not what had become of"
        in await findings(world)
    )


async def test_a_ledger_that_was_moved_back_behind_a_rollback_is_found(world):
    git(world.remote, "update-ref", ledger.REF, f"{ledger.REF}~1")
    assert f"{world.undone} the ledger that it names (" in await findings(world)


async def test_a_signature_is_told(world):
    """Whose it is, is for `git verify-commit` to say."""
    header, _, message = git(world.remote, "cat-file", "commit", world.two).partition("\n\n")
    signature = "gpgsig -----BEGIN SSH SIGNATURE-----\n \n U1NIU0lH\n -----END SSH SIGNATURE-----"
    content = f"{header}\n{signature}\n\n{message}\n"
    signed = git(world.remote, "hash-object", "-t", "commit", "-w", "--stdin", input=content)
    git(world.remote, "update-ref", MAIN, signed)
    report = await verify(await open_clone(world.remote), f"{world.one}~1..{signed}")
    assert [(each.commit, each.signed) for each in report.verified] == [(world.one, False), (signed, True)]
    assert report.findings == ()


def invoke(*arguments):
    return CliRunner().invoke(app, ["verify", *map(str, arguments)])


@pytest.fixture
def clone(world, tmp_path):
    subprocess.run(["git", "clone", "-q", str(world.remote), str(tmp_path / "clone")], check=True)
    return tmp_path / "clone"


def test_an_ordinary_clone_is_told_what_to_fetch(world, clone):
    missing = invoke("--repository", clone)
    assert missing.exit_code == 3
    assert f"no error ledger is here: {FETCH}" in missing.stderr
    subprocess.run(["sh", "-c", FETCH], cwd=clone, check=True, capture_output=True)
    (clone / "deep").mkdir()
    done = invoke("--repository", clone / "deep")
    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr == "3 shipped commits, 0 of them signed: nothing wrong\n"
    git(clone, "update-ref", "-d", "refs/remotes/origin/outerloop/suite")
    assert f"no suite branch is here: {FETCH}" in invoke("--repository", clone).stderr


def test_people_and_programs_read_who_granted_the_error_once_more(world):
    asyncio.run(spent(world, Renewed("Ann", 1), why="all of them were one proposer"))
    told = invoke("--repository", world.remote)
    assert (told.exit_code, told.stdout) == (0, "")
    assert "the error was granted once more by Ann at " in told.stderr
    (renewal,) = json.loads(invoke("--repository", world.remote, "--json").stdout)["renewals"]
    assert renewal == {"at": WHEN.isoformat(), "by": "Ann", "why": "all of them were one proposer"}


def test_people_and_programs_read_what_was_retired(world):
    commit = asyncio.run(retiring(world, "e1"))
    told = invoke("--repository", world.remote)
    assert (told.exit_code, told.stdout) == (0, "")
    assert "eval e1 was retired by ada at " in told.stderr
    (retired,) = json.loads(invoke("--repository", world.remote, "--json").stdout)["retired"]
    assert (retired["commit"], retired["by"], retired["why"]) == (commit, "ada", "we sell no lamps")


def test_programs_read_what_is_wrong(world):
    git(world.remote, "update-ref", ledger.REF, f"{ledger.REF}~2")
    done = invoke(world.two[:12], "--repository", world.remote, "--json")
    said = json.loads(done.stdout)
    what = "the ledger that it names has not reserved index 1 for it"
    assert done.exit_code == 1
    assert said["findings"] == [{"commit": world.two, "what": what}]
    assert said["verified"] == [
        {
            "commit": world.two,
            "kind": "change",
            "decision_id": "decision-of-c2",
            "signed": False,
            "wrong": [what],
        }
    ]
    assert invoke(world.two, "--repository", world.remote).stdout == f"{world.two[:12]}  {what}\n"


def test_what_cannot_be_verified_is_no_tampering(world, clone, tmp_path):
    for arguments, sentence in (
        ((world.team, "--repository", world.remote), "was not shipped by outerloop"),
        (("nothing", "--repository", world.remote), "there is no commit 'nothing' here"),
        (("--repository", world.remote, "--branch", "stable"), "no branch stable"),
        (("--repository", tmp_path), "is in no git repository"),
    ):
        done = invoke(*arguments)
        assert (done.exit_code, sentence in done.stderr) == (3, True), done.stderr
    url = f"file://{world.remote}"
    subprocess.run(["git", "clone", "-q", "--depth=1", url, str(tmp_path / "shallow")], check=True)
    assert "git fetch --unshallow" in invoke("--repository", tmp_path / "shallow").stderr
