"""HeldOut: a variant of an eval that the proposer is never shown: other names, amounts and wording.

    heldout/EVAL_ID/N/variant.yaml, cassette.jsonl     N from 1, on the suite branch

Trials of a new eval draw among its variants, so that a change which only fits the one case that its proposer
was told of does not pass. They are part of the eval's content: a review and a verdict are bound to them.
"""

import json
from dataclasses import dataclass
from typing import Any

from outerloop.evals.expect.base import NAMED
from outerloop.evals.expect.composite import Expectation
from outerloop.evals.model import Cassette, Eval, as_yaml
from outerloop.runtime.documents import Document, parse_yaml


class Variant(Document):
    """What differs from the eval: its input, and its expectations where they name the case.

    Without any, the eval's own are expected. `source_trace` is the recorded failure that it is, "" for one
    that was made from the eval's own.
    """

    input: dict[str, Any]
    expect: tuple[Expectation, ...] = ()
    source_trace: str = ""

    def to_yaml(self) -> str:
        """The text of `variant.yaml`; the same variant gives the same text."""
        return as_yaml(self)

    @classmethod
    def from_yaml(cls, text: str, where: str = "variant.yaml") -> "Variant":
        """Parse `variant.yaml`.

        Raises:
            UserError: naming `where`, the field and what is wrong with it.
        """
        return parse_yaml(cls, text, where)


@dataclass(frozen=True, slots=True)
class HeldOut:
    """A variant with its recorded world."""

    variant: Variant
    cassette: Cassette

    @property
    def content(self) -> str:
        """All that it says, as one text: equal variants give the same."""
        said = self.variant.model_dump(mode="json", exclude_defaults=True, context=NAMED)
        return f"{json.dumps(said, sort_keys=True)}\n{self.cassette.to_jsonl()}"

    def of(self, eval_: Eval) -> Eval:
        """The eval as it is tried on this variant."""
        update = {"input": self.variant.input, "expect": self.variant.expect or eval_.expect}
        return eval_.model_copy(update=update)
