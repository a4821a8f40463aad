"""The tools of a session: their definitions for the Messages API, and what answers a call.

A tool is a pydantic model: its docstring is the description, its fields are the schema. A call that does not
fit is answered with what is wrong and what would fit, so that the language model can correct itself.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from inspect import cleandoc
from typing import Annotated, Literal, Protocol

from anthropic.types import ToolParam
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from outerloop.propose.context import Evidence, fitting, parted
from outerloop.propose.paths import RefusedError
from outerloop.propose.purse import Purse
from outerloop.propose.workspace import MAX_RESULT_CHARS, Workspace
from outerloop.runtime.errors import TrialNotRunError
from outerloop.trace.model import Trace
from outerloop.trace.quote import clip, one_line, page
from outerloop.trace.quote import run as quoted

_Path = Annotated[str, Field(description="Relative to the root of the repository.", max_length=1_000)]
_Folder = Annotated[str, Field(description="Only below this folder; empty for everywhere.", max_length=1_000)]
_Text = Annotated[str, Field(min_length=1, max_length=4_000)]


class _Call(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ListFiles(_Call):
    """List the files of the repository, with their sizes and whether you may change them."""

    folder: _Folder = ""


class ReadFile(_Call):
    """Read a text file. Long files come in parts; the last line then says how to read on."""

    path: _Path
    start_line: Annotated[int, Field(ge=1, description="The first line to show.")] = 1


class Search(_Call):
    """Find the lines of all files that hold a text, literally (no wildcards, case matters)."""

    pattern: Annotated[str, Field(min_length=1, max_length=500)]
    folder: _Folder = ""


class EditFile(_Call):
    """Replace a text in a file. It must occur exactly once; give enough of what is around it."""

    path: _Path
    old: Annotated[str, Field(min_length=1, description="As it stands in the file, spaces and lines too.")]
    new: str


class LookAtTrace(_Call):
    """Look at a recorded run that the task names, step by step. Long runs come in parts."""

    trace_id: Annotated[str, Field(min_length=1, max_length=64, description="As the task gives it.")]
    start_line: Annotated[int, Field(ge=1, description="The first line to show.")] = 1


class ShowMore(_Call):
    """Show a part of the task that was too long to be told whole."""

    part: Annotated[
        Literal["signals", "expectations", "lessons", "files", "runs", "attempts"],
        Field(description="As it is named under 'What was left out here'."),
    ]
    start: Annotated[
        int, Field(ge=1, description="The first item to show; the task's own were the first.")
    ] = 1


class RunEvalCall(_Call):
    """Run the agent once, as you have edited it, on the eval's request or a recorded run's.

    Of the eval you are told whether it passes; of a recorded run, where the agent now does otherwise.
    """

    trace_id: Annotated[
        str, Field(max_length=64, description="A run that the task names; empty for the eval itself.")
    ] = ""


class RunTestsCall(_Call):
    """Run the agent's own tests on the repository as you have edited it."""


class Finish(_Call):
    """Hand in your edits as the proposed change. Nothing can be done after it."""

    diagnosis: Annotated[_Text, Field(description="What went wrong, and what your change does about it.")]
    cause: Annotated[_Text, Field(description="Why this is the cause: the evidence for it.")]
    risk: Annotated[_Text, Field(description="What the change might break elsewhere.")]
    confidence: Annotated[
        float, Field(ge=0, le=1, description="How likely the change ships: 0 to 1.", allow_inf_nan=False)
    ]


class GiveUp(_Call):
    """End without a change, because none that you may make would remove the cause."""

    reason: Annotated[_Text, Field(description="Why, and what a person would have to decide.")]


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


_TOOLS: dict[str, type[_Call]] = {
    "list_files": ListFiles,
    "read_file": ReadFile,
    "search": Search,
    "edit_file": EditFile,
    "look_at_trace": LookAtTrace,
    "show_more": ShowMore,
    "run_tests": RunTestsCall,
    "run_eval": RunEvalCall,
    "finish": Finish,
    "give_up": GiveUp,
}


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
        missing: dict[type[_Call], object] = {
            RunTestsCall: run_tests,
            RunEvalCall: run_eval,
            LookAtTrace: evidence,
            ShowMore: evidence,
        }
        self._offered = {name: call for name, call in _TOOLS.items() if missing.get(call, True)}

    def definitions(self) -> list[ToolParam]:
        """For the `tools` of a request; the same toolbox always gives the same."""
        return [
            {"name": name, "description": cleandoc(call.__doc__ or ""), "input_schema": _schema(call)}
            for name, call in self._offered.items()
        ]

    def ending(self, name: str, given: object) -> Finish | GiveUp | None:
        """The end that a call asks for; None if it is a call of another kind.

        Raises:
            RefusedError: with what is wrong with the call, for the model.
        """
        if _TOOLS.get(name) not in {Finish, GiveUp}:
            return None
        call = self.parsed(name, given)
        return call if isinstance(call, Finish | GiveUp) else None

    async def check(self, ending: Finish | GiveUp) -> None:
        """Whether the session may end so.

        Raises:
            RefusedError: with what is to be done first, for the model.
        """
        if isinstance(ending, Finish) and not self._workspace.changed:
            raise RefusedError("no file is changed: edit one first, or call give_up")
        if isinstance(ending, Finish) and self._object and (wrong := await self._object()):
            raise RefusedError("the change cannot be handed in: " + "; ".join(wrong[:_MOST_OBJECTIONS]))

    async def answer(self, name: str, given: object) -> str:
        """What a call gives: a text for the model.

        Raises:
            RefusedError: with what is wrong with the call, for the model.
            OutageError: the sandbox is away.
        """
        call = self.parsed(name, given)
        match call:
            case RunTestsCall():
                return await self._tested()
            case RunEvalCall(trace_id=trace_id):
                return await self._tried(trace_id)
            case LookAtTrace(trace_id=trace_id, start_line=start_line):
                return self._shown(trace_id, start_line)
            case ShowMore(part=part, start=start):
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

    def _in_tree(self, call: _Call) -> str:
        match call:
            case ListFiles(folder=folder):
                return self._workspace.list_files(folder)
            case ReadFile(path=path, start_line=start_line):
                return self._workspace.read_file(path, start_line)
            case Search(pattern=pattern, folder=folder):
                return self._workspace.search(pattern, folder)
            case EditFile(path=path, old=old, new=new):
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

    def parsed(self, name: str, given: object) -> _Call:
        """The call, typed.

        Raises:
            RefusedError: with what is wrong with it and what would fit, for the model.
        """
        call = self._offered.get(name)
        if call is None:
            raise RefusedError(f"there is no tool {name!r}; there are {', '.join(self._offered)}")
        try:
            return call.model_validate(given)
        except ValidationError as error:
            wrong = "; ".join(
                f"{'.'.join(map(str, e['loc'])) or 'input'}: {e['msg']}" for e in error.errors()[:5]
            )
            takes = ", ".join(
                f"{field}{'' if about.is_required() else ' (optional)'}"
                for field, about in call.model_fields.items()
            )
            raise RefusedError(
                f"malformed call of {name}: {wrong}. It takes: {takes or 'nothing'}"
            ) from error


def _schema(call: type[_Call]) -> dict[str, object]:
    schema = call.model_json_schema()
    return {key: value for key, value in schema.items() if key not in {"title", "description"}}
