"""The knob search: a session without a model that turns declared settings until the eval passes.

Each setting that is tried is a step in memory, with what its runs cost, so a search that is killed goes on
after the last one. It proposes the first setting with which tests and eval pass, RUNS times in a row.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from outerloop.propose import knobs, paths
from outerloop.propose.knobs import KnobError, Turn
from outerloop.propose.paths import RefusedError
from outerloop.propose.record import Ended, GaveUp, Past, Proposed, Step
from outerloop.propose.tools import CheckRun, EvalRun
from outerloop.propose.workspace import Workspace
from outerloop.runtime.agentfile import Knob
from outerloop.runtime.errors import TrialNotRunError
from outerloop.runtime.prices import Usage

RUNS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """One search over `space` in a working tree; `objections` are asked of each setting before it is run.

    `usd`: what it may cost. `on_step` is told of each setting that was tried. `hindrance` as in a session.
    """

    space: tuple[Knob, ...]
    workspace: Workspace
    run_tests: Callable[[], Awaitable[CheckRun]] | None
    run_eval: Callable[[], Awaitable[EvalRun]]
    objections: Callable[[], Awaitable[list[str]]]
    on_step: Callable[[Step], Awaitable[None]]
    hindrance: Callable[[], Awaitable[str]]
    usd: float
    epoch: int

    async def run(self, past: Past) -> Proposed | GaveUp:
        """Search to an end; `past` are the settings that were tried before.

        Raises:
            OutageError: something that is needed is away; the search goes on later.
        """
        texts, spent, dearest = self._texts(), past.usd, 0.0
        try:
            settings = list(knobs.settings(self.space, texts))
        except (KnobError, KeyError) as error:
            return self._none(f"outerloop.yaml: knobs: {str(error).strip(chr(39))}", Ended.MODEL, 0, spent)
        done = {_said(step)["setting"]: _said(step) for step in past.steps}
        for number, setting in enumerate(settings, start=1):
            found = done.get(_name(setting))
            if found is None:
                if why := await self.hindrance():
                    return self._none(why, Ended.SUSPENDED, len(done), spent)
                if spent + RUNS * dearest > self.usd:
                    return self._none(f"the search has cost ${spent:.2f}", Ended.BUDGET, len(done), spent)
                found = await self._try(setting, texts)
                done[_name(setting)] = found
                spent, dearest = spent + found["usd"], max(dearest, found["usd"] / RUNS)
                await self.on_step(_step(number, self.epoch, found))
            if found["passed"]:
                self._turn(setting, texts)
                return self._found(_name(setting), len(done), spent)
        return self._none(f"none of {len(settings)} settings passes", Ended.STEPS, len(done), spent)

    async def _try(self, setting: tuple[Turn, ...], texts: Mapping[str, str]) -> dict[str, Any]:
        """What comes of a setting: `passed`, what it `said` if not, `usd`. The tree is as before then."""
        self._turn(setting, texts)
        usd, said = 0.0, ""
        try:
            if wrong := await self.objections():
                said = wrong[0]
            elif self.run_tests and not (checks := await self.run_tests()).passed:
                said = f"the tests fail: {checks.output[-300:]}"
            for _ in range(0 if said else RUNS):
                ran = await self.run_eval()
                usd += ran.usd
                if not ran.passed:
                    said = "; ".join(ran.reasons)[:600] or "the eval does not pass"
                    break
        except TrialNotRunError as error:
            said = f"it could not be run: {error}"[:600]
        finally:
            self._turn((), texts)
        return {"setting": _name(setting), "passed": not said, "said": said, "usd": usd}

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

    def _found(self, setting: str, steps: int, usd: float) -> Proposed:
        return Proposed(
            diagnosis=f"With {setting} the eval passes in {RUNS} of {RUNS} runs, and the tests pass.",
            cause="Found by trying the declared settings, without a model: why it helps is not known.",
            risk="A setting is about every request: what the earlier evals do not cover may change with it.",
            confidence=0.5,
            steps=steps,
            usage=Usage(),
            usd=usd,
        )

    def _none(self, reason: str, ended: Ended, steps: int, usd: float) -> GaveUp:
        return GaveUp(reason=f"knobs: {reason}", ended=ended, steps=steps, usage=Usage(), usd=usd)


def _name(setting: tuple[Turn, ...]) -> str:
    return " and ".join(map(str, setting))


def _step(number: int, epoch: int, found: dict[str, Any]) -> Step:
    call = {"type": "text", "text": f"try {found['setting']}"}
    said = {"type": "text", "text": json.dumps(found, ensure_ascii=False)}
    return Step(number=number, epoch=epoch, content=[call], reply=[said], usd=found["usd"], seconds=0.0)


def _said(step: Step) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((step.reply or [{}])[0].get("text", "{}"))
    return found
