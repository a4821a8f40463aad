"""Strategies: the ways to repair an agent that compete for its attempts. Pure.

Which of them are open follows from what may be changed. An attempt takes the one that was tried least at its
eval; of those, the one with which the agent's changes ship most often.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from enum import StrEnum
from pathlib import PurePosixPath

from outerloop.propose.lessons import paths_of

_CODE = frozenset({".py", ".pyi", ".js", ".ts", ".tsx", ".go", ".rb", ".rs", ".java", ".kt", ".cs", ".php"})


class Strategy(StrEnum):
    """A way to repair, in the order in which they are tried where nothing else decides."""

    PROMPT = "prompt"  # the smallest edit of what the model is told
    TOOL = "tool"  # how a tool is described
    CODE = "code"  # what the agent does around the model
    EXAMPLE = "example"  # a worked example of a right answer
    KNOBS = "knobs"  # a setting of a declared space, found by trying: no model is asked


def is_code(path: str) -> bool:
    """Whether a file holds a program."""
    return PurePosixPath(path).suffix.lower() in _CODE


def kind_of(path: str) -> Strategy:
    """What a change of this file is."""
    place = PurePosixPath(path)
    if any("tool" in part.lower() for part in place.parts):
        return Strategy.TOOL
    return Strategy.CODE if is_code(path) else Strategy.PROMPT


def of_patch(patch: str) -> Strategy:
    """What a change was, by the files that it touches: that it touched code says the most."""
    kinds = {kind_of(path) for path in paths_of(patch)}
    return next((k for k in (Strategy.CODE, Strategy.TOOL) if k in kinds), Strategy.PROMPT)


def possible(files: Collection[str], *, knobs: bool) -> tuple[Strategy, ...]:
    """The strategies that are open where these files may be changed, and whether a space is declared."""
    kinds = {kind_of(path) for path in files}
    kinds |= {Strategy.CODE for path in files if is_code(path)}
    kinds |= {Strategy.EXAMPLE} if Strategy.PROMPT in kinds else set()
    kinds |= {Strategy.KNOBS} if knobs else set()
    return tuple(each for each in Strategy if each in kinds)


def ranked(
    open_: Sequence[Strategy], tried: Iterable[str], past: Iterable[tuple[str, bool]]
) -> list[Strategy]:
    """The open strategies, the most promising first.

    Args:
        open_: see `possible`.
        tried: strategies of the sessions for the eval so far.
        past: the patches of the agent that the gate has decided on, with whether each shipped.
    """
    here = Counter(tried)
    shipped, judged = Counter[Strategy](), Counter[Strategy]()
    for patch, ships in past:
        judged[of_patch(patch)] += 1
        shipped[of_patch(patch)] += ships
    # One success and one failure are added, so that a single one decides nothing.
    rate = {each: (shipped[each] + 1) / (judged[each] + 2) for each in open_}
    order = list(Strategy)
    return sorted(open_, key=lambda each: (here[each], -rate[each], order.index(each)))
