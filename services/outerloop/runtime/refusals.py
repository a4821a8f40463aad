"""Refusals: how the model provider says that it refuses the account, and not the request. Pure."""

import re

# Both come as invalid_request_error with status 400, as if the request were to blame.
_TOLD = r"Your credit balance is too low|You have reached your specified API usage limits"
_ACCOUNT = re.compile(rf'"message"\s*:\s*"(?:{_TOLD})')


def about_the_account(body: str) -> bool:
    """Whether the body of an error is about money: it waits until somebody has paid, or the month is over."""
    return _ACCOUNT.search(body) is not None
