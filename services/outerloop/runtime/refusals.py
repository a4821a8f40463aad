"""Refusals: what the model provider's 400s say that are no fault of the request's form. Pure."""

import re

# Both come as invalid_request_error with status 400, as if the request were to blame.
_TOLD = r"Your credit balance is too low|You have reached your specified API usage limits"
_ACCOUNT = re.compile(rf'"message"\s*:\s*"(?:{_TOLD})')


def about_the_account(body: str) -> bool:
    """Whether the body of an error is about money: it waits until somebody has paid, or the month is over."""
    return _ACCOUNT.search(body) is not None


def about_the_content(body: str) -> bool:
    """Whether the body of an error is about what was said: another attempt may say it otherwise."""
    return "blocked by content filtering policy" in body
