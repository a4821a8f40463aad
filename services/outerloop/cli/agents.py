"""Agents, for commands that are about one of them: those whose traces were judged, those that are served."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from outerloop.cli import output
from outerloop.cli.config import common
from outerloop.runtime.agentfile import NAME, AgentFile, agentfile_at
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.errors import OuterloopError, UserError
from outerloop.runtime.git import Repository
from outerloop.runtime.settings import ModelSettings, load
from outerloop.store import verdicts

_SHOWN = 20
_SAID = 300  # characters of what failing tests say
_TESTS_SECONDS = 60.0  # of tests that take longer nothing is said


def check_known(agent: str, known: Sequence[str]) -> None:
    """Pass if `agent` is one of those of which traces were judged (`verdicts.agents`).

    Raises:
        UserError: naming those that there are.
    """
    if agent not in known:
        more = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
        there = f"there are: {', '.join(known[:_SHOWN])}{more}" if known else "no trace was judged yet"
        raise UserError(f"there is no agent {agent!r}; {there}" if agent else f"name the --agent; {there}")


def check_served(agent: str) -> None:
    """Pass if OUTERLOOP_AGENTS names `agent`, or is not set where the command is given.

    Raises:
        UserError: naming those that there are.
    """
    known = common().repositories()
    if not agent.strip():
        raise UserError("the agent's name is blank")
    if known and agent not in known:
        raise UserError(f"there is no agent {agent!r} in OUTERLOOP_AGENTS, which names {', '.join(known)}")


def report(rows: Sequence[Mapping[str, Any]], agent: str, *, as_json: bool, empty: str) -> None:
    """Print rows as `output.report` does; where there are none, also whether there is such an agent."""
    said = empty if rows or as_json else nothing_of(agent, empty)
    output.report(rows, as_json=as_json, empty=said)


def nothing_of(agent: str, otherwise: str) -> str:
    """What a list says that is empty: that there is no such agent, or `otherwise`."""
    if agent and agent not in common().repositories():
        try:
            check_known(agent, output.run(_judged()))
        except UserError as error:
            return str(error)
    return otherwise


async def _judged() -> list[str]:
    db = ClickHouse(common())
    try:
        return await verdicts.agents(db)
    finally:
        await db.close()


async def hindrance(agent: str, url: str, branch: str, cache: Path) -> str:
    """Why nothing of `agent` can be repaired as its repository is now; "" when nothing is in the way."""
    try:
        repository = await Repository.open(url, cache / agent)
        commit = await repository.resolve(branch)
        if commit is None:
            return f"its repository has no branch {branch}: push the agent to it"
        terms = await agentfile_at(repository, commit)
        if terms.agent != agent:
            return f"its {NAME} is of agent {terms.agent!r}"
        return await _failing(repository, commit, terms)
    except OuterloopError as error:
        return " ".join(str(error).split())  # git says some things in several lines


async def _failing(repository: Repository, commit: str, terms: AgentFile) -> str:
    """That the agent's own tests fail as it is: then no change of it could ever ship."""
    # Not at the top: what runs tests takes long to load, which every other command would wait for.
    from outerloop.trial.backend import sandbox_of  # noqa: PLC0415
    from outerloop.trial.checks import MEND, run_checks  # noqa: PLC0415
    from outerloop.trial.environments import environment_for  # noqa: PLC0415
    from outerloop.trial.spec import Limits  # noqa: PLC0415

    if terms.test is None:
        return ""
    output.say(f"seeing whether the own tests of {terms.agent} pass as it is …")
    settings = load(ModelSettings)
    with tempfile.TemporaryDirectory(prefix="tests-", ignore_cleanup_errors=True) as scratch:
        tree = Path(scratch) / "tree"
        await repository.checkout(commit, tree)
        environment = await environment_for(terms, tree, settings)
        limits = Limits(seconds=_TESTS_SECONDS)
        checks = await run_checks(
            tree, terms, environment=environment, sandbox=sandbox_of(settings), limits=limits
        )
    if checks.ok or checks.timed_out:
        return ""
    said = " ".join(checks.output[-_SAID:].split())
    return f"its own tests (`test` in {NAME}) fail at {commit[:12]}: {MEND}. They say: {said}"
