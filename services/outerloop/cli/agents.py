"""Agents: whose traces were judged, for commands that are about one of them."""

from collections.abc import Sequence

from outerloop.runtime.errors import UserError

_SHOWN = 20


def check_known(agent: str, known: Sequence[str]) -> None:
    """Pass if `agent` is one of those of which traces were judged (`verdicts.agents`).

    Raises:
        UserError: naming those that there are.
    """
    if agent not in known:
        more = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
        there = f"there are: {', '.join(known[:_SHOWN])}{more}" if known else "no trace was judged yet"
        raise UserError(f"there is no agent {agent!r}; {there}" if agent else f"name the --agent; {there}")
