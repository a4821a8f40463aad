"""Which sandbox and which Python environment trials use, by the settings."""

import sys
from pathlib import Path

from outerloop.runtime.settings import ModelSettings
from outerloop.trial.isolation import Bubblewrap, Unconfined
from outerloop.trial.sandbox import Sandbox
from outerloop.trial.spec import Limits


def sandbox_of(settings: ModelSettings) -> Sandbox:
    """The sandbox that the settings ask for.

    Raises:
        UserError: when it is not there; the sentence says how to get it.
    """
    return Sandbox(Unconfined() if settings.sandbox == "none" else Bubblewrap())


def environment_of(settings: ModelSettings) -> Path:
    """The Python environment of agents."""
    return settings.agent_environment or Path(sys.prefix)


def limits_of(settings: ModelSettings) -> Limits:
    """What one run of an agent may use."""
    return Limits(seconds=settings.trial_seconds)


def check_limits_of(settings: ModelSettings) -> Limits:
    """What one run of an agent's own tests may use."""
    return Limits(seconds=settings.checks_seconds)
