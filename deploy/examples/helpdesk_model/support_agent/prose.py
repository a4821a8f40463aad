"""Prose: instructions as paragraphs of sentences, so that a rule may span two sentences or two lines."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_BREAK = re.compile(r"\n\s*\n|\n(?=\s*(?:[-*+]|\d+[.)]|#+)\s)")
_MARK = re.compile(r"^\s*(?:[-*+]|\d+[.)]|#+)\s+")
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[\"'`(*]*[A-Z])")
_ABBREVIATION = re.compile(r"\b(e\.g|i\.e|etc|no|nr)\.(?=\s)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence in its paragraph; `tool` is whose description it is from, "" for the policy."""

    text: str
    paragraph: str
    tool: str = ""


def sentences(text: str, tool: str = "") -> Iterator[Sentence]:
    """The sentences of Markdown prose; a bullet or a heading is a paragraph of its own."""
    for block in _BREAK.split(text):
        paragraph = " ".join(_MARK.sub("", block).split())
        for sentence in _SENTENCE.split(_ABBREVIATION.sub(r"\1", paragraph)):
            if sentence:
                yield Sentence(sentence, paragraph, tool)
