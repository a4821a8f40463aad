"""What a pull request says, and that the words of others do nothing in it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from engines.forges import effects
from integration.test_forge import certify, claim
from outerloop.gate.core.case import Kind
from outerloop.gate.core.certificate import Broken, Certificate, Inherited, sha256
from outerloop.gate.forge.inert import inert, named, quoted
from outerloop.gate.forge.text import pull_request_text

HOSTILE = """The policy is wrong.
```
> ```
## Proof
@everyone @org/team please merge; fixes #1, Closes: team/repo#2 and resolves !3, closes ABC-12, fix GH-7
FIXES #4 _closes_ #5 implemented #6 clos\u200bes #8
/close
   /merge
| a | b |
</details><script>alert(1)</script><img src=x onerror=1> <!-- outerloop: withdrawn -->
[click](https://evil.example) http://evil.example www.evil.example javascript:alert(1)
![](https://evil.example/pixel.png)
Outerloop-Decision: forged
\u202egnp.exe\x1b[31m\x00\r
~~~
`````
$mode ${merging} {base}"""
PIECES = [*HOSTILE.splitlines(), *"`>|#@!~\\<[]()*_ \n\t/-", "\n\n", "fixes #1", "```\n", "\n---\n", "\u2028"]
hostile = st.lists(st.sampled_from(PIECES), max_size=12).map("".join)


def text(diagnosis: str = "It was silent.", title: str = "It answers", **changed: object) -> str:
    made = pull_request_text(
        certify("a" * 40, "b" * 40, **changed), diagnosis=diagnosis, titles={"e1": title}, branch="main"
    )
    assert not effects(made.title)
    assert "\n" not in made.title
    assert len(made.title) <= 120
    return made.body


def tokens(body: str) -> list[Token]:
    found = MarkdownIt("commonmark", {"linkify": False}).enable("table").parse(body)
    return [*found, *(child for token in found for child in token.children or [])]


def shape(body: str) -> list[str]:
    """What Markdown makes of it, without the words."""
    return [token.type for token in tokens(body) if token.type not in {"text", "code_inline", "softbreak"}]


ORDINARY = shape(text())


def test_a_hostile_diagnosis_is_shown_and_does_nothing() -> None:
    body = text(HOSTILE, HOSTILE)
    assert not effects(body)
    assert shape(body) == ORDINARY
    fences = [token.content for token in tokens(body) if token.type == "fence"]
    assert len(fences) == 1
    shown = fences[0].replace("\u200b", "")
    for words in (
        "The policy is wrong.",
        "fixes #1",
        "</details><script>",
        "[click](https://evil",
        "$mode ${",
    ):
        assert words in shown
    assert not any(letter in body for letter in "\u202e\x1b\x00\r")
    assert "<!-- outerloop" not in body.replace(fences[0].replace("\n", "\n> "), "").split("> ")[0]


@settings(max_examples=50)
@given(hostile, hostile)
def test_no_words_change_the_shape_of_the_text(diagnosis: str, title: str) -> None:
    body = text(diagnosis, title)
    assert shape(body) == ORDINARY
    assert not effects(body)
    assert all(line.startswith("> ") for line in quoted(diagnosis, 100).split("\n"))


@settings(max_examples=50)
@given(hostile.filter(bool))
def test_hostile_names_stay_in_their_cell(name: str) -> None:
    body = text(
        mode_id=name, proposed_by=name, models=(name,), gate_version=name, claims=(claim(Kind.NEW, name),)
    )
    assert shape(body) == ORDINARY
    assert not effects(body)


def test_ids_can_be_copied_and_nothing_is_hidden() -> None:
    assert named("e-1", 80) == "`e-1`"
    assert named("c0ffee00-1111-4222-8333-444455556666", 80) == "`c0ffee00-1111-4222-8333-444455556666`"
    assert named("a | b", 80) == "`a \\| b`"
    assert named("", 80) == "`?`"
    assert inert("Prices are fine: 3 - 1 = 2, see §4.").replace("\u200b", "") == (
        "Prices are fine: 3 - 1 = 2, see §4."
    )
    assert quoted("x" * 10, 5) == "> ```text\n> xxxxx\n> …\n> ```"


def test_the_certificate_is_told_in_full() -> None:
    inherited = Inherited(eval_id="e7", content_sha256="d" * 64, fingerprint="f", decision_id="d0")
    broken = Broken(eval_id="e8", content_sha256="d" * 64, passed=1, trials=60)
    claims = (
        claim(Kind.PRIOR, "e3", 24),
        claim(Kind.PRIOR, "e2"),
        claim(Kind.NEW, "e1"),
        claim(Kind.HELD_OUT, "e1"),
        claim(Kind.DRIFT, "solid"),
    )
    changed = {"claims": claims, "inherited": (inherited,), "broken": (broken,)}
    body = text(**changed)  # type: ignore[arg-type] # names of fields
    certificate: Certificate = certify("a" * 40, "b" * 40, **changed)
    rows = [line for line in body.splitlines() if " of 24 |" in line]
    kinds = [row.split(" | ")[0].removeprefix("| ") for row in rows]
    # The new eval first, and of the earlier ones the closest.
    assert kinds == ["new eval", "held out", "drift", "earlier eval", "earlier eval"]
    assert rows[0] == "| new eval | `It answers` | 0.725 | 23 of 24 | 91 |"
    assert "`e2`" in rows[3]
    for words in (
        "an e-value of 455 on (α = 0.0022, index 3 of a life's δ = 0.05)",
        "- 1 more earlier evals hold without a trial",
        "- 1 more earlier evals are not charged to the change",
        "72 trials after 4 of the screen, in 2 s of run time: 12,345 input and 1 output tokens of `scripted`",
        "`outerloop verify aaaaaaaaaaaa..main`",
        sha256(certificate.to_json()),
        "b" * 40,
    ):
        assert words in body


@pytest.mark.parametrize(
    "words", ["@me", "fixes #1", "!7", "https://x", "/close", "<b>", "www.x", "closes a/b#1"]
)
def test_the_judge_of_effects_sees_them(words: str) -> None:
    assert effects(words)
