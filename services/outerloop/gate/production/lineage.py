"""Which production traces are a release's: those of its commit, or of one that was built on it.

A trace tells its commit in its version (`service.version`, `gen_ai.agent.version`): the full id, or at least
LEAST_DIGITS of it. Then a canary speaks for itself, whatever its share, and what runs beside it is compared.
Where versions name no commit of the release branch, the release is taken to run everywhere some time after
it was shipped.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import takewhile

from outerloop.runtime.git import Repository
from outerloop.runtime.git.process import succeed
from outerloop.store.rates import Part
from outerloop.store.releases import Shipped

LEAST_DIGITS = 7
# A quick failure is settled before a slow success: a trace counts when both would be.
SETTLED_AFTER = timedelta(seconds=60)
MOST_TRACES = 20_000
_MOST_COMMITS = 20_000
History = dict[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Later:
    """A release after the one that is watched; if it was undone, by which commit ("": unknown), and when."""

    shipped: Shipped
    undone_by: str = ""
    undone_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """The commits of the release branch (in order of their ids), and those that contain the release.

    `own` are without any later release that was not undone: what goes wrong there may be that one's doing.
    `alone` are those of them without a commit of others: the release, and it again with later ones undone.
    """

    branch: tuple[str, ...]
    holding: frozenset[str]
    own: frozenset[str]
    alone: frozenset[str]


@dataclass(frozen=True, slots=True)
class Scope:
    """The traces of a release.

    `own`: while it was the newest that stood, by which it is judged. `holding`: all, by which its mode is.
    `alone`: of its own those that no commit of others can have spoilt; None where that cannot be told.
    `beside`: of versions without it, at the same time; None where that cannot be told.
    """

    own: Part
    alone: Part | None
    holding: Part
    beside: Part | None


async def history_of(repository: Repository, branch: str) -> History:
    """The commits of `branch` as last fetched, each with its parents; parents come after their children."""
    head = await repository.resolve(branch)
    if head is None:
        return {}
    flags = ("--parents", "--topo-order", f"--max-count={_MOST_COMMITS}")
    listed = await succeed(repository.directory, "rev-list", *flags, head)
    lines = (line.split() for line in listed.decode().splitlines())
    return {commit: tuple(parents) for commit, *parents in lines}


def line_of(history: History, commit: str, later: Sequence[Later]) -> Line | None:
    """The line of the release `commit`; None: it is not on the branch."""
    if commit not in history:
        return None
    own = holding = _holding(history, commit)
    for other in later:
        own -= _holding(history, other.shipped.commit) - _holding(history, other.undone_by)
    undone = [each for other in later for each in (other.shipped.commit, other.undone_by) if other.undone_by]
    return Line(tuple(sorted(history)), holding, own, own & _alone(history, commit, undone))


def _alone(history: History, commit: str, ours: Collection[str]) -> frozenset[str]:
    alone = {commit}
    for child, parents in reversed(_since(history, commit)):
        if child in ours and alone.issuperset(parents):
            alone.add(child)
    return frozenset(alone)


def _holding(history: History, commit: str) -> frozenset[str]:
    if commit not in history:
        return frozenset()
    holding = {commit}
    for child, parents in reversed(_since(history, commit)):
        if not holding.isdisjoint(parents):
            holding.add(child)
    return frozenset(holding)


def _since(history: History, commit: str) -> list[tuple[str, tuple[str, ...]]]:
    return list(takewhile(lambda each: each[0] != commit, history.items()))


def scope_of(
    release: Shipped,
    later: Sequence[Later],
    line: Line,
    versions: Sequence[str],
    *,
    now: datetime,
    deployed_after: timedelta,
    slow: timedelta = timedelta(),
    said: timedelta = timedelta(),
) -> Scope:
    """Which traces speak for a release, by the `versions` that the agent's traces name.

    `slow` is what a run may well take: those that began later have not all ended. `said` is what evaluators
    take: of those that began later they have yet to say that they failed in the mode.
    """
    end = now - SETTLED_AFTER - slow
    named = {version: commits for version in versions if (commits := _commits(version, line.branch))}
    if not named:
        until = min([end, *(other.shipped.at for other in later if other.undone_at is None)])
        undone = [other.undone_at for other in later if other.undone_at and other.shipped.at < until]
        holding = Part(release.agent, release.at + deployed_after, end - said, MOST_TRACES, first=True)
        own = replace(holding, start=max([release.at, *undone]) + deployed_after, end=until)
        return Scope(own, own if line.own == line.alone else None, holding, None)

    def of(commits: frozenset[str], *, inside: bool = True) -> Part:
        chosen = (v for v, named_commits in named.items() if (named_commits <= commits) is inside)
        return Part(release.agent, release.at, end, MOST_TRACES, tuple(chosen), first=True)

    holding = of(line.holding)
    own, alone = of(line.own), of(line.alone)
    return Scope(own, alone, replace(holding, end=end - said), of(line.holding, inside=False))


def _commits(version: str, branch: Sequence[str]) -> set[str]:
    """The commits of the branch that a version may mean: none, or one, but for a short and unlucky one."""
    if not re.fullmatch(rf"[0-9a-f]{{{LEAST_DIGITS},40}}", version):
        return set()
    return set(branch[bisect_left(branch, version) : bisect_right(branch, version + "g")])
