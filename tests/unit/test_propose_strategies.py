"""Which strategy an attempt takes, what knobs there are to turn, and which candidate is proposed."""

import json
from typing import Any

import pytest

from outerloop.propose.choosing import Seen, best
from outerloop.propose.knobs import MOST_TRIED, KnobError, Turn, settings, turned, value_of
from outerloop.propose.strategies import Strategy, kind_of, of_patch, possible, ranked
from outerloop.runtime.agentfile import Knob

ALL = tuple(Strategy)
PROMPT, TOOL, CODE, EXAMPLE, KNOBS = ALL


def patch(*paths: str) -> str:
    return "".join(f"--- a/{path}\n+++ b/{path}\n@@ -1 +1 @@\n-a\n+b\n" for path in paths)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("prompts/policy.md", PROMPT),
        ("prompts.yaml", PROMPT),
        ("tools/get_order.yaml", TOOL),
        ("quotes/tools.py", TOOL),
        ("agent/loop.py", CODE),
        ("src/index.TS", CODE),
    ],
)
def test_what_a_file_is(path: str, kind: Strategy) -> None:
    assert kind_of(path) is kind


def test_code_says_the_most_of_a_patch() -> None:
    assert of_patch(patch("prompts/a.md", "tools/b.yaml")) is TOOL
    assert of_patch(patch("prompts/a.md", "tools/b.yaml", "agent.py")) is CODE
    assert of_patch(patch("prompts/a.md")) is PROMPT


def test_what_may_be_changed_opens_strategies() -> None:
    assert possible(["prompts/a.md"], knobs=False) == (PROMPT, EXAMPLE)
    assert possible(["prompts/a.md", "tools/b.yaml"], knobs=True) == (PROMPT, TOOL, EXAMPLE, KNOBS)
    assert possible(["tools.py"], knobs=False) == (TOOL, CODE)
    assert possible([], knobs=False) == ()


def test_what_was_not_tried_comes_first_then_what_ships() -> None:
    assert ranked(ALL, [], []) == list(ALL)
    assert ranked(ALL, ["prompt"], [])[0] is TOOL
    assert ranked(ALL, ["prompt", "tool", "code", "example"], [])[0] is KNOBS
    # Code has shipped here, prompts have not.
    past = [(patch("agent.py"), True), (patch("prompts/a.md"), False), (patch("prompts/b.md"), False)]
    assert ranked(ALL, [], past)[0] is CODE
    assert ranked(ALL, [], past)[-1] is PROMPT
    assert ranked(ALL, ["code", "screening", ""], past)[0] is TOOL


TEXT = """# what may be tried
model: small  # the cheap one
sampling:
  effort: low
  turns: 3
"""
MODEL = Knob(path="s.yaml", key="model", values=("small", "large"))
EFFORT = Knob(path="s.yaml", key="sampling.effort", values=("low", "high"))
TURNS = Knob(path="s.yaml", key="sampling.turns", values=(3, 5, 8))


def test_a_knob_is_turned_and_nothing_else() -> None:
    assert value_of(TEXT, MODEL) == "small"
    assert value_of(TEXT, TURNS) == 3
    changed = turned(turned(TEXT, Turn(MODEL, "large: or so")), Turn(TURNS, 8))
    assert changed == TEXT.replace("small", '"large: or so"').replace("turns: 3", "turns: 8")
    assert value_of(changed, MODEL) == "large: or so"


@pytest.mark.parametrize(
    "value",
    [
        *("a\nb", "ü", "yes", "'", '"', "", "x" * 300, True, 0, -1, 0.25, 1e-9, 1e20),
        *(
            "Grüße 😀",
            "a\u2028b",
            "\x85",
            "\x7f",
            "\x1b[31m",
            "\t\b\f",
            "\ufeff",
            "\\n",
            "\u202e",
            "a: b # c",
        ),
    ],
    ids=ascii,
)
def test_a_value_is_read_back_as_it_was_set_from_yaml_and_json(value: Any) -> None:
    assert value_of(turned(TEXT, Turn(MODEL, value)), MODEL) == value
    made = turned('{"model": "small", "n": [1]}', Turn(MODEL, value))
    assert value_of(made, MODEL) == value
    assert json.loads(made) == {"model": value, "n": [1]}


def test_single_turns_come_before_pairs_and_what_is_so_already_is_not_tried() -> None:
    found = [" + ".join(map(str, s)) for s in settings((MODEL, EFFORT, TURNS), {"s.yaml": TEXT})]
    assert found[:4] == [
        'model of s.yaml = "large"',
        'sampling.effort of s.yaml = "high"',
        "sampling.turns of s.yaml = 5",
        "sampling.turns of s.yaml = 8",
    ]
    assert len(found) == 4 + 1 + 2 + 2
    assert not any("small" in each for each in found)


def test_the_space_is_bounded() -> None:
    many = [Knob(path="s.yaml", key="sampling.turns", values=tuple(range(20))) for _ in range(12)]
    assert len(list(settings(many, {"s.yaml": TEXT}))) == MOST_TRIED


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("model:\nother: 1\n", 'model: "big"\nother: 1\n'),
        ("model:  # none yet\nother: 1\n", 'model: "big"  # none yet\nother: 1\n'),
        ("{model: , other: 1}", '{model: "big" , other: 1}'),
        ("model: ~\n", 'model: "big"\n'),
        ("\ufeffmodel: small\r\nother: 1\r\n", '\ufeffmodel: "big"\r\nother: 1\r\n'),
    ],
)
def test_a_setting_that_is_empty_can_be_set(text: str, after: str) -> None:
    assert turned(text, Turn(MODEL, "big")) == after
    assert value_of(after, MODEL) == "big"


@pytest.mark.parametrize(
    "text",
    [
        *("model: [a]", "other: 1", "a: b: c", "model: |\n  x\n", "- 1", "", "model: " + "[" * 5_000),
        # What others refer to, or another program reads in its own way, cannot be written over.
        *(
            "model: &m small\nother: *m\n",
            "other: &m small\nmodel: *m\n",
            "model: !ENV ${MODEL}\n",
            "model: =\n",
        ),
    ],
)
def test_a_knob_that_is_not_there_is_said(text: str) -> None:
    with pytest.raises(KnobError, match=r"s\.yaml"):
        value_of(text, MODEL)


def seen(candidate: int, *, tests: bool = True, passed: int = 3, runs: int = 3, lines: int = 2) -> Seen:
    return Seen(candidate, tests, passed, runs, lines)


def test_the_candidate_that_passes_most_is_proposed_and_of_equals_the_smallest() -> None:
    assert best([seen(0, passed=2), seen(1)]) == seen(1)
    assert best([seen(0, lines=9), seen(1, lines=3), seen(2, lines=3)]) == seen(1, lines=3)
    assert best([seen(0, tests=False, passed=0, runs=0), seen(1, passed=1)]) == seen(1, passed=1)
    assert best([seen(0, tests=False), seen(1, passed=0)]) is None
    assert best([seen(0, passed=0, runs=0)]) is not None  # it could not be run: nobody knows
    assert best([]) is None
