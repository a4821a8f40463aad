"""Branches: the history of the suite and of the ledger, in which things may only be added."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from outerloop.evals.tombstone import FOLDER, PATH
from outerloop.gate.core.entries import Renewal, parsed, renewals
from outerloop.gate.core.spending import Entry, Ledger, Released, Reserved
from outerloop.gate.release import ledger
from outerloop.runtime.errors import UserError
from outerloop.runtime.git.objects import Objects
from outerloop.runtime.git.process import succeed

_OURS = ("evals/", "heldout/", "certificates/", FOLDER)
_CERTIFICATE = re.compile(r"certificates/([^/]+)\.json")


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with a commit, in a sentence."""

    commit: str
    what: str


@dataclass(frozen=True, slots=True)
class Logged:
    """A commit and what it changed in its first parent: (status, path, blob), the status as git's letter."""

    commit: str
    parents: tuple[str, ...]
    changes: tuple[tuple[str, str, str], ...]

    @property
    def parent(self) -> str:
        """The first parent, "" of a first commit."""
        return self.parents[0] if self.parents else ""


async def log_of(objects: Objects, tip: str) -> list[Logged]:
    """The history of `tip`, the oldest first."""
    flags = ("--reverse", "--topo-order", "-z", "--raw", "--root", "--no-renames", "--no-abbrev")
    shape = ("--diff-merges=first-parent", "--no-ext-diff", "--format=tformat:%x01%H%x00%P")
    out = await succeed(objects.directory, "log", *flags, *shape, tip, "--")
    words = iter(out.decode(errors="surrogateescape").split("\0")[:-1])
    logged: list[Logged] = []
    for word in words:
        if word.startswith("\x01"):
            logged.append(Logged(word[1:], tuple(next(words).split()), ()))
        else:
            about, last = word.removeprefix("\n").split(), logged[-1]
            change = (about[4], next(words), about[3])
            logged[-1] = Logged(last.commit, last.parents, (*last.changes, change))
    return logged


@dataclass(frozen=True, slots=True)
class Buried:
    """A tombstone on the suite branch, as the commit that added it left it."""

    commit: str
    path: str
    blob: str


@dataclass(frozen=True, slots=True)
class Certified:
    """A certificate's file on the suite branch, as the commit that added it left it."""

    added_by: str
    parent: str
    decision_id: str
    blob: str
    evals: Mapping[str, str]  # the other files that came with it, blob by path
    retired: tuple[Buried, ...]  # the tombstones that came since the one before


@dataclass(slots=True)
class History:
    """The certificates in the order in which they came, and what in the branch was not an addition.

    `retired` are the tombstones that came after the last of them.
    """

    certified: list[Certified] = field(default_factory=list[Certified])
    found: list[Finding] = field(default_factory=list[Finding])
    retired: tuple[Buried, ...] = ()


async def suite_history(objects: Objects, tip: str) -> History:
    """The history of the suite."""
    certified: list[Certified] = []
    found: list[Finding] = []
    retired: tuple[Buried, ...] = ()
    for logged in await log_of(objects, tip):
        if len(logged.parents) > 1:
            found.append(Finding(logged.commit, "the suite branch has a merge: the gate makes none"))
        ours = [change for change in logged.changes if change[1].startswith(_OURS)]
        found += [
            Finding(logged.commit, f"the suite's {path} was {'removed' if status == 'D' else 'changed'}")
            for status, path, _ in ours
            if status != "A"
        ]
        added = {path: blob for status, path, blob in ours if status == "A"}
        proofs = {path: match[1] for path in added if (match := _CERTIFICATE.fullmatch(path))}
        evals = {path: blob for path, blob in added.items() if path not in proofs}
        if len(proofs) == 1:
            ((path, decision_id),) = proofs.items()
            certified.append(
                Certified(logged.commit, logged.parent, decision_id, added[path], evals, retired)
            )
            retired = ()
        elif added and all(PATH.fullmatch(path) for path in added):
            retired += tuple(Buried(logged.commit, path, blob) for path, blob in added.items())
        elif added:
            found.append(Finding(logged.commit, "the suite grew by other than one certificate with its eval"))
    return History(certified, found, retired)


@dataclass(slots=True)
class Spent:
    """The ledger's history: its commits, which content held which index when, and what is wrong with it."""

    _at: dict[str, int] = field(default_factory=dict)  # position by commit
    _held: dict[str, list[tuple[int, Reserved]]] = field(default_factory=dict)  # by content, since when
    _freed: dict[str, list[int]] = field(default_factory=dict)
    renewals: Sequence[Renewal] = ()
    found: list[Finding] = field(default_factory=list)

    @property
    def freed(self) -> list[tuple[str, str]]:
        """(commit, content) of each release of an index."""
        commits = list(self._at)
        released = sorted((at, content) for content, times in self._freed.items() for at in times)
        return [(commits[min(at, len(commits) - 1)], content) for at, content in released]

    def follows(self, commit: str, earlier: str) -> bool:
        """Whether `commit` is one of the ledger's, and not before `earlier` ("": the beginning)."""
        least = self._at.get(earlier, len(self._at)) if earlier else 0
        return self._at.get(commit, -1) >= least

    def reservation(self, commit: str, content: str) -> Reserved | None:
        """What `content` held at `commit`; None if nothing."""
        at = self._at.get(commit, -1)
        since, held = max(
            (each for each in self._held.get(content, []) if each[0] <= at),
            key=lambda each: each[0],
            default=(-1, None),
        )
        freed = any(since < each <= at for each in self._freed.get(content, []))
        return None if freed else held

    def take(self, at: int, entry: Entry) -> None:
        """Take the entry at this position into account."""
        if isinstance(entry, Reserved):
            self._held.setdefault(entry.content, []).append((at, entry))
        elif isinstance(entry, Released):
            self._freed.setdefault(entry.content, []).append(at)


async def ledger_history(objects: Objects, tip: str) -> Spent:
    """The ledger, and what in its history was not one more entry."""
    text = await objects.show(tip, ledger.NAME)
    if text is None:
        return Spent(found=[Finding(tip, f"the ledger has no {ledger.NAME}")])
    logged = await log_of(objects, tip)
    spent = Spent({each.commit: at for at, each in enumerate(logged)}, renewals=renewals(text))
    spent.found += await _not_appended(objects, logged, text)
    state = Ledger()
    try:
        for at, entry in enumerate(parsed(text, ledger.NAME)):
            state.apply(entry)
            spent.take(at, entry)
    except (UserError, ValueError) as error:
        spent.found.append(Finding(tip, f"the ledger is broken: {error}"))
    return spent


async def _not_appended(objects: Objects, logged: Sequence[Logged], text: bytes) -> list[Finding]:
    """The commits that did more, or less, than add one line at the end."""
    if _is_appended(logged, text):
        return []
    found: list[Finding] = []
    before, parents = b"", tuple[str, ...]()
    for each in logged:
        blobs = [blob for status, path, blob in each.changes if path == ledger.NAME and status != "D"]
        now = (await objects.blobs(blobs))[blobs[0]] if blobs else b""
        one_more = now.startswith(before) and now[len(before) :].count(b"\n") == 1 and now.endswith(b"\n")
        if each.parents != parents or len(each.changes) != 1 or not one_more:
            found.append(Finding(each.commit, "the ledger was not appended to by one entry, but rewritten"))
        before, parents = now, (each.commit,)
    return found


def _is_appended(logged: Sequence[Logged], text: bytes) -> bool:
    """Whether the n-th commit holds the first n lines of the last text: told by the blobs' ids, not read."""
    lines, end = text.splitlines(keepends=True), 0
    if len(lines) != len(logged):
        return False
    for number, each in enumerate(logged):
        end += len(lines[number])
        before = (logged[number - 1].commit,) if number else ()
        blobs = [(path, blob) for _, path, blob in each.changes]
        if each.parents != before or blobs != [(ledger.NAME, _blob_id(text[:end]))]:
            return False
    return True


def _blob_id(content: bytes) -> str:
    data = b"blob %d\0" % len(content) + content
    return hashlib.sha1(data).hexdigest()  # noqa: S324 - git's own name for the content, no secret
