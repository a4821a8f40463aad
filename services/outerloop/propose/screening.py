"""Screening: what speaks against a patch before the gate sees it, by code that no session can reach.

Asked twice: when the model hands its edits in, so that it can mend them, and again on the patch that was made
of the tree. The rules are the base commit's.
"""

import asyncio
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from outerloop.evals.model import Cassette, Eval
from outerloop.propose import paths
from outerloop.propose.hardcoding import quoted_values
from outerloop.propose.paths import RefusedError
from outerloop.propose.strategies import is_code
from outerloop.propose.workspace import MAX_FILE_BYTES
from outerloop.runtime.agentfile import AgentFile
from outerloop.runtime.contents import Edited, imports_of, objections
from outerloop.runtime.errors import UserError
from outerloop.runtime.git import NotAPatchError, PatchConflictError, Repository
from outerloop.runtime.invariants import violations
from outerloop.runtime.readings import MOST


@dataclass(frozen=True, slots=True, kw_only=True)
class Screening:
    """What is screened for one attempt. `untouched` is a checkout of `base` that no session has edited.

    `earlier` are the patches of earlier attempts at the eval, with their numbers.
    """

    repository: Repository
    base: str
    untouched: Path
    terms: AgentFile
    eval: Eval
    cassette: Cassette
    earlier: Sequence[tuple[int, str]] = ()

    async def of_tree(self, tree: Path) -> list[str]:
        """What speaks against what is in `tree`, a sentence each; [] if nothing."""
        try:
            return await self.of_patch(await self.repository.patch_from(self.base, tree))
        except UserError as error:
            return [str(error)]

    async def of_patch(self, patch: str) -> list[str]:
        """What speaks against a patch on the base."""
        if not patch:
            return ["it changes nothing"]
        try:
            tree = await self.repository.apply(self.base, patch)
        except (NotAPatchError, PatchConflictError) as error:
            return [str(error)]
        changes = await self.repository.changed(self.base, tree)
        names = [entry.path for entry in await self.repository.files(tree)]
        found = violations(changes, self.terms, names)
        if found:
            return found  # what breaks these is not looked into
        edited = [
            Edited(c.path, await self._text(self.base, c.path), await self._text(tree, c.path))
            for c in changes
        ]
        added = [line for file in edited for line in file.added]
        added += [change.path for change in changes if change.status == "A"]
        if (characters := sum(map(len, added))) > MOST:
            return [f"it adds {characters} characters; {MOST} are allowed"]
        found, values = await asyncio.to_thread(self._looked_into, edited, added)
        if values:
            said = ", ".join(map(repr, values))
            found.append(
                f"it quotes the eval's own values ({said}): state the rule for all requests of the kind"
            )
        same = next((number for number, other in self.earlier if gist(other) == gist(patch)), None)
        if same is not None:
            found.append(
                f"it is the change of attempt {same} again, which did not ship: this one must differ"
            )
        return found

    def _looked_into(self, edited: Sequence[Edited], added: Sequence[str]) -> tuple[list[str], list[str]]:
        """What speaks against the texts of a change, and the eval's own values in them."""
        texts = _texts(self.untouched)
        found = objections(edited, self.terms, _modules(texts))
        return found, quoted_values(added, self.eval, self.cassette, texts.values())

    async def _text(self, tree: str, path: str) -> str:
        content = await self.repository.show(tree, path)
        return (content or b"").decode(errors="replace")


# How a line of comment begins, where not by //: there, what begins with # is a field, or an attribute.
_COMMENTS = {".py": "#", ".pyi": "#", ".rb": "#"}


def gist(patch: str) -> frozenset[tuple[str, str]]:
    """What a patch comes to, by path: of texts the lines, whatever their spaces, punctuation, case, places.

    In code each of these may be the repair, but for comments and for spaces within a line or at its end: of
    it the hunks.
    """
    found: set[tuple[str, str]] = set()
    for path, hunk in _hunks(patch):
        if is_code(path):
            found.add((path, "\n".join(_code(hunk, _COMMENTS.get(PurePosixPath(path).suffix.lower(), "//")))))
            continue
        for line in hunk:
            words = " ".join(re.findall(r"\w+", line[1:].casefold()))
            found |= {(path, line[0] + words)} if words and line[0] in "+-" else set()
    return frozenset(found) or frozenset({("", patch)})  # nothing but punctuation


def _code(hunk: Sequence[str], comment: str) -> Iterator[str]:
    """The lines of a hunk, with their signs and indents, without edited ones that do nothing."""
    for line in hunk:
        sign, indent, said = line[0], line[1 : len(line) - len(line[1:].lstrip())], " ".join(line[1:].split())
        if sign == " " or (said and not said.startswith(comment)):
            yield sign + indent + said


def _hunks(patch: str) -> Iterator[tuple[str, list[str]]]:
    """The path and the lines of each hunk of a git patch."""
    for file in re.split(r"^diff --git ", patch, flags=re.MULTILINE):
        head, *hunks = re.split(r"^@@ .*\n", file, flags=re.MULTILINE)
        path = "".join(re.findall(r"^\+\+\+ (?:b/)?(.*)", head, re.MULTILINE)[:1])
        for hunk in hunks:
            yield path, [line for line in hunk.split("\n") if line]


def _texts(root: Path) -> dict[str, str]:
    """The agent's text files."""
    found: dict[str, str] = {}
    for path, size in paths.walk(root):
        if size <= MAX_FILE_BYTES:
            try:
                found[path] = paths.text(root, path)
            except RefusedError:
                continue
    return found


def _modules(texts: dict[str, str]) -> set[str]:
    """Top-level names that the agent's Python files import, and those that they are."""
    python = {path: text for path, text in texts.items() if path.endswith(".py")}
    own = {part.removesuffix(".py") for path in python for part in path.split("/")}
    return own.union(*map(imports_of, python.values()))
