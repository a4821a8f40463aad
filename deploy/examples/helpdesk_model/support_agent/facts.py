"""Facts: answers to general questions, looked up in the system prompt by the words they share."""

import re

_COMMON = re.compile(
    r"what|when|where|which|your|have|with|does|there|that|this|would|like|know|about|from|please"
)
_STEM = 5  # letters; "shipping", "shipped" and "ship" should meet, "open" and "opening" too
UNKNOWN = "I am not sure about that; a colleague will write to you."


def answer(question: str, system: str) -> str:
    """The bullet of the system prompt that shares most words with the question."""
    asked = _stems(question)
    bullets = [line[1:].strip() for line in re.split(r"\n(?=\s*[-#\n])", system) if line.startswith("-")]
    best = max(bullets, key=lambda bullet: len(asked & _stems(bullet)), default="")
    return " ".join(best.split()) if asked & _stems(best) else UNKNOWN


def _stems(text: str) -> set[str]:
    words = re.findall(r"[a-z]{4,}", text.lower())
    return {word[:_STEM].rstrip("i") for word in words if not _COMMON.fullmatch(word)}
