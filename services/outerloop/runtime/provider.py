"""One call of the model, and what its failures mean to us."""

import anthropic
from anthropic import AsyncAnthropic, AsyncAnthropicBedrock, AsyncAnthropicVertex
from anthropic.types import Message
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming

from outerloop.runtime.errors import OutageError, UserError
from outerloop.runtime.prices import Usage

# Connection, 429, 5xx and 529, after the SDK's own retries, which keep to retry-after. A key that is refused
# or not paid for is no fault of the message either: it waits until somebody has seen to it.
_AWAY = (
    anthropic.APIConnectionError,
    anthropic.RateLimitError,
    anthropic.InternalServerError,  # OverloadedError is one
    anthropic.RequestTimeoutError,
    anthropic.ConflictError,
    anthropic.AuthenticationError,
    anthropic.PermissionDeniedError,
    anthropic.PaymentRequiredError,
)


# The same requests, to Anthropic's own API or to a cloud's.
Client = AsyncAnthropic | AsyncAnthropicBedrock | AsyncAnthropicVertex


async def ask(
    client: Client, request: MessageCreateParamsNonStreaming, where: str, *, setting: str
) -> Message:
    """The model's message; `setting` is the variable that named the model.

    Raises:
        OutageError: the provider is away, or will not serve us now. Its cause is an APIStatusError if it said
            so itself: then nothing is to be paid.
        UserError: the provider does not know the model.
        anthropic.APIStatusError: a bug of ours, such as a malformed request; `where` is in its notes.
    """
    try:
        return await client.messages.create(**request)
    except _AWAY as error:
        raise OutageError(f"the model provider is away ({where}): {error}") from error
    except anthropic.NotFoundError as error:
        raise UserError(f"{setting}: the provider does not know {request['model']!r}") from error
    except anthropic.APIStatusError as error:
        error.add_note(where)
        raise


def usage_of(said: anthropic.types.Usage) -> Usage:
    """Tokens as the Messages API counts them."""
    written, read = said.cache_creation_input_tokens or 0, said.cache_read_input_tokens or 0
    return Usage(said.input_tokens, said.output_tokens, written, read)
