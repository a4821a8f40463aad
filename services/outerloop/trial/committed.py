"""An agent as it is at a commit, under trial: nothing of it is changed, so it brings its own tools."""

from pathlib import Path

from outerloop.evals.suite import Entry
from outerloop.runtime.agentfile import AgentFile
from outerloop.runtime.settings import ModelSettings
from outerloop.trial.backend import limits_of
from outerloop.trial.environments import environment_for
from outerloop.trial.run import TrialSpec


async def spec_of(
    entry: Entry, commit: str, terms: AgentFile, tree: Path, settings: ModelSettings
) -> TrialSpec:
    """What a trial of `commit`, checked out in `tree`, on an eval is by the settings.

    Raises:
        LockError: when its lock file is not there, or cannot be installed.
        OutageError: when the package index is away.
    """
    key = settings.anthropic_api_key
    return TrialSpec(
        checkout=tree,
        version=commit,
        agent=terms,
        eval=entry.eval,
        cassette=entry.cassette,
        tools_checkout=tree,
        environment=await environment_for(terms, tree, settings),
        model_url=settings.anthropic_base_url,
        model_key=key.get_secret_value() if key else "",
        limits=limits_of(settings),
    )
