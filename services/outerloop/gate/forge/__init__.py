"""Pull requests, for agents whose `release.mode` is `pull_request`: a person merges what the gate has proven.

`address` tells which forge has a repository, `github` and `gitlab` speak to it through `client`, `text` is
what people read there (`inert` keeps hostile words in it harmless), `flow` proposes, `follow` tells what
became of it. Nothing is kept but refs, and what the forge keeps.
"""

from outerloop.gate.forge.address import forge_of
from outerloop.gate.forge.flow import Proposal, propose_merge, recall, tell, withdraw
from outerloop.gate.forge.follow import Fate, Followed, follow
from outerloop.gate.forge.model import Forge, PullRequest, State, Text
from outerloop.gate.forge.text import pull_request_text

__all__ = [
    "Fate",
    "Followed",
    "Forge",
    "Proposal",
    "PullRequest",
    "State",
    "Text",
    "follow",
    "forge_of",
    "propose_merge",
    "pull_request_text",
    "recall",
    "tell",
    "withdraw",
]
