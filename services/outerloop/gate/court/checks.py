"""The agent's own tests, before any trial is paid for."""

from pathlib import Path

from outerloop.gate.court.candidate import Candidate
from outerloop.gate.settings import GateSettings
from outerloop.gate.trials.runner import Checkouts
from outerloop.runtime.agentfile import AgentFile
from outerloop.runtime.errors import OutageError, TrialNotRunError, UserError
from outerloop.trial.backend import check_limits_of
from outerloop.trial.checks import MEND, Checks, run_checks
from outerloop.trial.environments import LockError, environment_for
from outerloop.trial.sandbox import Sandbox

_SHOWN = 1000  # characters of the tests' output in a reason


class BrokenTestsError(UserError):
    """The tests do not pass without the change either; to look again takes as long as they do, twice."""


async def failing_tests(
    candidate: Candidate, checkouts: Checkouts, settings: GateSettings, sandbox: Sandbox
) -> str:
    """Why the agent's own tests stop the change, "" if they do not.

    Raises:
        BrokenTestsError: if they fail or do not end in time without the change too: it is not the change.
        OutageError: if they could not be run.
    """
    agent = candidate.agentfile
    checkout = await checkouts.at(candidate.tree)
    try:
        await environment_for(agent, checkout, settings)
    except LockError as error:
        return str(error)
    checks = await _run(checkout, agent, settings, sandbox)
    said = checks.output[-_SHOWN:]
    if checks.ok:
        return ""
    before = await _run(await checkouts.at(candidate.head), agent, settings, sandbox)
    if not checks.timed_out:
        if not before.ok and not before.timed_out:
            raise BrokenTestsError(
                f"the tests of {agent.agent} (`test` in outerloop.yaml) fail with the change and without it:"
                f" {MEND}. They say: {' '.join(before.output[-_SHOWN:].split())}"
            )
        return f"the agent's own tests fail: {said}"
    limit = f"{settings.checks_seconds:g} s"
    if before.timed_out:
        raise BrokenTestsError(
            f"the tests of {agent.agent} do not end within {limit}, with the change or without it: "
            "make them faster, or OUTERLOOP_CHECKS_SECONDS larger"
        )
    return f"the agent's own tests do not end within {limit} any more: {said}"


async def _run(checkout: Path, agent: AgentFile, settings: GateSettings, sandbox: Sandbox) -> Checks:
    environment, limits = await environment_for(agent, checkout, settings), check_limits_of(settings)
    try:
        return await run_checks(checkout, agent, environment=environment, sandbox=sandbox, limits=limits)
    except TrialNotRunError as error:
        raise OutageError(f"the tests of {agent.agent} could not be run: {error}") from error
