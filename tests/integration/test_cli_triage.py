"""What people say to a triage that runs, by commands: labels, rulings on modes; and judges beside them."""

import asyncio
import itertools
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio

import samples
from engines.triage_workers import Workers, workers
from integration.test_cli import Done, Shell, refusal
from outerloop.contracts.v1.eval_pb2 import EvalUndraftable
from outerloop.contracts.v1.failure_pb2 import ModeOpened
from outerloop.store import judge_calls, modes, opinions
from outerloop.store.judge_calls import JudgeCall
from outerloop.store.modes import State
from outerloop.store.opinions import Opinion

pytestmark = pytest.mark.asyncio(loop_scope="module")

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Desk:
    """A person's shell beside a triage that runs."""

    one: Workers
    shell: Shell

    async def run(self, *arguments: str) -> Done:
        """A command, in a thread as it has a loop of its own; returns when triage has heard of it."""
        done = await asyncio.to_thread(self.shell.run, *arguments)
        await self.one.at_rest()
        return done

    async def json(self, *arguments: str) -> Any:
        found = await asyncio.to_thread(self.shell.json, *arguments)
        await self.one.at_rest()
        return found

    async def refused(self, *arguments: str) -> str:
        code, sentence = refusal(await self.run(*arguments))
        assert code == 2
        return sentence

    async def fail(self, agent: str, *results: str) -> list[str]:
        """Runs whose only call gives these results, an error each; "" is a good run."""
        runs = [
            samples.run(
                next(_numbers),
                "Hi",
                samples.Call("get", {"n": 1}, said or "ok", failed=bool(said)),
                agent=agent,
            )
            for said in results
        ]
        ids = await self.one.store(runs)
        await self.one.settle(ids)
        await self.one.at_rest()
        return ids

    async def modes(self, agent: str) -> dict[str, dict[str, Any]]:
        """By title."""
        found = await self.json("modes", "--agent", agent, "--all")
        return {mode["title"]: mode for mode in found}

    async def openings(self, mode_id: str) -> int:
        return sum(event.mode_id == mode_id for event in await self.one.records(ModeOpened))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk(tansu: str, chdb: str) -> AsyncIterator[Desk]:
    async with workers(tansu, chdb, count=1, partitions=1) as one:
        shell = Shell(
            kafka=tansu,
            kafka_idempotent_producer="false",
            clickhouse=chdb,
            clickhouse_database=one.settings.clickhouse_database,
        )
        yield Desk(one, shell)


@pytest.fixture
def agent() -> str:
    return f"agent-{uuid.uuid4().hex[:8]}"


async def test_a_label_is_taken_for_true(desk: Desk, agent: str) -> None:
    bad, good = await desk.fail(agent, "no such thing", "")
    said = await desk.json("label", bad, "good", "--why", "as it should be", "--by", "ada")
    assert said == {"trace_id": bad, "agent": agent, "label": "good", "by": "ada"}
    told = await desk.run("label", good, "bad", "--why", "it was rude", "--by", "ada")
    assert (told.code, told.stdout) == (0, "")
    assert told.stderr == f"{good} is bad, says ada; triage called it no failure\n"
    found = await desk.modes(agent)
    assert [(title, mode["failures"]) for title, mode in found.items() if mode["failures"]] == [
        ("a person says bad: it was rude", 1)
    ]
    rows = await desk.one.rows(
        "SELECT trace_id, good, why, labelled_by, detected FROM labels FINAL WHERE agent = {a:String}"
        " ORDER BY trace_id",
        a=agent,
    )
    assert rows == [(bad, True, "as it should be", "ada", True), (good, False, "it was rude", "ada", False)]


async def test_what_cannot_be_labelled_is_one_sentence(desk: Desk, agent: str) -> None:
    first, second = await desk.fail(agent, "", "")
    assert await desk.refused("label", "12", "good") == (
        "'12' is too short: give 6 characters of the id or more"
    )
    assert (await desk.refused("label", "f" * 32, "good")).startswith(f"no trace {'f' * 32} was judged")
    assert first[:20] == second[:20]
    assert "is the beginning of several traces" in await desk.refused("label", first[:20], "bad")
    assert "give a trace and good or bad" in await desk.refused("label", first)


async def test_merged_is_one_mode_and_is_ruled_on_no_more(desk: Desk, agent: str) -> None:
    await desk.fail(agent, "not there", "not there", "nowhere to be seen")
    found = await desk.modes(agent)
    stays, goes = (found[f"get fails: {cause}"]["mode_id"] for cause in ("not there", "nowhere to be seen"))
    said = await desk.json("modes", "merge", goes[:12], stays[:12], "--why", "one cause", "--by", "ada")
    assert (said["ruling"], said["mode_id"], said["by"]) == ("merge", goes, "ada")
    found = await desk.modes(agent)
    assert (found["get fails: not there"]["state"], found["get fails: not there"]["failures"]) == ("open", 3)
    assert found["get fails: nowhere to be seen"]["state"] == "merged"
    listed = await desk.json("modes", "--agent", agent)
    assert [mode["mode_id"] for mode in listed] == [stays]
    assert "was merged" in await desk.refused("modes", "mute", goes, "--why", "w")
    assert "name the mode that it is in now" in await desk.refused(
        "modes", "merge", stays, goes, "--why", "w"
    )
    assert "into itself" in await desk.refused("modes", "merge", stays, stays, "--why", "w")


async def test_modes_of_two_agents_are_not_merged(desk: Desk, agent: str) -> None:
    await desk.fail(agent, "not there")
    await desk.fail(f"{agent}-2", "not there")
    one = (await desk.modes(agent))["get fails: not there"]["mode_id"]
    other = (await desk.modes(f"{agent}-2"))["get fails: not there"]["mode_id"]
    assert "are two agents" in await desk.refused("modes", "merge", one, other, "--why", "w")


async def test_a_split_is_a_mode_of_its_own(desk: Desk, agent: str) -> None:
    same = "the service said that it could not do what was asked of it today, because of "
    await desk.fail(agent, *[f"{same}{why}" for why in ("snow", "rain", "snow", "snow")])
    (mode,) = (await desk.modes(agent)).values()
    split = ("modes", "split", mode["mode_id"], "--why", "two causes", "--by", "ada")
    assert (await desk.run(*split)).code == 2  # by what?
    assert "--containing is blank" in await desk.refused(*split, "--containing", " ")
    said = await desk.json(*split, "--containing", "snow", "--title", "closed for snow")
    assert said["ruling"] == "split"
    found = await desk.modes(agent)
    assert {title: one["failures"] for title, one in found.items()} == {
        "closed for snow": 3,
        mode["title"]: 1,
    }
    assert found["closed for snow"]["state"] == "open"
    await desk.fail(agent, f"{same}much snow")
    assert (await desk.modes(agent))["closed for snow"]["failures"] == 4


async def test_muted_is_counted_and_not_worked_on_until_unmuted(desk: Desk, agent: str) -> None:
    await desk.fail(agent, "not there")
    (mode,) = (await desk.modes(agent)).values()
    assert "--why is blank" in await desk.refused("modes", "mute", mode["mode_id"], "--why", " ")
    told = await desk.run("modes", "mute", mode["mode_id"], "--why", "known", "--by", "ada")
    assert (told.code, told.stderr) == (0, f"mute {mode['mode_id'][:8]}: get fails: not there\n")
    await desk.fail(agent, "not there", "not there")
    (muted,) = (await desk.modes(agent)).values()
    assert (muted["state"], muted["failures"], muted["detail"]) == ("muted", 3, "known (ada)")
    assert await desk.json("modes", "--agent", agent) == []
    assert await desk.openings(mode["mode_id"]) == 0
    await desk.json("modes", "unmute", mode["mode_id"], "--why", "now it matters")
    assert [m["state"] for m in await desk.json("modes", "--agent", agent)] == ["open"]
    assert await desk.openings(mode["mode_id"]) == 1


async def test_what_the_loop_gave_up_is_opened_again(desk: Desk, agent: str) -> None:
    await desk.fail(agent, *["not there"] * 3)
    (mode,) = (await desk.modes(agent)).values()
    given_up = EvalUndraftable(agent=agent, mode_id=mode["mode_id"], reason="no healthy run")
    await desk.one.bus.publish(given_up, because=(mode["mode_id"],))
    await desk.one.at_rest()
    assert [m["state"] for m in await desk.json("modes", "--agent", agent)] == ["parked"]
    await desk.json("modes", "open", mode["mode_id"], "--why", "try again", "--by", "ada")
    shown = await desk.json("modes", mode["mode_id"])
    assert [step["state"] for step in shown["life"][:2]] == ["open", "parked"]
    assert {(step["state"], step["detail"]) for step in shown["life"][2:]} == {
        ("open", "try again (ada)"),
        ("unmuted", "try again (ada)"),
    }
    assert await desk.openings(mode["mode_id"]) == 2


async def test_a_mode_that_is_not_there_or_not_one_is_a_sentence(desk: Desk, agent: str) -> None:
    assert await desk.refused("modes", "mute", "zzz", "--why", "w") == (
        "there is no mode zzz; `outerloop modes --all` shows them"
    )
    for number in range(2):
        mode = modes.Mode(f"{agent}-{number}", agent, "t", str(number), "tool_error", datetime.now(UTC))
        await modes.insert(desk.one.db, mode)
        await modes.enter(desk.one.db, mode.mode_id, State.OPEN, "c", at=datetime.now(UTC))
    assert await desk.refused("modes", "show", agent) == (
        f"{agent} is the beginning of 2 modes: give more of the id"
    )


async def test_a_judge_beside_people(desk: Desk, agent: str) -> None:
    silent = await desk.run("triage", "judge", "--agent", agent)
    assert silent.stderr.startswith("no model has judged anything")
    ids = await desk.fail(agent, *[""] * 3)
    for trace_id, said in zip(ids, ("good", "bad", "unsure"), strict=True):
        await desk.json("label", trace_id, "good", "--by", "ada")
        opinion = Opinion(
            agent=agent,
            trace_id=trace_id,
            said=said,
            cause="",
            reason="it \x1b[31m was so",
            span_id="",
            model="m",
            prompt="p",
            input_tokens=1,
            output_tokens=1,
            usd=0.25,
            at=datetime.now(UTC),
        )
        await opinions.insert(desk.one.db, opinion)
    call = JudgeCall(
        call_id="c",
        agent=agent,
        what="judge",
        about=ids[0],
        model="m",
        prompt="p",
        outcome="answered",
        input_tokens=1,
        output_tokens=1,
        usd=0.75,
        seconds=1.0,
        at=datetime.now(UTC),
        step=1,
    )
    await judge_calls.insert(desk.one.db, call)
    (row,) = await desk.json("triage", "judge", "--agent", agent)
    counts = {
        name: row[name] for name in ("good_good", "good_bad", "bad_good", "bad_bad", "unsure", "labelled")
    }
    assert counts == {
        "good_good": 1,
        "good_bad": 1,
        "bad_good": 0,
        "bad_bad": 0,
        "unsure": 1,
        "labelled": 2,
    }
    assert (row["agreement"], row["precision"], row["decides"]) == (0.5, 0.0, False)
    assert row["lacks"].startswith(
        "people have labelled 2 good and 0 bad traces that it has judged: it takes 20"
    )
    assert (row["usd"], row["usd_today"]) == (0.75, 0.75)
    (dispute,) = row["against_people"]
    assert (dispute["trace_id"], dispute["judge"], dispute["people"]) == (ids[1], "bad", "good")
    told = await desk.run("triage", "judge", "--agent", agent)
    assert "it decides nothing: people have labelled 2 good" in told.stdout
    assert "\x1b" not in told.stdout
