"""run_checks: the agent's own deterministic tests, which must simply pass before any trial is paid for."""

import asyncio
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from outerloop.runtime.agentfile import AgentFile
from outerloop.trial.sandbox import Sandbox
from outerloop.trial.spec import Limits, Spec

# What a person can do where they fail without any change.
MEND = (
    "mend them, or give them what they need (OUTERLOOP_AGENT_ENVIRONMENT, environment.lock in outerloop.yaml)"
)
_TAIL = 4000  # characters of output that a report shows


@dataclass(frozen=True, slots=True)
class Checks:
    """Whether the tests passed, the end of what they printed, and whether they ran out of time."""

    ok: bool
    output: str
    timed_out: bool = False


async def run_checks(
    checkout: Path, agent: AgentFile, *, environment: Path, sandbox: Sandbox, limits: Limits | None = None
) -> Checks:
    """Runs the agent's `test` over a copy of the checkout, where it may write; without one, all is well.

    Raises:
        TrialNotRunError: when the sandbox could not be set up, or was killed from outside.
    """
    if agent.test is None:
        return Checks(ok=True, output="the agent names no tests")
    with tempfile.TemporaryDirectory(prefix="checks-", ignore_cleanup_errors=True) as scratch:
        tree = Path(scratch) / "tree"
        without = shutil.ignore_patterns(".git")
        await asyncio.to_thread(shutil.copytree, checkout, tree, symlinks=True, ignore=without)
        spec = Spec(
            argv=agent.test,
            tree=tree,
            environment=environment,
            writable=True,
            limits=limits or Limits(seconds=600),
        )
        completed = await sandbox.run(spec)
    printed = (completed.stdout + completed.stderr).decode(errors="replace").strip()
    why = f"\n{completed.failure}" if completed.failure else ""
    output = (printed + why)[-_TAIL:].strip()
    return Checks(ok=not completed.failure, output=output, timed_out=completed.timed_out)
