"""The error ledger over real bare repositories: concurrent writers, killed ones, and people who edit it."""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from engines.repositories import TEAM, WHEN, agent_repository
from outerloop.cli import app
from outerloop.gate.core.entries import appended, folded
from outerloop.gate.core.spending import INDICES, SpentError, alpha_of
from outerloop.gate.release import ledger
from outerloop.runtime.errors import UserError
from outerloop.runtime.git import PushRefusedError, RefMovedError, RefUpdate, Repository

WRITER = Path(__file__).parents[1] / "engines" / "ledger_writer.py"
CHANGE = "refs/outerloop/changes/c1"


async def text_of(repository):
    await repository.fetch()
    commit = await repository.resolve(ledger.REF)
    return (await repository.show(commit, ledger.NAME)).decode()


async def rewritten(repository, text):
    """Somebody pushes another text over the ledger."""
    commit = await repository.resolve(ledger.REF)
    tree = await repository.tree_with(None, {ledger.NAME: text.encode()})
    edited = await repository.commit(tree, [commit], "Tidy up", when=WHEN, author=TEAM)
    await repository.push_atomic([RefUpdate(ledger.REF, edited, commit)])


def git(folder, *arguments):
    return subprocess.check_output(["git", "-C", str(folder), *arguments], text=True)


def history(folder):
    """The ledger's text at each of its commits, the oldest first."""
    commits = git(folder, "rev-list", "--reverse", ledger.REF).split()
    return [git(folder, "show", f"{commit}:{ledger.NAME}") for commit in commits]


async def test_a_content_keeps_its_index_until_it_ships(tmp_path):
    repository, head = await agent_repository(tmp_path)
    assert (await ledger.read(repository))[1] == ""
    one = await ledger.reserve(repository, "c1", when=WHEN)
    two = await ledger.reserve(repository, "c2", when=WHEN)
    assert (one.index, two.index, one.term) == (1, 2, 0)
    assert (one.alpha, one.delta) == (alpha_of(1), 0.05)
    again = await ledger.reserve(repository, "c1", when=WHEN)
    assert (again.index, again.commit) == (1, two.commit)
    release = await ledger.releasing(repository, "c1", when=WHEN)
    assert await repository.resolve(ledger.REF) == two.commit  # not before it ships
    await repository.push_atomic([release, RefUpdate(CHANGE, head, "")])
    with pytest.raises(RefMovedError, match="no index any more"):
        await ledger.releasing(repository, "c1", when=WHEN)
    assert (await ledger.reserve(repository, "c3", when=WHEN)).index == 1
    assert [len(text.splitlines()) for text in history(tmp_path / "remote")] == [1, 2, 3, 4]


async def test_how_many_trials_there_were_is_noted_once(tmp_path):
    repository, _ = await agent_repository(tmp_path)
    await ledger.reserve(repository, "c1", when=WHEN)
    for trials in (20, 20, 7, 31):
        await ledger.rest(repository, "c1", trials, when=WHEN)
    await ledger.rest(repository, "nobody", 5, when=WHEN)
    assert [json.loads(line).get("trials") for line in (await text_of(repository)).splitlines()] == [
        None,
        20,
        31,
    ]
    state, _ = await ledger.read(repository)
    assert state.least_trials("c1") == 31
    assert (await ledger.reserve(repository, "c1", when=WHEN)).index == 1


async def test_a_release_that_was_overtaken_moves_nothing(tmp_path):
    repository, head = await agent_repository(tmp_path)
    await ledger.reserve(repository, "c1", when=WHEN)
    release = await ledger.releasing(repository, "c1", when=WHEN)
    other = await Repository.open(str(tmp_path / "remote"), tmp_path / "other")
    await ledger.reserve(other, "c2", when=WHEN)
    with pytest.raises(RefMovedError):
        await repository.push_atomic([release, RefUpdate(CHANGE, head, "")])
    await repository.push_atomic(
        [await ledger.releasing(repository, "c1", when=WHEN), RefUpdate(CHANGE, head, "")]
    )
    state, _ = await ledger.read(repository)
    assert (state.holds("c1"), state.holds("c2")) == (False, True)


async def test_reservers_at_the_same_moment_never_share_an_index(tmp_path):
    repository, _ = await agent_repository(tmp_path)
    other = await Repository.open(str(tmp_path / "remote"), tmp_path / "other")
    contents = [f"c{number}" for number in range(4)]
    reserved = await asyncio.gather(
        *(ledger.reserve(each, content, when=WHEN) for content in contents for each in (repository, other))
    )
    indices = [each.index for each in reserved]
    assert indices[::2] == indices[1::2]  # the same content, from either
    assert sorted(indices[::2]) == [1, 2, 3, 4]


async def test_the_error_is_spent_once_and_a_person_renews_it(tmp_path):
    repository, _ = await agent_repository(tmp_path)
    first = await ledger.reserve(repository, "held", when=WHEN)
    state, _ = await ledger.read(repository)
    text = (await text_of(repository)).encode()
    for number in range(2, INDICES + 1):
        entry = state.reservation(f"c{number}")
        state.apply(entry)
        text = appended(text, entry, WHEN)
    await rewritten(repository, text.decode())
    with pytest.raises(SpentError, match="1000 confirmations have failed"):
        await ledger.reserve(repository, "c0", when=WHEN)
    assert await ledger.renew(repository, by="ann", why="the proposer is\nmended", when=WHEN) == 1
    fresh = await ledger.reserve(repository, "c0", when=WHEN)
    assert (fresh.term, fresh.index) == (1, 1)
    assert (await ledger.reserve(repository, "held", when=WHEN)).term == first.term
    message = await repository.message((await repository.resolve(ledger.REF)) or "")
    assert message.startswith("Reserve index 1 of term 1")
    assert '"why":"the proposer is\\nmended"' in await text_of(repository)


async def test_those_who_renew_at_once_renew_once(tmp_path):
    repository, _ = await agent_repository(tmp_path)
    await ledger.reserve(repository, "c1", when=WHEN)
    other = await Repository.open(str(tmp_path / "remote"), tmp_path / "other")
    terms = await asyncio.gather(
        ledger.renew(repository, by="ann", why="spent", when=WHEN),
        ledger.renew(other, by="bob", why="spent", when=WHEN),
    )
    state, _ = await ledger.read(other)
    assert state.term == max(terms)
    assert (await text_of(repository)).count("renewed") == max(terms)


def test_the_command_line_renews_in_a_persons_name(tmp_path, monkeypatch):
    repository, _ = asyncio.run(agent_repository(tmp_path))
    asyncio.run(ledger.reserve(repository, "c1", when=WHEN))
    monkeypatch.setenv("OUTERLOOP_AGENTS", f"helpdesk={tmp_path / 'remote'}")
    arguments = ["gate", "renew", "helpdesk", "--by", "ann", "--why", "it was the model", "--json"]
    done = CliRunner().invoke(app, arguments)
    assert json.loads(done.stdout) == {"agent": "helpdesk", "term": 1, "by": "ann", "open_or_failed": 1}
    subject = git(tmp_path / "remote", "log", "-1", "--format=%s: %b", ledger.REF)
    assert subject == "Renew the gate's error: term 1: by ann: it was the model\n\n"
    for wrong in (["other", "--why", "x"], ["helpdesk", "--why", " "]):
        assert isinstance(CliRunner().invoke(app, ["gate", "renew", *wrong]).exception, UserError)


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (lambda lines: [lines[0].replace("c1", "c9"), *lines[1:]], ":2: does not follow the line before"),
        (lambda lines: [lines[1], lines[0], *lines[2:]], ":1: does not follow the line before"),
        (lambda lines: lines[1:], ":1: does not follow the line before"),
        (lambda lines: [lines[0], lines[2]], ":2: does not follow the line before"),
        (lambda lines: [*lines, lines[-1]], ":4: does not follow the line before"),
        (lambda lines: [*lines[:2], lines[2].replace('"index":3', '"index":1')], ":3: the ledger is broken"),
        (lambda lines: [*lines[:2], lines[2][:40]], ":3: the document: Invalid JSON"),
        (
            lambda lines: [*lines[:2], lines[2].replace('"term":0', '"term":0,"x":1')],
            ":3: reserved.x: there is no such field",
        ),
    ],
)
async def test_a_ledger_that_somebody_edited_is_not_read(tmp_path, edit, sentence):
    repository, _ = await agent_repository(tmp_path)
    for content in ("c1", "c2", "c3"):
        await ledger.reserve(repository, content, when=WHEN)
    lines = (await text_of(repository)).splitlines()
    await rewritten(repository, "".join(f"{line}\n" for line in edit(lines)))
    with pytest.raises(UserError, match=f"{sentence}.*Somebody has edited it: set {ledger.REF} to its last"):
        await ledger.reserve(repository, "c4", when=WHEN)


@pytest.mark.parametrize("what", ["gone", "moved back", "emptied", "begun anew"])
async def test_a_ledger_that_lost_its_past_is_no_new_beginning(tmp_path, what):
    repository, head = await agent_repository(tmp_path)
    first = await ledger.reserve(repository, "c1", when=WHEN)
    second = await ledger.reserve(repository, "c2", when=WHEN)
    if what == "moved back":
        await repository.push_atomic([RefUpdate(ledger.REF, first.commit, second.commit)])
    else:
        git(tmp_path / "remote", "update-ref", "-d", ledger.REF)
        await repository.fetch()
    if what == "emptied":
        await repository.push_atomic([RefUpdate(ledger.REF, head, "")])
    if what == "begun anew":
        await ledger.reserve(repository, "c9", when=WHEN)
    with pytest.raises(UserError, match=f"does not contain {second.commit}.*set {ledger.REF} to"):
        await ledger.reserve(repository, "c3", when=WHEN, known=second.commit)


async def test_a_remote_that_takes_no_push_is_said_to(tmp_path):
    repository, _ = await agent_repository(tmp_path)
    hook = tmp_path / "remote" / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho protected >&2\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(PushRefusedError, match="did not take the push"):
        await ledger.reserve(repository, "c1", when=WHEN)


async def test_a_remote_that_is_busy_for_a_moment_is_asked_again(tmp_path):
    repository, _ = await agent_repository(tmp_path)
    await ledger.reserve(repository, "c1", when=WHEN)
    lock = tmp_path / "remote" / f"{ledger.REF}.lock"
    lock.touch()
    asyncio.get_running_loop().call_later(0.25, lock.unlink)
    assert (await ledger.reserve(repository, "c2", when=WHEN)).index == 2
    assert not lock.exists()


@contextmanager
def writer(*arguments):
    command = [sys.executable, str(WRITER), *map(str, arguments)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


def started(process, then):
    process.stdin.write(f"{then}\n")
    process.stdin.flush()
    return int(process.stdout.readline())


def lives(process, killed):
    """So many lives that end at a random moment, and one to the end of the work."""
    dice = random.Random(7)  # noqa: S311 - of the moments, which need no secret
    for _ in range(killed):
        child = started(process, "wait")
        time.sleep(dice.uniform(0.01, 0.35))
        os.kill(child, signal.SIGKILL)
        assert process.stdout.readline() == "-9\n"
    started(process, "finish")
    assert process.stdout.readline() == "0\n"


async def test_a_writer_killed_at_any_moment_loses_nothing_and_spends_nothing_twice(tmp_path):
    await agent_repository(tmp_path)
    contents = [f"c{number:02d}" for number in range(14)]
    log = tmp_path / "log"
    with writer(tmp_path / "remote", tmp_path / "gate", log, *contents) as process:
        lives(process, killed=20)
    texts = history(tmp_path / "remote")
    lines = texts[-1].splitlines()
    assert [text.splitlines() for text in texts] == [lines[: n + 1] for n in range(len(lines))]
    assert folded(texts[-1].encode(), "the ledger").open_or_failed == 7
    entries = Counter((each["what"], each["content"]) for each in map(json.loads, lines))
    assert entries == Counter(
        [*(("reserved", c) for c in contents), *(("released", c) for c in contents[1::2])]
    )
    told = {tuple(line.split()) for line in log.read_text().splitlines()}
    assert len(told) == len(contents)  # each was told one index, however often it asked
