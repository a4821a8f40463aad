"""A purse: what runs of the agent may cost, call by call of its model. Pure but for whom it tells.

No call is made that could pass what is left; and each is told, as the dearest that it can be, before it is
made, so that a run that is killed has its calls on record.
"""

import math
from collections.abc import Awaitable, Callable

Tell = Callable[[float], Awaitable[None]]


async def _nobody(_: float) -> None:
    """Where nothing is kept."""


class Purse:
    """`left` US dollars; `tell` is told what all may have cost once the next call is made.

    `usd` is what was spent; `empty`, whether a call was refused for want of money.
    """

    def __init__(self, left: float = math.inf, tell: Tell = _nobody) -> None:
        self.usd = 0.0
        self.empty = False
        self._left = left
        self._open = 0.0  # what calls that are being made can cost at most
        self._tell = tell

    async def begin(self, most: float) -> bool:
        """Whether a call may be made that can cost so much; if so, it is told."""
        if self.usd + self._open + most > self._left:
            self.empty = True
            return False
        self._open += most
        try:
            await self._tell(self.usd + self._open)
        except BaseException:  # it is not made: an outage that lasts must not look like an empty purse
            self._open -= most
            raise
        return True

    def end(self, most: float, usd: float) -> None:
        """A call that could cost `most` has cost `usd`."""
        self._open = max(0.0, self._open - most)
        self.usd += usd
