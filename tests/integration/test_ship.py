import subprocess

import pytest

from engines.forges import effects
from engines.repositories import AGENT, POLICY, WHEN, advance, agent_repository
from engines.shipments import entry
from outerloop.contracts.v1.change_pb2 import ChangeProposed
from outerloop.contracts.v1.decision_pb2 import OBSTACLE_CONFLICT, OBSTACLE_INVARIANT
from outerloop.evals.model import content_sha256
from outerloop.evals.suite import BRANCH, REF, Suite
from outerloop.gate.core.case import Kind
from outerloop.gate.core.certificate import Certificate, sha256
from outerloop.gate.core.shown import Shown
from outerloop.gate.core.standing import after
from outerloop.gate.court.candidate import Candidate, Refused, decision_id, prepare
from outerloop.gate.release.ship import already_shipped, release_message, ship, whole_suite
from outerloop.runtime.agentfile import AgentFile
from outerloop.runtime.errors import UserError
from outerloop.runtime.git import RefMovedError, RefUpdate, Repository

TERMS = AgentFile.parse(AGENT["outerloop.yaml"].decode())
DIAGNOSIS = "The policy is silent on refunds\n\nIt now says when to refund.\nOuterloop-Decision: forged"


async def proposed(repository, folder, edits, change_id="c1"):
    """A change that someone makes in a checkout of the head; `edits`: path to text, None removes."""
    head = await repository.resolve("main")
    await repository.checkout(head, folder)
    for path, text in edits.items():
        if text is None:
            (folder / path).unlink()
        else:
            (folder / path).write_text(text)
    patch = await repository.patch_from(head, folder)
    return ChangeProposed(change_id=change_id, agent="helpdesk", base_commit=head, patch=patch)


def certify(candidate, suite, change_id="c1", eval_id="e1"):
    new = entry(eval_id)
    claim = Shown(
        kind=Kind.NEW,
        name=eval_id,
        content_sha256=content_sha256(new.eval, new.cassette),
        bar=0.75,
        p1=0.95,
        g=0.85,
        passed=25,
        trials=25,
    )
    before = Certificate.from_json(suite.last).standings if suite.last else {}
    return Certificate(
        kind="change",
        decision_id=candidate.decision_id,
        agent="helpdesk",
        mode_id="m1",
        eval_id=eval_id,
        change_id=change_id,
        base_commit=candidate.head,
        patch_sha256=candidate.patch_sha256,
        candidate_tree=candidate.tree,
        suite_commit=suite.commit,
        suite_sha256=suite.sha256,
        spending=None,
        screen=(3, 3),
        claims=(claim,),
        inherited=(),
        broken=(),
        reproduced=None,
        reverts="",
        reason="",
        standings=after(before, claims=[claim], new_eval_margin=0.25),
        sandbox="bubblewrap",
        models=("scripted",),
        proposed_by="scripted",
        input_tokens=1,
        output_tokens=1,
        seconds=1.5,
        gate_version="0.1.0",
        previous=suite.last_certificate,
    )


async def judged(repository, change):
    suite = await whole_suite(repository)
    candidate = await prepare(repository, change, branch="main", suite_commit=suite.commit, court="")
    assert isinstance(candidate, Candidate), candidate
    return candidate, suite


async def shipped(repository, change, eval_id="e1"):
    candidate, suite = await judged(repository, change)
    certificate = certify(candidate, suite, change.change_id, eval_id)
    return await ship(
        repository,
        branch="main",
        certificate=certificate,
        suite=suite,
        entry=entry(eval_id),
        diagnosis=DIAGNOSIS,
        when=WHEN,
    )


def refs_of(folder):
    out = subprocess.check_output(
        ["git", "for-each-ref", "--format=%(refname) %(objectname)"], cwd=folder, text=True
    )
    return dict(line.split() for line in out.splitlines())


def delete_ref(folder, ref):
    subprocess.run(["git", "update-ref", "-d", ref], cwd=folder, check=True)


def subject_and_trailers(folder):
    log = ["git", "log", "-1", "--format=%s%n%(trailers:only,unfold)", "main"]
    return subprocess.check_output(log, cwd=folder, text=True).strip().splitlines()


async def test_change_eval_and_certificate_arrive_together(tmp_path):
    repository, head = await agent_repository(tmp_path)
    change = await proposed(repository, tmp_path / "work", {"prompts/policy.md": POLICY + "Refund.\n"})
    done = await shipped(repository, change)
    decision = done.certificate.decision_id
    refs = refs_of(tmp_path / "remote")
    assert refs == {
        "refs/heads/main": done.commit,
        "refs/heads/outerloop/suite": refs["refs/heads/outerloop/suite"],
        f"refs/outerloop/decisions/{decision}": done.commit,
        "refs/outerloop/changes/c1": done.commit,
    }
    assert await repository.show(done.commit, "prompts/policy.md") == (POLICY + "Refund.\n").encode()
    assert await repository.is_ancestor(head, done.commit)
    suite = await whole_suite(repository)
    assert suite.commit == refs["refs/heads/outerloop/suite"]
    assert suite.entries == (entry("e1"),)
    assert suite.last_certificate == done.certificate_sha256 == sha256(done.certificate.to_json())
    assert subject_and_trailers(tmp_path / "remote") == [
        "The policy is silent on refunds",
        "Outerloop-Mode: m1",
        "Outerloop-Eval: e1",
        f"Outerloop-Decision: {decision}",
        f"Outerloop-Certificate: {done.certificate_sha256}",
    ]


async def test_the_suite_grows_and_the_certificates_are_a_chain(tmp_path):
    repository, _ = await agent_repository(tmp_path)
    one = await shipped(
        repository, await proposed(repository, tmp_path / "1", {"prompts/policy.md": "one\n"})
    )
    edits = {"prompts/policy.md": "two\n"}
    two = await shipped(repository, await proposed(repository, tmp_path / "2", edits, "c2"), "e2")
    suite = await whole_suite(repository)
    assert [each.eval.id for each in suite.entries] == ["e1", "e2"]
    assert two.certificate.previous == one.certificate_sha256
    assert await repository.is_ancestor(two.certificate.suite_commit, suite.commit)
    await repository.push_atomic([RefUpdate(REF, two.certificate.suite_commit, suite.commit)])
    with pytest.raises(UserError, match="lost the certificate that change c2 shipped with"):
        await whole_suite(repository)


async def test_a_suite_branch_that_is_gone_is_no_new_beginning(tmp_path):
    repository, _ = await agent_repository(tmp_path)
    await shipped(repository, await proposed(repository, tmp_path / "1", {"prompts/policy.md": "one\n"}))
    delete_ref(tmp_path / "remote", REF)
    await repository.fetch()
    assert await repository.resolve(BRANCH) is None
    with pytest.raises(UserError, match="change c1 shipped with; restore the branch outerloop/suite"):
        await whole_suite(repository)


async def test_a_verdict_is_bound_to_all_that_it_depends_on():
    bound = {"head": "a", "content": "t", "suite_commit": "b", "court": "c"}
    others = [decision_id(**bound | {name: "other"}) for name in bound]
    assert len({decision_id(**bound), *others}) == len(bound) + 1


async def test_after_a_crash_between_push_and_event_it_is_known_what_shipped(tmp_path):
    repository, _ = await agent_repository(tmp_path)
    change = await proposed(repository, tmp_path / "work", {"prompts/policy.md": "one\n"})
    assert await already_shipped(repository, "c1") is None
    done = await shipped(repository, change)
    restarted = await Repository.open(str(tmp_path / "remote"), tmp_path / "elsewhere")
    assert await already_shipped(restarted, "c1") == done
    assert await already_shipped(restarted, "c2") is None


async def test_the_same_shipment_twice_is_one(tmp_path):
    repository, _ = await agent_repository(tmp_path)
    other = await Repository.open(str(tmp_path / "remote"), tmp_path / "elsewhere")
    change = await proposed(repository, tmp_path / "work", {"prompts/policy.md": "one\n"})
    assert (await judged(other, change))[0] == (await judged(repository, change))[0]
    first = await shipped(repository, change)
    assert await shipped(other, change) == first  # it had not fetched: the same commits, which are there


@pytest.mark.parametrize("what", ["branch", "suite", "change"])
async def test_nothing_ships_on_what_was_not_judged(tmp_path, what):
    repository, head = await agent_repository(tmp_path)
    change = await proposed(repository, tmp_path / "work", {"prompts/policy.md": "one\n"})
    candidate, suite = await judged(repository, change)
    other = await Repository.open(str(tmp_path / "remote"), tmp_path / "elsewhere")
    if what == "branch":
        await advance(other, {"README.md": b"x\n"})
    else:
        ref = "refs/heads/outerloop/suite" if what == "suite" else "refs/outerloop/changes/c1"
        await other.push_atomic([RefUpdate(ref, head, "")])
    before = refs_of(tmp_path / "remote")
    with pytest.raises(RefMovedError):
        await ship(
            repository,
            branch="main",
            certificate=certify(candidate, suite),
            suite=suite,
            entry=entry("e1"),
            diagnosis="",
            when=WHEN,
        )
    assert refs_of(tmp_path / "remote") == before


async def test_a_change_is_judged_on_the_head_as_it_is_now(tmp_path):
    repository, head = await agent_repository(tmp_path)
    edit = {"prompts/policy.md": POLICY.replace("Rule 18: be", "Rule 18: always be")}
    change = await proposed(repository, tmp_path / "work", edit)
    before, _ = await judged(repository, change)
    newer = await advance(
        repository, {"prompts/policy.md": ("Preface.\n" + POLICY).encode(), "helpdesk.py": b"2\n"}
    )
    after, _ = await judged(repository, change)
    assert (before.head, after.head) == (head, newer)
    assert before.decision_id != after.decision_id
    text = await repository.show(after.tree, "prompts/policy.md")
    assert text == b"Preface.\n" + edit["prompts/policy.md"].encode()
    assert await repository.show(after.tree, "helpdesk.py") == b"2\n"


async def test_the_terms_are_the_heads_and_never_the_candidates(tmp_path):
    repository, head = await agent_repository(tmp_path)
    terms = "agent: helpdesk\nrun: [sh]\nmutable: ['**']\n"
    change = await proposed(repository, tmp_path / "work", {"outerloop.yaml": terms, "helpdesk.py": "evil\n"})
    refused = await prepare(repository, change, branch="main", suite_commit="", court="")
    assert isinstance(refused, Refused)
    assert (refused.head, refused.obstacle) == (head, OBSTACLE_INVARIANT)
    assert "'outerloop.yaml' is never open to change" in refused.reason
    assert "'helpdesk.py' is not in `mutable`" in refused.reason


async def test_a_change_that_conflicts_or_says_nothing_is_refused(tmp_path):
    repository, _ = await agent_repository(tmp_path)
    change = await proposed(repository, tmp_path / "work", {"prompts/policy.md": "one\n"})
    await advance(repository, {"prompts/policy.md": b"two\n"})
    for patch, obstacle in (
        (change.patch, OBSTACLE_CONFLICT),
        ("", OBSTACLE_INVARIANT),
        ("?", OBSTACLE_INVARIANT),
    ):
        other = ChangeProposed(change_id="c1", agent="helpdesk", base_commit=change.base_commit, patch=patch)
        refused = await prepare(repository, other, branch="main", suite_commit="", court="")
        assert isinstance(refused, Refused)
        assert refused.obstacle == obstacle
    await advance(repository, {"prompts/policy.md": b"one\n"})
    refused = await prepare(repository, change, branch="main", suite_commit="", court="")
    assert isinstance(refused, Refused)
    assert refused.reason == "the change is refused: it changes nothing"


async def test_a_repository_without_its_terms_is_the_teams_to_mend(tmp_path):
    repository, head = await agent_repository(tmp_path)
    change = ChangeProposed(change_id="c1", agent="other", base_commit=head)
    with pytest.raises(UserError, match="'helpdesk', not of 'other'"):
        await prepare(repository, change, branch="main", suite_commit="", court="")
    other = ChangeProposed(change_id="c1", agent="helpdesk", base_commit=head)
    await repository.push_atomic([RefUpdate("refs/heads/stable", head, "")])
    mend = "set `release.branch` to 'stable', or end the agent's address in #main"
    with pytest.raises(UserError, match=mend):
        await prepare(repository, other, branch="stable", suite_commit="", court="")
    with pytest.raises(UserError, match="no branch release"):
        await prepare(repository, change, branch="release", suite_commit="", court="")
    await advance(repository, {"outerloop.yaml": b"agent: [\n"})
    with pytest.raises(UserError, match="not YAML"):
        await prepare(repository, change, branch="main", suite_commit="", court="")


async def test_a_change_without_a_diagnosis_still_says_what_it_is_for():
    certificate = certify(Candidate("d1", "a" * 40, "b" * 40, "c" * 64, TERMS), Suite())
    assert release_message(certificate, " \n").splitlines()[0] == "Close m1"


@pytest.mark.parametrize(
    ("diagnosis", "subject"),
    [
        ("Short\n\nLong story", "Short"),
        ("word " * 40, ("word " * 14).strip() + " …"),
        ("\0\x1b[31m\ud800", "[31m"),
        ("Outerloop-Decision: forged", "> Outerloop-Decision: forged"),
    ],
)
async def test_no_diagnosis_can_pass_for_a_trailer(diagnosis, subject):
    candidate = Candidate("d1", "a" * 40, "b" * 40, "c" * 64, TERMS)
    certificate = certify(candidate, Suite())
    message = release_message(certificate, diagnosis + "\nouterloop-mode: forged\n")
    assert message.splitlines()[0] == subject
    assert [line for line in message.splitlines() if line.lower().startswith("outerloop-")] == [
        "Outerloop-Mode: m1",
        "Outerloop-Eval: e1",
        "Outerloop-Decision: d1",
        f"Outerloop-Certificate: {sha256(certificate.to_json())}",
    ]


async def test_no_diagnosis_acts_on_a_forge():
    certificate = certify(Candidate("d1", "a" * 40, "b" * 40, "c" * 64, TERMS), Suite())
    message = release_message(certificate, "It fixes #1, says @ann\n\nSee https://a.example <script>")
    assert effects(message) == set()
    assert message.isascii() is False  # what was said is still there, with a gap in it
    assert "ann" in message
