"""Times as a person gives them on the command line."""

from datetime import UTC, datetime

from outerloop.runtime.errors import UserError


def time_of(text: str, option: str) -> datetime:
    """An ISO date or time, in UTC unless it says otherwise.

    Raises:
        UserError: it is none; `option` is what it was given by.
    """
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise UserError(
            f"{option} {text!r}: expected a date or time, as 2026-11-01 or 2026-11-01T12:30"
        ) from error
    return at if at.tzinfo else at.replace(tzinfo=UTC)
