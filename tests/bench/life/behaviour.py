"""Behaviour: the true rate at which the scripted model does what is right, given prompts and a request.

The script tosses a coin with this bias in every run, and the oracle reads it: what the gate estimates is
known.
"""

import re

from bench.life.topics import Topic, all_topics

LUCK = 0.05  # how often it does what is right although no rule says so
EXCUSED = 0.30  # how much less often it follows a rule for which the prompts have an excuse
SLIPS = (0.0, 0.005, 0.01, 0.02)  # how often a rule is not followed, by topic
SLIPS_IF_FLAKY = 0.12
FLAKY_EVERY = 8  # of the topics of the first suite

_ORDER = re.compile(r"\bA-\d+\b")
_TOPICS = all_topics()
_SUBJECT = re.compile("|".join(sorted(_TOPICS)))


def asked(text: str) -> tuple[Topic | None, str]:
    """The topic and the order that a customer's text names; None and "" for what it does not."""
    subject, order = _SUBJECT.search(text), _ORDER.search(text)
    return (_TOPICS[subject[0]] if subject else None), (order[0] if order else "")


def rate(prompts: str, text: str, *, flaky: bool = False) -> float:
    """The probability that a run on this request calls the right tool with the right arguments."""
    topic, order = asked(text)
    if topic is None or not order:
        return 0.0
    if topic.rule() in prompts:
        kept = 1 - (SLIPS_IF_FLAKY if flaky else SLIPS[topic.number % len(SLIPS)])
        return kept - EXCUSED if topic.excuse() in prompts else kept
    special = topic.rule_for_one_order()
    return 1.0 if special in prompts and order == topic.order() else LUCK


def is_flaky(topic: Topic, evals: int) -> bool:
    """Whether the topic is one of those of the first suite that are flaky by nature."""
    return topic.number < evals and topic.number % FLAKY_EVERY == FLAKY_EVERY - 1
