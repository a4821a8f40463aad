"""Waiting: nothing is wrong, but a change cannot go on before a certain time."""

from datetime import datetime

from outerloop.runtime.errors import UserError


class WaitError(UserError):
    """A change goes on at `until`; what it has by then is kept."""

    def __init__(self, why: str, until: datetime) -> None:
        super().__init__(f"{why}; not before {until:%Y-%m-%d %H:%M} UTC")
        self.until = until
