"""Agent: its `outerloop.yaml` at a commit, held against what the settings say of it."""

from outerloop.runtime.agentfile import NAME, AgentFile, agentfile_at
from outerloop.runtime.errors import UserError
from outerloop.runtime.git import Repository


async def terms_at(repository: Repository, head: str, agent: str, branch: str) -> AgentFile:
    """The `outerloop.yaml` of `head`.

    Raises:
        UserError: if there is none that can be used, or it is of another agent or branch.
    """
    terms = await agentfile_at(repository, head)
    where = f"{NAME} at {head}"
    if terms.agent != agent:
        raise UserError(f"{where} is of the agent {terms.agent!r}, not of {agent!r}")
    if terms.release.branch != branch:
        raise UserError(
            f"{where} releases from {terms.release.branch!r}, and OUTERLOOP_AGENTS says {branch!r}: set "
            f"`release.branch` to {branch!r}, or end the agent's address in #{terms.release.branch}"
        )
    return terms
