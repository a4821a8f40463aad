"""The globs of `outerloop.yaml`: which paths a change may touch. One matcher, so that propose and gate agree.

A glob and a path are split at "/" and compared segment by segment, from the root of the repository to the
last segment, case-sensitively:

- `**` as a whole segment stands for any number of segments, none included; as the last segment, for at
  least one: `prompts/**` is everything below `prompts`, at any depth, but not `prompts` itself.
- `*` inside a segment stands for any run of characters of that segment, the empty run and a leading dot
  included: `tools/*.yaml` is `tools/a.yaml` and `tools/.yaml`, not `tools/deep/a.yaml`.
- Everything else stands for itself: `?`, `[` and `{` are ordinary characters, and a folder's name alone does
  not stand for what is in it.

Paths are compared as they are written. One that is not plain (absolute, or with an empty, `.` or `..`
segment) matches nothing, whatever the glob: how it would be resolved is not for a glob to guess.
"""

import re
from collections.abc import Sequence
from functools import lru_cache


def matches(path: str, globs: Sequence[str]) -> bool:
    """Whether any of `globs` stands for `path`, which is relative to the root of the repository."""
    if any(segment in {"", ".", ".."} for segment in path.split("/")):
        return False
    return any(_compiled(glob).fullmatch(path) for glob in globs)


@lru_cache(maxsize=1024)
def _compiled(glob: str) -> re.Pattern[str]:
    *folders, last = glob.split("/")
    parts: list[str] = []
    for segment in folders:
        part = r"(?:[^/]+/)*" if segment == "**" else _segment(segment) + "/"
        # `**/**` says no more than `**`, and would backtrack over every way to share the segments out.
        if part != r"(?:[^/]+/)*" or parts[-1:] != [part]:
            parts.append(part)
    parts.append(r"(?:[^/]+/)*[^/]+" if last == "**" else _segment(last))
    return re.compile("".join(parts), re.DOTALL)


def _segment(text: str) -> str:
    return "[^/]*".join(re.escape(literal) for literal in re.split(r"\*+", text))
