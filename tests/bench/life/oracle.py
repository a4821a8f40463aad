"""Oracle: what is true of a tree of the agent and no gate can know: the rate of each eval."""

from dataclasses import dataclass, field

from bench.life.behaviour import is_flaky, rate
from bench.life.patches import files_of
from bench.life.topics import Topic, all_topics
from outerloop.evals.model import Eval
from outerloop.runtime.git import Repository


@dataclass(slots=True)
class Oracle:
    """Of one agent's repository, whose first suite has so many `evals`."""

    repository: Repository
    evals: int
    _prompts: dict[str, str] = field(default_factory=dict[str, str])

    async def rate(self, tree: str, eval_: Eval) -> float:
        """The true pass rate of an eval, its input as it was recorded, on a tree or commit."""
        text = "".join(part["content"] for part in eval_.input["messages"][0]["parts"])
        return await self.rate_of_text(tree, text)

    async def rate_of_text(self, tree: str, text: str) -> float:
        """The same of a customer's text."""
        return rate(await self._said(tree), text, flaky=self._flaky(text))

    def _flaky(self, text: str) -> bool:
        return any(subject in text and is_flaky(topic, self.evals) for subject, topic in _TOPICS.items())

    async def _said(self, tree: str) -> str:
        """The system prompt, as the agent puts it together."""
        if tree not in self._prompts:
            files = await files_of(self.repository, tree)
            texts = [files[path].decode() for path in sorted(files) if path.startswith("prompts/")]
            self._prompts[tree] = "\n".join(texts)
        return self._prompts[tree]


_TOPICS: dict[str, Topic] = all_topics()
