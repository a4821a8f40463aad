"""Who plays the model. Another provider is another class with this one method.

The anthropic SDK's clients for its own API, for Amazon Bedrock and for Google Vertex take the same requests,
so one class serves the three of them.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import Protocol

from anthropic import AsyncAnthropic, AsyncAnthropicBedrock, AsyncAnthropicVertex
from anthropic.types import Message
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming

from outerloop.propose.settings import ProposeSettings
from outerloop.runtime.errors import UserError
from outerloop.runtime.provider import Client, UnsentError, ask

_RETRIES = 4
# What the SDK's clients for the clouds need beside it, how that is had, what is raised without credentials.
_NEEDS = {
    "bedrock": ("botocore", "anthropic[bedrock]", "botocore.exceptions:BotoCoreError"),
    "vertex": ("google.auth", "anthropic[vertex]", "google.auth.exceptions:GoogleAuthError"),
}
# The versions of the Messages API that the clouds document. The SDK would send that of Anthropic's own API,
# which the models of Bedrock's InvokeModel refuse.
_VERSIONS = {"bedrock": "bedrock-2023-05-31", "vertex": "vertex-2023-10-16"}


class Provider(Protocol):
    """A model behind an address."""

    async def ask(self, request: MessageCreateParamsNonStreaming, where: str) -> Message:
        """The model's message; raises as `runtime.provider.ask`."""
        ...


class Claude:
    """Any of the SDK's clients; `cloud` is whose, "" for Anthropic's own."""

    def __init__(self, client: Client, cloud: str = "") -> None:
        self.client = client
        self._version = _VERSIONS.get(cloud, "")
        self._unknown = _without_credentials(cloud)

    async def ask(self, request: MessageCreateParamsNonStreaming, where: str) -> Message:
        """See Provider."""
        try:
            return await ask(
                self.client, request, where, setting="OUTERLOOP_PROPOSE_MODEL", version=self._version
            )
        except self._unknown as error:
            # As with a key that is refused: it waits until somebody has seen to it.
            raise UnsentError(f"the cloud's credentials ({where}): {error}") from error


def provider_of(settings: ProposeSettings) -> Claude:
    """The provider that the settings name; credentials of a cloud come from where its own SDK looks.

    Raises:
        UserError: the cloud's part of the SDK is not installed, or is not told its region or project.
    """
    try:
        return _provider(settings)
    except ValueError as error:  # the SDK's too: no region
        raise UserError(f"OUTERLOOP_PROPOSE_PROVIDER: {settings.propose_provider}: {error}") from error


def _provider(settings: ProposeSettings) -> Claude:
    if needs := _NEEDS.get(settings.propose_provider):
        module, extra, _ = needs
        if find_spec(module) is None:
            raise UserError(f"OUTERLOOP_PROPOSE_PROVIDER: {settings.propose_provider}: install {extra} first")
    url = settings.propose_provider_url or None
    match settings.propose_provider:
        case "bedrock":
            return Claude(AsyncAnthropicBedrock(max_retries=_RETRIES, base_url=url), "bedrock")
        case "vertex":
            client = AsyncAnthropicVertex(max_retries=_RETRIES, base_url=url)
            if client.project_id is None:
                raise ValueError("No project was given: set ANTHROPIC_VERTEX_PROJECT_ID")
            return Claude(client, "vertex")
        case "anthropic":
            key = settings.anthropic_api_key
            return Claude(
                AsyncAnthropic(
                    api_key=key.get_secret_value() if key else "",
                    base_url=settings.anthropic_base_url,
                    max_retries=_RETRIES,
                )
            )


def _without_credentials(cloud: str) -> tuple[type[Exception], ...]:
    """What a call raises when no credentials are found, or they cannot be renewed."""
    if not cloud:
        return ()
    module, _, name = _NEEDS[cloud][2].partition(":")
    return (RuntimeError, getattr(import_module(module), name))  # the SDK's own, then the cloud's
