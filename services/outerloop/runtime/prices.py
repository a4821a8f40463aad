"""What model calls cost: tokens, prices (data, in `prices.yaml`) and the product of the two."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from outerloop.runtime.errors import UserError

_MILLION = 1_000_000
# As Bedrock names a model (eu.anthropic.claude-sonnet-5-5-20260901-v1:0), or Vertex (…-5-5@20260901).
_CLOUD = re.compile(r"(?:[a-z-]+\.)*(claude-[a-z]+-\d+(?:-\d{1,2})?)(?:[-@]\d{8})?(?:-v\d+(?::\d+)?)?")
_Usd = Annotated[float, Field(ge=0)]


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one or more calls. The four kinds do not overlap; `input` is what no cache had a part in."""

    input: int = 0
    output: int = 0
    cache_write: int = 0
    cache_read: int = 0

    @property
    def total(self) -> int:
        """All tokens, whatever they cost."""
        return self.input + self.output + self.cache_write + self.cache_read

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.input + other.input,
            self.output + other.output,
            self.cache_write + other.cache_write,
            self.cache_read + other.cache_read,
        )


class Price(BaseModel):
    """Of one model, in US dollars per million tokens."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: _Usd
    output: _Usd
    cache_write: _Usd
    cache_read: _Usd

    def usd(self, usage: Usage) -> float:
        """What `usage` costs."""
        return (
            usage.input * self.input
            + usage.output * self.output
            + usage.cache_write * self.cache_write
            + usage.cache_read * self.cache_read
        ) / _MILLION

    def most_usd(self, input_tokens: int, output_tokens: int) -> float:
        """The most that a call of so many tokens can cost, whatever the cache does."""
        dearest = max(self.input, self.cache_write, self.cache_read)
        return (input_tokens * dearest + output_tokens * self.output) / _MILLION


def known_prices() -> dict[str, Price]:
    """The prices in `prices.yaml`, by model."""
    text = files("outerloop.runtime").joinpath("prices.yaml").read_text(encoding="utf-8")
    return TypeAdapter(dict[str, Price]).validate_python(yaml.safe_load(text))


def price_of(model: str, *, setting: str = "OUTERLOOP_PROPOSE_MODEL") -> Price:
    """The price of `model`, which the setting named `setting` asked for; a cloud's name for it counts too.

    Raises:
        UserError: there is no price for it; spending could not be limited.
    """
    prices = known_prices()
    if price := among(prices, model):
        return price
    known = ", ".join(sorted(prices))
    raise UserError(f"{setting}: no price is known for the model {model!r}; known are {known}")


def among(prices: Mapping[str, Price], model: str) -> Price | None:
    """The price of a model, also by a name with its date, or by a cloud's; None if there is none."""
    named = _CLOUD.fullmatch(model)
    return prices.get(model) or (prices.get(named[1]) if named else None)
