"""Who plays the model. Another provider is another class with this one method.

The anthropic SDK's clients for its own API, for Amazon Bedrock and for Google Vertex take the same requests,
so one class serves the three of them.
"""

from importlib.util import find_spec
from typing import Protocol

from anthropic import AsyncAnthropic, AsyncAnthropicBedrock, AsyncAnthropicVertex
from anthropic.types import Message
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming

from outerloop.propose.settings import ProposeSettings
from outerloop.runtime.errors import UserError
from outerloop.runtime.provider import Client, ask

_RETRIES = 4
# What the SDK's clients for the clouds need beside it, and how that is had.
_NEEDS = {"bedrock": ("botocore", "anthropic[bedrock]"), "vertex": ("google.auth", "anthropic[vertex]")}


class Provider(Protocol):
    """A model behind an address."""

    async def ask(self, request: MessageCreateParamsNonStreaming, where: str) -> Message:
        """The model's message; raises as `runtime.provider.ask`."""
        ...


class Claude:
    """Any of the SDK's clients."""

    def __init__(self, client: Client) -> None:
        self.client = client

    async def ask(self, request: MessageCreateParamsNonStreaming, where: str) -> Message:
        """See Provider."""
        return await ask(self.client, request, where, setting="OUTERLOOP_PROPOSE_MODEL")


def provider_of(settings: ProposeSettings) -> Claude:
    """The provider that the settings name; credentials of a cloud come from where its own SDK looks.

    Raises:
        UserError: the cloud's part of the SDK is not installed, or does not know its region.
    """
    try:
        return _provider(settings)
    except ValueError as error:  # the SDK's: no region
        raise UserError(f"OUTERLOOP_PROPOSE_PROVIDER: {settings.propose_provider}: {error}") from error


def _provider(settings: ProposeSettings) -> Claude:
    if needs := _NEEDS.get(settings.propose_provider):
        module, extra = needs
        if find_spec(module) is None:
            raise UserError(f"OUTERLOOP_PROPOSE_PROVIDER: {settings.propose_provider}: install {extra} first")
    url = settings.propose_provider_url or None
    match settings.propose_provider:
        case "bedrock":
            return Claude(AsyncAnthropicBedrock(max_retries=_RETRIES, base_url=url))
        case "vertex":
            return Claude(AsyncAnthropicVertex(max_retries=_RETRIES, base_url=url))
        case "anthropic":
            key = settings.anthropic_api_key
            return Claude(
                AsyncAnthropic(
                    api_key=key.get_secret_value() if key else "",
                    base_url=settings.anthropic_base_url,
                    max_retries=_RETRIES,
                )
            )
