"""The tools of a session: what answers a model's calls (see calls.py) over one working tree."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from anthropic.types import ToolParam

from outerloop.propose import calls
from outerloop.propose.context import Evidence, fitting, parted
from outerloop.propose.paths import RefusedError
from outerloop.propose.purse import Purse
from outerloop.propose.workspace import MAX_RESULT_CHARS, Workspace
from outerloop.runtime.errors import TrialNotRunError
from outerloop.trace.model import Trace
from outerloop.trace.quote import clip, one_line, page
from outerloop.trace.quote import run as quoted


@dataclass(frozen=True, slots=True)
class CheckRun:
    """What the agent's test command gave."""

    passed: bool
    output: str


@dataclass(frozen=True, slots=True)
class EvalRun:
    """One run of the agent on an eval: the verdict with its reasons, and the run as data."""

    passed: bool
    reasons: tuple[str, ...]
    trace: Trace | None


_MOST_OBJECTIONS = 8

RunTests = Callable[[], Awaitable[CheckRun]]


class RunEval(Protocol):
    """Runs the agent on the eval, or `on` a recorded run: of that only a good end is expected."""

    def __call__(self, purse: Purse, on: Trace | None = None, /) -> Awaitable[EvalRun]:
        """One run, paid for out of `purse`; raises TrialNotRunError if it says nothing of the agent."""
        ...


class Toolbox:
    """The tools over one working tree.

    `run_tests` runs the agent's test command on the tree and leaves it as it is (runs on a copy, or on a
    read-only mount); None when the agent has no such command, and then there is no such tool. So it is with
    `run_eval`, and with `evidence` for the tools that show more of it. `objections` are asked when the edits
    are handed in: what speaks against them is said to the model, which may mend it. `purse` is what the
    tools may cost, until another one is put in its place.
    """

    def __init__(
        self,
        workspace: Workspace,
        run_tests: RunTests | None,
        *,
        evidence: Evidence | None = None,
        run_eval: RunEval | None = None,
        objections: Callable[[], Awaitable[list[str]]] | None = None,
    ) -> None:
        self._workspace = workspace
        self._run_tests = run_tests
        self._run_eval = run_eval
        self._evidence = evidence
        self._object = objections
        self.purse = Purse()
        missing: dict[type[calls.Call], object] = {
            calls.RunTests: run_tests,
            calls.RunEval: run_eval,
            calls.LookAtTrace: evidence,
            calls.ShowMore: evidence,
        }
        self._offered = {name: call for name, call in calls.TOOLS.items() if missing.get(call, True)}

    def definitions(self) -> list[ToolParam]:
        """For the `tools` of a request; the same toolbox always gives the same."""
        return [calls.definition(name) for name in self._offered]

    def ending(self, name: str, given: object) -> calls.Finish | calls.GiveUp | None:
        """The end that a call asks for; None if it is a call of another kind.

        Raises:
            RefusedError: with what is wrong with the call, for the model.
        """
        if calls.TOOLS.get(name) not in {calls.Finish, calls.GiveUp}:
            return None
        call = self.parsed(name, given)
        return call if isinstance(call, calls.Finish | calls.GiveUp) else None

    async def check(self, ending: calls.Finish | calls.GiveUp) -> None:
        """Whether the session may end so.

        Raises:
            RefusedError: with what is to be done first, for the model.
        """
        if isinstance(ending, calls.Finish) and not self._workspace.changed:
            raise RefusedError("no file is changed: edit one first, or call give_up")
        if isinstance(ending, calls.Finish) and self._object and (wrong := await self._object()):
            raise RefusedError("the change cannot be handed in: " + "; ".join(wrong[:_MOST_OBJECTIONS]))

    async def answer(self, name: str, given: object) -> str:
        """What a call gives: a text for the model.

        Raises:
            RefusedError: with what is wrong with the call, for the model.
            OutageError: the sandbox is away.
        """
        call = self.parsed(name, given)
        match call:
            case calls.RunTests():
                return await self._tested()
            case calls.RunEval(trace_id=trace_id):
                return await self._tried(trace_id)
            case calls.LookAtTrace(trace_id=trace_id, start_line=start_line):
                return self._shown(trace_id, start_line)
            case calls.ShowMore(part=part, start=start):
                return self._more(part, start)
            case _:
                return await asyncio.to_thread(self._in_tree, call)

    def _shown(self, trace_id: str, start_line: int) -> str:
        text = page(self._recorded(trace_id), start_line, MAX_RESULT_CHARS)
        if not text:
            raise RefusedError(f"the run has fewer than {start_line} lines")
        return text

    def _recorded(self, trace_id: str) -> Trace:
        runs = self._evidence.runs if self._evidence else {}
        if trace_id not in runs:
            raise RefusedError(f"no such run: the task names {', '.join(runs) or 'none'}")
        return runs[trace_id]

    def _more(self, part: str, start: int) -> str:
        items = self._evidence.parts()[part] if self._evidence else []
        if start > len(items):
            raise RefusedError(f"{part} has {len(items)} items")
        shown, left = fitting(items[start - 1 :], MAX_RESULT_CHARS)
        said = "\n".join(shown)
        return f"{said}\n[{left} more: start {start + len(shown)} goes on]" if left else said

    async def _tried(self, trace_id: str) -> str:
        if self._run_eval is None:
            raise RefusedError("the eval cannot be run here")
        on = self._recorded(trace_id) if trace_id else None
        try:
            run = await self._run_eval(self.purse, on)
        except TrialNotRunError as error:
            raise RefusedError(f"the run did not happen: {clip(str(error), 1_000)}") from error
        well = "passed" if on is None else "it ended well"
        verdict = well if run.passed else "FAILED: " + "; ".join(clip(r, 400) for r in run.reasons[:10])
        if on and run.trace:
            verdict += f". {parted(on, run.trace, 'recorded', 'new')}"
        seen = quoted(run.trace, MAX_RESULT_CHARS // 2) if run.trace else "no trace came"
        return f"{one_line(verdict, MAX_RESULT_CHARS // 4)}\n{seen}"

    def _in_tree(self, call: calls.Call) -> str:
        match call:
            case calls.ListFiles(folder=folder):
                return self._workspace.list_files(folder)
            case calls.ReadFile(path=path, start_line=start_line):
                return self._workspace.read_file(path, start_line)
            case calls.Search(pattern=pattern, folder=folder):
                return self._workspace.search(pattern, folder)
            case calls.EditFile(path=path, old=old, new=new):
                return self._workspace.edit_file(path, old, new)
            case _:
                raise TypeError(f"no tool of the tree: {call!r}")

    async def _tested(self) -> str:
        if self._run_tests is None:
            raise RefusedError("the agent has no test command")
        try:
            run = await self._run_tests()
        except TrialNotRunError as error:
            # Perhaps an edit made them hang: for the model to judge, not for us.
            raise RefusedError(f"the tests did not run: {clip(str(error), 1_000)}") from error
        # What failed is said at the end of a test run's output.
        cut = len(run.output) - MAX_RESULT_CHARS
        output = run.output if cut <= 0 else f"[{cut} characters left out]\n{run.output[cut:]}"
        return f"{'passed' if run.passed else 'FAILED'}\n{output}"

    def parsed(self, name: str, given: object) -> calls.Call:
        """The call, typed; see calls.parsed."""
        return calls.parsed(name, given, self._offered)
