"""Calls: what a model may ask of the tools. A tool is a pydantic model.

Its docstring is the description, its fields are the schema. A call that does not fit is answered with what is
wrong and what would fit, so that the language model can correct itself.
"""

from collections.abc import Mapping
from inspect import cleandoc
from typing import Annotated, Literal

from anthropic.types import ToolParam
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from outerloop.propose.paths import RefusedError

_Path = Annotated[str, Field(description="Relative to the root of the repository.", max_length=1_000)]
_Folder = Annotated[str, Field(description="Only below this folder; empty for everywhere.", max_length=1_000)]
_Text = Annotated[str, Field(min_length=1, max_length=4_000)]


class Call(BaseModel):
    """A call of a tool. It has no other fields than its tool's."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ListFiles(Call):
    """List the files of the repository, with their sizes and whether you may change them."""

    folder: _Folder = ""


class ReadFile(Call):
    """Read a text file. Long files come in parts; the last line then says how to read on."""

    path: _Path
    start_line: Annotated[int, Field(ge=1, description="The first line to show.")] = 1


class Search(Call):
    """Find the lines of all files that hold a text, literally (no wildcards, case matters)."""

    pattern: Annotated[str, Field(min_length=1, max_length=500)]
    folder: _Folder = ""


class EditFile(Call):
    """Replace a text in a file. It must occur exactly once; give enough of what is around it."""

    path: _Path
    old: Annotated[str, Field(min_length=1, description="As it stands in the file, spaces and lines too.")]
    new: str


class LookAtTrace(Call):
    """Look at a recorded run that the task names, step by step. Long runs come in parts."""

    trace_id: Annotated[str, Field(min_length=1, max_length=64, description="As the task gives it.")]
    start_line: Annotated[int, Field(ge=1, description="The first line to show.")] = 1


class ShowMore(Call):
    """Show a part of the task that was too long to be told whole."""

    part: Annotated[
        Literal["signals", "expectations", "lessons", "files", "runs", "attempts"],
        Field(description="As it is named under 'What was left out here'."),
    ]
    start: Annotated[
        int, Field(ge=1, description="The first item to show; the task's own were the first.")
    ] = 1


class RunEval(Call):
    """Run the agent once, as you have edited it, on the eval's request or a recorded run's.

    Of the eval you are told whether it passes; of a recorded run, where the agent now does otherwise.
    """

    trace_id: Annotated[
        str, Field(max_length=64, description="A run that the task names; empty for the eval itself.")
    ] = ""


class RunTests(Call):
    """Run the agent's own tests on the repository as you have edited it."""


class Finish(Call):
    """Hand in your edits as the proposed change. Nothing can be done after it."""

    diagnosis: Annotated[_Text, Field(description="What went wrong, and what your change does about it.")]
    cause: Annotated[_Text, Field(description="Why this is the cause: the evidence for it.")]
    risk: Annotated[_Text, Field(description="What the change might break elsewhere.")]
    confidence: Annotated[
        float, Field(ge=0, le=1, description="How likely the change ships: 0 to 1.", allow_inf_nan=False)
    ]


class GiveUp(Call):
    """End without a change, because none that you may make would remove the cause."""

    reason: Annotated[_Text, Field(description="Why, and what a person would have to decide.")]


TOOLS: dict[str, type[Call]] = {
    "list_files": ListFiles,
    "read_file": ReadFile,
    "search": Search,
    "edit_file": EditFile,
    "look_at_trace": LookAtTrace,
    "show_more": ShowMore,
    "run_tests": RunTests,
    "run_eval": RunEval,
    "finish": Finish,
    "give_up": GiveUp,
}


def definition(name: str) -> ToolParam:
    """Of one tool, for the `tools` of a request."""
    call = TOOLS[name]
    schema = {k: v for k, v in call.model_json_schema().items() if k not in {"title", "description"}}
    return {"name": name, "description": cleandoc(call.__doc__ or ""), "input_schema": schema}


def parsed(name: str, given: object, offered: Mapping[str, type[Call]]) -> Call:
    """The call, typed; `offered` are the tools that there are.

    Raises:
        RefusedError: with what is wrong with it and what would fit, for the model.
    """
    call = offered.get(name)
    if call is None:
        raise RefusedError(f"there is no tool {name!r}; there are {', '.join(offered)}")
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
        raise RefusedError(f"malformed call of {name}: {wrong}. It takes: {takes or 'nothing'}") from error
