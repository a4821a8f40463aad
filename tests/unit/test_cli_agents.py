"""An agent that a command is about, and of which nothing was judged."""

import pytest

from outerloop.cli.agents import check_known
from outerloop.runtime.errors import UserError

MANY = [f"agent-{n:02}" for n in range(25)]


@pytest.mark.parametrize(
    ("agent", "known", "sentence"),
    [
        ("shop", ["desk"], "there is no agent 'shop'; there are: desk"),
        ("shop", [], "there is no agent 'shop'; no trace was judged yet"),
        ("", ["desk", "shop"], "name the --agent; there are: desk, shop"),
        ("shop", MANY, f"there is no agent 'shop'; there are: {', '.join(MANY[:20])} and 5 more"),
    ],
)
def test_those_that_there_are_are_named(agent: str, known: list[str], sentence: str) -> None:
    with pytest.raises(UserError) as raised:
        check_known(agent, known)
    assert str(raised.value) == sentence


def test_one_that_is_there_passes() -> None:
    check_known("shop", ["desk", "shop"])
