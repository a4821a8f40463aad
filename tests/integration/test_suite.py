import asyncio
import hashlib
import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from engines.repositories import TEAM, WHEN, agent_repository
from outerloop.evals import chain
from outerloop.evals.expect.answer import Answered
from outerloop.evals.expect.tools import ToolCalled
from outerloop.evals.heldout import HeldOut, Variant
from outerloop.evals.model import Cassette, Eval, Provenance, RecordedCall
from outerloop.evals.suite import BRANCH, REF, Entry, Suite, additions, read_entry, read_suite
from outerloop.runtime.errors import UserError
from outerloop.runtime.git import RefUpdate, Repository


def entry(eval_id, title="It answers"):
    eval_ = Eval(
        id=eval_id,
        agent="helpdesk",
        mode_id="m1",
        title=title,
        input={"message": "größe?"},
        expect=(Answered(),),
        provenance=Provenance(
            drafted_by="draft", drafted_at=datetime(2026, 1, 1, tzinfo=UTC), source_traces=("t",)
        ),
    )
    return Entry(eval_, Cassette(calls=(RecordedCall(tool="get", arguments={"id": 1}, result="{}"),)))


def named(kind, entry):
    return {
        "kind": kind,
        "name": entry.eval.id,
        "content_sha256": entry.content_sha256,
        "trials": 4,
    }


def certificate(previous, *entries, decision="d", inherited=(), broken=()):
    claims = [named("new" if at == 0 else "prior", each) for at, each in enumerate(entries)]
    drift = {"kind": "drift", "name": "solid", "content_sha256": "", "trials": 4}
    others = {
        what: [{"eval_id": each["name"], **each} for each in (named("", entry) for entry in of)]
        for what, of in (("inherited", inherited), ("broken", broken))
    }
    said = {"decision_id": decision, "previous": previous, "claims": [*claims, drift], **others}
    return json.dumps(said).encode()


def sha256(content):
    return hashlib.sha256(content).hexdigest()


FIRST = certificate("", entry("e1"))
SECOND = certificate(sha256(FIRST), entry("e2"), entry("e1"))
LOOSER = entry("e1").eval.model_copy(update={"margin": 0.4})
FILES = {
    "eval.yaml": entry("e9").eval.to_yaml().encode(),
    "cassette.jsonl": entry("e9").cassette.to_jsonl().encode(),
}


async def grown(repository, suite, files):
    plain = {path: None if content is None else ("100644", content) for path, content in files.items()}
    tree = await repository._tree_with(suite.commit or None, plain)
    commit = await repository.commit(
        tree, [suite.commit] if suite.commit else [], "x", when=WHEN, author=TEAM
    )
    await repository.push_atomic([RefUpdate(REF, commit, suite.commit)])
    return await read_suite(repository, await repository.resolve(BRANCH), {})


async def two_evals(folder):
    repository, _ = await agent_repository(folder)
    one = await grown(repository, Suite(), additions(Suite(), entry("e1"), "d1", FIRST))
    return folder, one, await grown(repository, one, additions(one, entry("e2"), "d2", SECOND))


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    return asyncio.run(two_evals(tmp_path_factory.mktemp("history")))


@pytest.fixture
def grew(history, tmp_path):
    """(mirror, suite of one eval, suite of two): of a copy that a test may spoil."""
    folder, one, two = history
    for name in ("remote", "cache"):
        shutil.copytree(folder / name, tmp_path / name)
    return Repository(str(tmp_path / "remote"), tmp_path / "cache"), one, two


async def test_no_branch_is_an_empty_suite(tmp_path):
    repository, _ = await agent_repository(tmp_path)
    assert await read_suite(repository, await repository.resolve(BRANCH), {}) == Suite()


async def test_what_is_added_is_read_again(tmp_path):
    repository, _ = await agent_repository(tmp_path)
    first = certificate("", entry("e2"))
    second = certificate(sha256(first), entry("e1"), entry("e2"))
    one = await grown(repository, Suite(), additions(Suite(), entry("e2"), "d1", first))
    two = await grown(repository, one, additions(one, entry("e1"), "d2", second))
    assert one.entries == (entry("e2"),)
    assert two.entries == (entry("e1"), entry("e2"))
    assert two.priors("e1") == (entry("e2"),)
    assert two.get("e3") is None
    assert len({Suite().sha256, one.sha256, two.sha256}) == 3
    assert (two.last, two.last_certificate) == (second, sha256(second))
    assert {file.path for file in await repository.files(two.commit)} == {
        "certificates/d1.json",
        "certificates/d2.json",
        "evals/e1/cassette.jsonl",
        "evals/e1/eval.yaml",
        "evals/e2/cassette.jsonl",
        "evals/e2/eval.yaml",
    }


async def test_the_hash_is_of_what_is_asked_and_not_of_who_accepted_it():
    accepted = entry("e1").eval.provenance.model_copy(update={"accepted_by": "ann"})
    other = Entry(entry("e1").eval.model_copy(update={"provenance": accepted}), entry("e1").cassette)
    assert Suite("a" * 40, (entry("e1"),)).sha256 == Suite("b" * 40, (other,)).sha256
    assert Suite("", (entry("e1"),)).sha256 != Suite("", (entry("e1", "Other"),)).sha256


async def test_an_eval_is_never_replaced():
    suite = Suite("a" * 40, (entry("e1"),))
    with pytest.raises(UserError, match="never changed"):
        additions(suite, entry("e1", "looser"), "d1", certificate("", entry("e1", "looser")))
    assert list(additions(suite, entry("e1"), "d1", FIRST)) == ["certificates/d1.json"]


def renamed(one: Entry, name: str) -> Entry:
    """With an id that no eval.yaml may have."""
    return replace(one, eval=one.eval.model_copy(update={"id": name}))


@pytest.mark.parametrize("name", ["", "..", ".", "../e1", "a/b", "-x", ".hidden", "a b", "x" * 200])
async def test_names_cannot_leave_their_folder(name):
    with pytest.raises(UserError, match="cannot name"):
        additions(Suite(), renamed(entry("e1"), name), "d1", certificate(""))
    with pytest.raises(UserError, match="cannot name"):
        additions(Suite(), entry("e1"), name, certificate(""))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b'{"previous": 1, "claims": [], "inherited": [], "broken": []}',
        b'{"previous": "", "evidence": []}',
        certificate("f" * 64, entry("e1")),
        certificate(""),
        certificate("", broken=[entry("e1")]),
        certificate("", inherited=[entry("e1")]),
    ],
)
async def test_a_certificate_follows_the_last_one_and_is_of_the_eval(content):
    with pytest.raises(UserError):
        additions(Suite(), entry("e1"), "d1", content)


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({"certificates/d1.json": certificate("", entry("e1"), decision="edited")}, "no chain"),
        ({"certificates/d3.json": certificate("f" * 64)}, "no chain"),
        ({"certificates/d3.json": certificate("")}, "chain is broken"),
        ({"certificates/d3.json": b"\xff"}, "Invalid JSON"),
        ({"evals/e1/eval.yaml": b"id: e1"}, r"evals/e1/eval\.yaml:1: agent"),
        ({"evals/e1/eval.yaml": b"\xff"}, "not UTF-8"),
        ({"evals/e1/eval.yaml": entry("e9").eval.to_yaml().encode()}, "not the name of its directory"),
        ({"evals/e1/cassette.jsonl": b"{}"}, r"cassette\.jsonl:1"),
        ({"evals/e9/eval.yaml": entry("e9").eval.to_yaml().encode()}, "both eval.yaml and cassette.jsonl"),
        ({"evals/e1/eval.yaml": LOOSER.to_yaml().encode()}, "evals/e1 is not what certificates/d1.json"),
        ({"evals/e2/cassette.jsonl": b""}, "evals/e2 is not what certificates/d2.json"),
        ({"evals/e1/eval.yaml": None, "evals/e1/cassette.jsonl": None}, "has lost eval e1"),
        ({f"evals/e9/{name}": content for name, content in FILES.items()}, "no certificate names evals/e9"),
    ],
)
async def test_a_suite_that_was_tampered_with_is_not_read(grew, files, sentence):
    repository, _, two = grew
    with pytest.raises(UserError, match=sentence):
        await grown(repository, two, files)


async def test_an_eval_that_is_inherited_or_broken_is_still_held_to_what_was_proven(grew):
    repository, _, two = grew
    third = certificate(two.last_certificate, entry("e3"), inherited=[entry("e1")], broken=[entry("e2")])
    three = await grown(repository, two, additions(two, entry("e3"), "d3", third))
    assert [each.eval.id for each in three.entries] == ["e1", "e2", "e3"]
    other = certificate(three.last_certificate, entry("e3"), broken=[entry("e2", "looser")])
    with pytest.raises(UserError, match=r"evals/e2 is not what certificates/d4\.json certifies"):
        await grown(repository, three, additions(three, entry("e3"), "d4", other))


async def test_a_rollback_adds_its_certificate_alone(grew):
    repository, _, two = grew
    undone = certificate(two.last_certificate)
    assert additions(two, None, "d3", undone) == {"certificates/d3.json": undone}
    three = await grown(repository, two, additions(two, None, "d3", undone))
    assert (three.entries, three.last) == (two.entries, undone)
    with pytest.raises(UserError, match="does not follow"):
        additions(three, None, "d4", undone)
    with pytest.raises(UserError, match="cannot name"):
        additions(three, None, "../d4", undone)


async def test_certificates_are_read_a_few_at_a_time(grew, monkeypatch):
    monkeypatch.setattr(chain, "_BATCH", 1)
    repository, _, two = grew
    assert (await read_suite(repository, two.commit, {})).last == SECOND


@pytest.mark.parametrize("to", [None, "d1", "an edited d2"])
async def test_a_suite_that_does_not_hold_what_shipped_is_not_read(grew, to):
    repository, one, two = grew
    shipped = {"c1": sha256(FIRST), "c2": sha256(SECOND)}
    assert await read_suite(repository, two.commit, shipped) == two
    if to == "an edited d2":
        edited = {"certificates/d2.json": SECOND.replace(b'"trials": 4', b'"trials": 5')}
        two = await grown(repository, two, edited)  # no other certificate follows it: the chain is whole
    commit = {None: None, "d1": one.commit, "an edited d2": two.commit}[to]
    with pytest.raises(UserError, match="certificate that change c"):
        await read_suite(repository, commit, shipped)


def with_variants(eval_id):
    plain = entry(eval_id)
    other = (ToolCalled(tool="get", arguments={"id": 2}),)
    variants = (Variant(input={"message": "size?"}), Variant(input={"message": "2?"}, expect=other))
    tape = Cassette(calls=(RecordedCall(tool="get", arguments={"id": 2}, result="{}"),))
    return Entry(plain.eval, plain.cassette, tuple(HeldOut(variant, tape) for variant in variants))


async def test_held_out_variants_come_with_their_eval_and_are_part_of_what_is_proven(grew):
    repository, _, two = grew
    new = with_variants("e3")
    third = certificate(two.last_certificate, new)
    with pytest.raises(UserError, match="is not of eval e3 as it is"):
        additions(two, entry("e3"), "d3", third)
    three = await grown(repository, two, additions(two, new, "d3", third))
    assert three.get("e3") == new == await read_entry(repository, three.commit, "e3")
    assert await read_entry(repository, three.commit, "e4") is None
    first, second = three.get("e3").variant(1), three.get("e3").variant(2)
    assert first.eval.input == {"message": "size?"}
    assert first.eval.expect == new.eval.expect
    assert second.eval.expect == (ToolCalled(tool="get", arguments={"id": 2}),)
    assert second.cassette.calls[0].arguments == {"id": 2}
    assert three.get("e3").variant(0) == new
    with pytest.raises(LookupError):
        new.variant(3)


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({"heldout/e3/2/variant.yaml": None, "heldout/e3/2/cassette.jsonl": None}, "evals/e3 is not what"),
        (
            {"heldout/e3/1/variant.yaml": None, "heldout/e3/1/cassette.jsonl": None},
            "variants 1 to 1",
        ),
        ({"heldout/e3/2/cassette.jsonl": None}, r"heldout/e3/2 must hold both .*evals record"),
        ({"heldout/e3/2/variant.yaml": b"input: {}"}, "evals/e3 is not what certificates/d3.json"),
        (
            {"heldout/e3/2/variant.yaml": b"inputs: {}"},
            r"heldout/e3/2/variant\.yaml:1: input: Field",
        ),
        ({"heldout/e1/1/variant.yaml": b"input: {}", "heldout/e1/1/cassette.jsonl": b""}, "evals/e1 is not"),
        ({"heldout/e9/1/variant.yaml": b"input: {}"}, "of an eval that it has not: e9"),
    ],
)
async def test_nobody_takes_a_held_out_variant_away_or_changes_one(grew, files, sentence):
    repository, _, two = grew
    third = certificate(two.last_certificate, with_variants("e3"))
    three = await grown(repository, two, additions(two, with_variants("e3"), "d3", third))
    with pytest.raises(UserError, match=sentence):
        await grown(repository, three, files)
