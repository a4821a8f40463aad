"""What no change may do, whatever its author and its trials say.

Checked on the difference between two trees (the head of the release branch, and the candidate on it), so
nothing that a patch says of itself counts. The rules are read from the base, never from the candidate.
"""

import re
import unicodedata
from collections.abc import Collection, Iterator, Sequence
from itertools import accumulate

from outerloop.runtime.agentfile import AgentFile, folded, is_protected
from outerloop.runtime.git.model import PLAIN, SUBMODULE, SYMLINK, TreeChange
from outerloop.runtime.globs import matches

MAX_FILE_BYTES = 256 * 1024

_ABSENT = "000000"
# Scripts with letters that look like one another's.
_ALIKE = {"LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC", "LISU"}


def violations(changes: Sequence[TreeChange], base: AgentFile, paths: Collection[str]) -> list[str]:
    """What `changes` do that they may not, a sentence each; [] if nothing. `paths`: all of the candidate."""
    if not changes:
        return ["it changes nothing"]
    lines = sum(change.added_lines + change.removed_lines for change in changes)
    found: list[str] = []
    if len(changes) > base.changes.files:
        found.append(f"it changes {len(changes)} files; {base.changes.files} are allowed")
    if lines > base.changes.lines:
        found.append(f"it adds and removes {lines} lines; {base.changes.lines} are allowed")
    for change in changes:
        found.extend(f"{change.path!r} {what}" for what in _wrong_with(change, base))
    return [*found, *_clashes(changes, paths)]


def _wrong_with(change: TreeChange, base: AgentFile) -> Iterator[str]:
    if is_protected(change.path):
        yield "is never open to change"
    elif not matches(change.path, base.mutable):
        yield f"is not in `mutable` ({', '.join(base.mutable)})"
    modes = {change.old_mode, change.new_mode}
    if SYMLINK in modes:
        yield "is a symlink"
    elif SUBMODULE in modes:
        yield "is a submodule"
    elif _ABSENT not in modes and len(modes) > 1:
        yield f"changes its mode from {change.old_mode} to {change.new_mode}"
    elif change.status == "A" and change.new_mode != PLAIN:
        yield f"is added with mode {change.new_mode}; {PLAIN} is allowed"
    elif change.binary:
        yield "is binary"
    if change.new_size > MAX_FILE_BYTES:
        yield f"has {change.new_size} bytes; {MAX_FILE_BYTES} are allowed"
    if change.status != "D" and (trick := _trick(change.path)):
        yield trick


def _trick(path: str) -> str | None:
    """What makes a path look like another one to a person or to another file system."""
    if any(unicodedata.category(character).startswith("C") for character in path):
        return "has a name with invisible or undecodable characters"
    if unicodedata.normalize("NFKC", path) != path:
        return "has a name that is not in Unicode's normal form (NFKC)"
    if any(len(_scripts(word)) > 1 for word in re.split(r"[\W_]+", path)):
        return "has a name that mixes scripts whose letters look alike"
    if any(part != part.strip(" ") or part.endswith(".") or "\\" in part for part in path.split("/")):
        return "has a name that some file systems read as another"
    return None


def _scripts(word: str) -> set[str]:
    names = (unicodedata.name(letter, "").split(" ")[0] for letter in word if letter.isalpha())
    return {name for name in names if name in _ALIKE}


def _clashes(changes: Sequence[TreeChange], paths: Collection[str]) -> Iterator[str]:
    """Added paths that differ from another one of the candidate, folders included, by spelling only."""
    spellings: dict[str, set[str]] = {}
    for path in paths:
        for prefix in _prefixes(path):
            spellings.setdefault(_spelling(prefix), set()).add(prefix)
    for change in changes:
        if change.status != "A":
            continue
        for prefix in _prefixes(change.path):
            others = spellings.get(_spelling(prefix), set()) - {prefix}
            if others:
                yield f"{prefix!r} differs from {min(others)!r} by its spelling only"


def _prefixes(path: str) -> Iterator[str]:
    return accumulate(path.split("/"), lambda folder, part: f"{folder}/{part}")


def _spelling(path: str) -> str:
    return "/".join(folded(part) for part in path.split("/"))
