"""Deterministic ids: the same work done again has the same name."""

from outerloop.runtime.envelope import stable_id


def change_id(eval_id: str, attempt: int) -> str:
    """The id of the `attempt`-th change for an eval, counted from 1."""
    return stable_id("change", eval_id, attempt)
