"""Changes: the calls that change state, compared as sets, so that order and harmless reads do not matter."""

from typing import Annotated, Literal

from pydantic import Field

from outerloop.evals.expect.base import Check, Run, Seen, listed
from outerloop.evals.expect.tools import AnyCall, as_made
from outerloop.evals.jsonvalue import canonical
from outerloop.trace.model import ToolCall


class StateChanges(Check):
    """Of the `tools` that change state, just these `calls` were made without an error (none: none at all).

    A call that is made twice with the same arguments counts once, unless `once` is set: then it is too many.
    """

    check: Literal["state_changes"] = "state_changes"
    tools: Annotated[tuple[str, ...], Field(min_length=1)]
    calls: tuple[AnyCall, ...] = ()
    once: bool = False

    @property
    def words(self) -> str:
        """See Check."""
        done = listed([call.words for call in self.calls]) or "nothing"
        often = ", each once" if self.once and self.calls else ""
        return f"changes by {listed(self.tools, 'or')} this and no more: {done}{often}"

    def look(self, run: Run) -> Seen:
        """See Check."""
        changed = [call for call in run.calls if call.name in self.tools and not call.failed]
        if missing := [call for call in self.calls if not any(map(call.fits, changed))]:
            return Seen(holds=False, saw=f"there is no call of {missing[0].words}")
        for call in changed:
            if not any(wanted.fits(call) for wanted in self.calls):
                return Seen(holds=False, saw=f"{call.name} was called{as_made(call)}")
        if self.once and (twice := _repeated(changed)):
            return Seen(holds=False, saw=f"{twice.name} was called more than once{as_made(twice)}")
        return Seen(holds=True, saw="it did")


def _repeated(calls: list[ToolCall]) -> ToolCall | None:
    made: set[tuple[str, str]] = set()
    for call in calls:
        key = (call.name, canonical(call.arguments))
        if key in made:
            return call
        made.add(key)
    return None
