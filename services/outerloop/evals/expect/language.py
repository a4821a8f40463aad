"""AnswerLanguage: the language that an answer is written in, told by py3langid's model of 97 languages."""

from typing import Annotated, Literal

from pydantic import AfterValidator

from outerloop.evals.expect.answer import said
from outerloop.evals.expect.base import Check, Run, Seen

_READ = 5_000  # characters
# Of fewer letters than these nobody can tell.
_LEAST = 20


def _known(code: str) -> str:
    known = _languages()
    if code not in known:
        raise ValueError(f"{code!r} is no language that can be told; these are: {', '.join(sorted(known))}")
    return code


class AnswerLanguage(Check):
    """The answer is written in this language (ISO 639-1). An answer of under 20 letters could be in any."""

    check: Literal["answer_language"] = "answer_language"
    language: Annotated[str, AfterValidator(_known)]

    @property
    def words(self) -> str:
        """See Check."""
        return f"answers in the language {self.language}"

    def look(self, run: Run) -> Seen:
        """See Check."""
        answer = run.trace.answer[:_READ]
        if not answer.strip():
            return said(run.trace)
        if sum(letter.isalpha() for letter in answer) < _LEAST:
            return Seen(holds=True, saw="the answer is too short to tell")
        language = _language(answer)
        return Seen(language == self.language, f"it is {language}: {said(run.trace).saw}")


def _language(text: str) -> str:
    # Not at the top: numpy takes a quarter of a second, which every command would wait for.
    import py3langid  # noqa: PLC0415

    return str(py3langid.classify(text)[0])


def _languages() -> frozenset[str]:
    import py3langid  # noqa: PLC0415 - as above

    return frozenset(str(language) for language, _ in py3langid.rank("a"))
