"""Hostile words made inert: read as they are, and nothing happens because of them.

A diagnosis is written by a model that read traces. On a forge words can notify people (@name), close issues
("fixes #1", even inside code on GitLab), link, run quick actions (a line that begins with a slash on GitLab),
hide text (HTML, controls), or look like ours (headings, trailers).
"""

import re

# Between the letters of what would act: nobody sees it, and no parser reads over it.
_GAP = "\N{ZERO WIDTH SPACE}"
_RULES = tuple(
    (re.compile(pattern), rf"\1{_GAP}")
    for pattern in (
        r"(@)",  # a mention
        r"([#!&%~$^])(?=\w)",  # an issue, a merge request, a label, …
        r"(?i)(:(?=//)|\bwww(?=\.))",  # a link
        r"(<)(?=[!/?A-Za-z])",  # HTML
        r"(?i)(?<![A-Za-z0-9])([cfri])(?=los(?:e|ing)|ix|esolv|mplement)",  # what closes issues
        r"\b([A-Z][A-Z0-9_]+)(?=-\d)",  # a key of another tracker, or GH-1
    )
)
_ID = re.compile(r"[A-Za-z0-9._-]+")


def inert(text: str) -> str:
    """`text` without controls and without effects; lines are kept."""
    plain = text.replace("\t", "    ")
    shown = "".join(letter for letter in plain if letter == "\n" or letter.isprintable())
    for pattern, separated in _RULES:
        shown = pattern.sub(separated, shown)
    return shown


def quoted(text: str, limit: int) -> str:
    """`text` as a block that Markdown leaves as it is, in a quotation; at most `limit` letters of it."""
    shown = inert(text[:limit]).strip("\n") + ("\n…" if len(text) > limit else "")
    fence = "`" * max(3, 1 + _longest_run(shown))
    return "\n".join(f"> {line}" for line in (f"{fence}text", *shown.split("\n"), fence))


def named(text: str, limit: int) -> str:
    """`text` in one line of code, at most `limit` letters of it; fit for a cell of a table.

    An id is left as it is, so that it can be copied: one word acts in no code.
    """
    line = " ".join(text.split())
    line = line if len(line) <= limit else f"{line[: limit - 1]}…"
    shown = line if _ID.fullmatch(line) else inert(line).replace("|", "\\|")
    tick = "`" * (1 + _longest_run(shown))
    return f"{tick} {shown or '?'} {tick}" if "`" in shown else f"`{shown or '?'}`"


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall(r"`+", text)), default=0)
