"""Footing: the agent's own tests pass as it is, before a model is asked to change it.

Where they fail without any change, no change can pass them at the gate: a package is missing where the agent
runs, say. That is a person's to mend, and nothing is paid for until then.
"""

import time

from outerloop.propose.candidate import Ground
from outerloop.runtime.errors import OutageError, TrialNotRunError, UserError
from outerloop.trial.checks import MEND
from outerloop.trial.environments import environment_for

# So long is remembered that they fail: who looks every minute is not to run them every minute.
AGAIN_SECONDS = 300.0
_SHOWN = 400  # characters of what they said


class Footing:
    """Remembers by agent at which commit the tests failed, what was said, and when."""

    def __init__(self) -> None:
        self._failing: dict[str, tuple[str, str, float]] = {}

    async def check(self, ground: Ground) -> None:
        """Pass if the agent's own tests pass at the attempt's base.

        Raises:
            UserError: they fail, or there is no environment to run them in.
            OutageError: they did not happen.
        """
        agent = ground.terms.agent
        base, why, at = self._failing.get(agent, ("", "", 0.0))
        if base == ground.base and time.monotonic() - at < AGAIN_SECONDS:
            raise UserError(why)
        self._failing.pop(agent, None)
        await environment_for(ground.terms, ground.untouched, ground.settings)
        try:
            checks = await ground.tests(ground.untouched)
        except TrialNotRunError as error:
            raise OutageError(f"the tests of {agent} could not be run: {error}") from error
        if checks.passed:
            return
        said = " ".join(checks.output[-_SHOWN:].split())
        why = (
            f"its own tests (`test` in outerloop.yaml) fail at {ground.base[:12]}, without any change, so"
            f" that no change could ship: {MEND}. They say: {said}"
        )
        self._failing[agent] = ground.base, why, time.monotonic()
        raise UserError(why)
