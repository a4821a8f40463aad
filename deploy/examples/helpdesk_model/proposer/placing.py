"""Placing: where in a file a rule goes, as an exact replacement (old, new) with `old` found exactly once."""

import re

_BULLET = re.compile(r"\s*[-*] ")
_DESCRIPTION = re.compile(r"description:\s*(.*)")
_BLOCK_SCALARS = frozenset({">", ">-", ">+", "|", "|-", "|+"})


def in_yaml(text: str, rule: str) -> tuple[str, str] | None:
    """At the end of the top-level description of a tool file; None if it has none."""
    lines = text.split("\n")
    start = next((i for i, line in enumerate(lines) if _DESCRIPTION.match(line)), None)
    if start is None:
        return None
    end = start
    while end + 1 < len(lines) and lines[end + 1].startswith(" "):
        end += 1
    head = _DESCRIPTION.fullmatch(lines[start])
    value = head[1].strip() if head else ""
    if value in _BLOCK_SCALARS:
        return _replacement(lines, end, end, [lines[end], f"  {rule}"])
    plain = " ".join([value, *(line.strip() for line in lines[start + 1 : end + 1])])
    if plain[:1] in {'"', "'"}:
        plain = plain[1:-1]
    return _replacement(lines, start, end, ["description: >-", f"  {plain}", f"  {rule}"])


def in_markdown(text: str, rule: str, *about: str) -> tuple[str, str]:
    """After the last paragraph or bullet that speaks of one of `about`, else at the end."""
    lines = text.rstrip("\n").split("\n")
    mentions = [i for word in about for i, line in enumerate(lines) if word and word in line]
    end = max(mentions, default=len(lines) - 1)
    while end + 1 < len(lines) and lines[end + 1].strip() and not _BULLET.match(lines[end + 1]):
        end += 1
    start = end
    while start > 0 and lines[start - 1].strip() and not _BULLET.match(lines[start]):
        start -= 1
    added = [f"- {rule}"] if _BULLET.match(lines[start]) else ["", rule]
    return _replacement(lines, end, end, [lines[end], *added])


def _replacement(lines: list[str], start: int, end: int, new: list[str]) -> tuple[str, str]:
    """`new` in place of lines start..end, with as many lines before them as make the old text unique."""
    text = "\n".join(lines)
    first = start
    while first > 0 and text.count("\n".join(lines[first : end + 1])) > 1:
        first -= 1
    before = lines[first:start]
    return "\n".join([*before, *lines[start : end + 1]]), "\n".join([*before, *new])
