"""`outerloop.yaml`: what the team that owns an agent says of it, in the agent's own repository."""

import unicodedata
from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from outerloop.runtime.documents import Document, parse_yaml
from outerloop.runtime.errors import UserError
from outerloop.runtime.git.objects import Objects

NAME = "outerloop.yaml"

# What CI systems other than git hosts' own (which begin with .git) read; as `folded` writes it.
_CI = frozenset({".ci", ".circleci", ".buildkite", ".travis.yml", "jenkinsfile", "azure-pipelines.yml"})

Command = Annotated[tuple[str, ...], Field(min_length=1)]


def _relative(glob: str) -> str:
    path = PurePosixPath(glob)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"{glob!r} must be a path inside the repository")
    return glob


Globs = Annotated[tuple[Annotated[str, AfterValidator(_relative)], ...], Field(min_length=1)]


class Tools(Document):
    """The tool sandbox that answers calls which a cassette does not hold.

    `in_process`: the agent answers some of its tools itself, so that of its calls only the trace can tell.
    """

    sandbox: Command | None = None
    in_process: bool = False


class Environment(Document):
    """The agent's Python environment: what a requirements file with hashes says, inside the repository.

    Without one it is that of the settings, the same for every commit.
    """

    lock: Annotated[str, Field(min_length=1), AfterValidator(_relative)] | None = None


class Release(Document):
    """The branch that production runs, and how a change reaches it: pushed, or merged by a person."""

    branch: str = "main"
    mode: Literal["push", "pull_request"] = "push"


class Budget(Document):
    """What the loop may spend on this agent."""

    usd_per_day: Annotated[float, Field(gt=0)] = 20.0


class Changes(Document):
    """How large a change may be, and what it may do besides: name a new dependency, widen a permission."""

    files: Annotated[int, Field(ge=1)] = 20
    lines: Annotated[int, Field(ge=1)] = 400
    dependencies: bool = False
    permissions: bool = False


class Knob(Document):
    """A setting that may be tried without a model: a `key` (dotted) of a YAML or JSON file, and values."""

    path: Annotated[str, Field(min_length=1), AfterValidator(_relative)]
    key: Annotated[str, Field(min_length=1)]
    values: Annotated[tuple[str | int | float | bool, ...], Field(min_length=1, max_length=20)]


class AgentFile(Document):
    """One agent, as its `outerloop.yaml` describes it.

    `depends` says which files an eval may depend on: globs of paths by globs of eval ids. Every eval depends
    on every file until it is declared: see `gate.core.fingerprint`. `review`: a person looks at every
    drafted eval, or (auto) not at those whose proof is whole, on a sign of which a person has accepted an
    eval before. `knobs` are settings in mutable files, such as a model or an effort: see `propose.knobs`.
    """

    agent: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
    run: Command
    test: Command | None = None
    tools: Tools = Tools()
    environment: Environment = Environment()
    mutable: Globs
    release: Release = Release()
    models: dict[str, str] = Field(default_factory=dict)
    budget: Budget = Budget()
    depends: dict[str, Globs] = Field(default_factory=dict)
    changes: Changes = Changes()
    review: Literal["required", "auto"] = "required"
    knobs: Annotated[tuple[Knob, ...], Field(max_length=12)] = ()

    @classmethod
    def parse(cls, text: str, where: str = NAME) -> "AgentFile":
        """Read the text of an `outerloop.yaml`.

        Raises:
            UserError: naming `where`, the field and what is wrong with it.
        """
        return parse_yaml(cls, text, where)


async def agentfile_at(repository: Objects, commit: str) -> AgentFile:
    """The `outerloop.yaml` of a commit.

    Raises:
        UserError: if there is none that can be used.
    """
    where = f"{NAME} at {commit}"
    content = await repository.show(commit, NAME)
    if content is None:
        raise UserError(f"there is no {where}")
    try:
        return AgentFile.parse(content.decode(), where)
    except UnicodeDecodeError as error:
        raise UserError(f"{where} is not UTF-8") from error


def is_protected(path: str) -> bool:
    """Whether `path` belongs to the judge, so that no change may touch it, whatever `mutable` says.

    That is outerloop.yaml (whoever edits it could make everything mutable for the next change), what steers
    git (.git*, and its short names on Windows), and CI; in any folder and in any spelling.
    """
    parts = [folded(part) for part in path.split("/")]
    return any(part == NAME or part in _CI or part.startswith((".git", "git~")) for part in parts)


def folded(part: str) -> str:
    """What a file system that ignores case, Unicode forms and dots at the end would make of a path's part."""
    if part.isascii():
        return part.lower().rstrip(" .")
    visible = "".join(letter for letter in part if unicodedata.category(letter) != "Cf")
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", visible).casefold()).rstrip(" .")
