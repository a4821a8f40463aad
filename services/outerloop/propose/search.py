"""The knob search: a session without a model that turns declared settings until the eval passes.

It proposes the first setting with which the agent's tests pass, and the eval RUNS times in a row.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from outerloop.propose import knobs, paths
from outerloop.propose.knobs import KnobError, Turn
from outerloop.propose.looking import RUNS, Looking, StoppedError
from outerloop.propose.paths import RefusedError
from outerloop.propose.record import Ended, GaveUp, Proposed
from outerloop.propose.tools import CheckRun, RunEval
from outerloop.propose.workspace import Workspace
from outerloop.runtime.agentfile import Knob
from outerloop.runtime.prices import Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """One search over `space` in a working tree; `objections` are asked of each setting before it is run."""

    space: tuple[Knob, ...]
    workspace: Workspace
    run_tests: Callable[[], Awaitable[CheckRun]] | None
    run_eval: RunEval
    objections: Callable[[], Awaitable[list[str]]]
    looking: Looking

    async def run(self) -> Proposed | GaveUp:
        """Search to an end.

        Raises:
            OutageError: something that is needed is away; the search goes on later.
        """
        texts = self._texts()
        try:
            settings = list(knobs.settings(self.space, texts))
        except KnobError as error:
            return self._none(f"outerloop.yaml: knobs: {error}", Ended.MODEL)
        except KeyError as error:
            why = f"{error.args[0]} is no text file that `mutable` names"
            return self._none(f"outerloop.yaml: knobs: {why}", Ended.MODEL)
        try:
            for setting in settings:
                self._turn(setting, texts)
                if await self._passes(_name(setting)):
                    return self._found(_name(setting))
                self._turn((), texts)
        except StoppedError as stopped:
            return self._none(stopped.why, stopped.ended)
        except RefusedError as error:  # too large a file, for one
            return self._none(f"outerloop.yaml: knobs: {error}", Ended.MODEL)
        return self._none(f"none of {len(settings)} settings passes", Ended.STEPS)

    async def _passes(self, setting: str) -> bool:
        """Whether all is well with a setting, as it is in the tree."""
        sight = await self.looking.tests(setting, self._checked)
        for number in range(1, RUNS + 1):
            if not sight.passed:
                break
            sight = await self.looking.run(setting, number, self.run_eval)
        return sight.passed

    async def _checked(self) -> CheckRun:
        if wrong := await self.objections():
            return CheckRun(passed=False, output=wrong[0])
        return await self.run_tests() if self.run_tests else CheckRun(passed=True, output="")

    def _texts(self) -> dict[str, str]:
        found: dict[str, str] = {}
        mutable = self.workspace.mutable_files()
        for knob in self.space:
            if knob.path in mutable:
                try:
                    found[knob.path] = paths.text(self.workspace.root, knob.path)
                except RefusedError:
                    continue
        return found

    def _turn(self, setting: tuple[Turn, ...], texts: Mapping[str, str]) -> None:
        """Write the files as they are with a setting, or as they were."""
        changed = dict(texts)
        for turn in setting:
            changed[turn.knob.path] = knobs.turned(changed[turn.knob.path], turn)
        for path, text in changed.items():
            now = paths.text(self.workspace.root, path)
            if now != text:
                self.workspace.edit_file(path, now, text)

    def _found(self, setting: str) -> Proposed:
        return Proposed(
            diagnosis=f"With {setting} the eval passes in {RUNS} of {RUNS} runs, and the tests pass.",
            cause="Found by trying the declared settings, without a model: why it helps is not known.",
            risk="A setting is about every request: what the earlier evals do not cover may change with it.",
            confidence=0.5,
            steps=self.looking.sights,
            usage=Usage(),
            usd=self.looking.usd,
        )

    def _none(self, reason: str, ended: Ended) -> GaveUp:
        return GaveUp(
            reason=f"knobs: {reason}",
            ended=ended,
            steps=self.looking.sights,
            usage=Usage(),
            usd=self.looking.usd,
        )


def _name(setting: tuple[Turn, ...]) -> str:
    return " and ".join(map(str, setting))
