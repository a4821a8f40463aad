"""Acts: what a tool does, as far as its name says: it reads, writes, thinks, or hands over to a person.

Names of tools are verbs in every framework's examples and conventions; the verb decides. A name without a
known verb is taken for a read, because a write is the graver claim.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Literal

from outerloop.trace.model import Trace

Act = Literal["read", "write", "think", "handover"]
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
# Lists of words, as one reads them.
_READ = """
    access browse check compare count describe detect display estimate exists export fetch filter find get
    has inspect is list load locate look lookup monitor ping preview query read recall recommend retrieve
    scan search see select show status summarise summarize test track validate verify view watch whoami
    """.split()  # noqa: SIM905
_WRITE = """
    accept activate add adjust allow append apply approve archive assign attach authorize ban block book buy
    cancel change charge checkout clear close commit complete configure confirm connect convert copy create
    credit deactivate debit decline delete deny deploy disable disconnect drop edit enable enroll exchange
    execute extend file forward give grant hold import insert invite issue kick leave lock log make mark
    merge migrate modify move mute notify open order overwrite patch pause pay place post provision publish
    purchase push put reboot rebook record redeem refill refuel refund register reject release remove rename
    renew reopen replace reply report request reschedule reseat reserve reset resolve restart restore resume
    return revoke rotate run save schedule send set share sign start stop submit subscribe suspend swap
    switch sync terminate toggle trade transfer trigger unassign unblock unlock unsubscribe unsuspend update
    upgrade upload void withdraw write
    """.split()  # noqa: SIM905
_THINK = """
    analyse analyze calc calculate compute decide eval evaluate note parse plan reason reflect think thought
    """.split()  # noqa: SIM905
_ACTS: dict[str, Act] = {
    **dict.fromkeys(_READ, "read"),
    **dict.fromkeys(_WRITE, "write"),
    **dict.fromkeys(_THINK, "think"),
}
# A name that ends so is of something to look at, whatever verb its first word could be: order_status.
_FACTS = {"details", "history", "info", "information", "list", "status", "summary"}
_SMALL = {"a", "all", "and", "by", "for", "from", "in", "of", "on", "the", "to", "with"}
_TO_PEOPLE = {"human", "humans", "person", "operator", "representative", "supervisor", "agent", "agents"}
_HANDS_OVER = {"escalate", "handoff", "handover"}
_CHANGES = {"add", "change", "create", "delete", "edit", "modify", "remove", "set", "update"}
_MOVES = {"transfer", "hand", "forward", "route", "connect", "redirect", "assign"}


@lru_cache(maxsize=4096)
def act_of(name: str) -> Act:
    """What the tool of that name does.

    >>> [act_of(n) for n in ("get_order", "cancelOrder", "calculate", "transfer_to_human_agents", "orders")]
    ['read', 'write', 'think', 'handover', 'read']
    """
    words = words_of(name)
    if _HANDS_OVER & set(words) or (_MOVES & set(words) and _TO_PEOPLE & set(words)):
        return "handover"
    if words and words[-1] in _FACTS and words[0] not in _CHANGES:
        return "read"
    return next((act for word in words if (act := verb(word))), "read")


def words_of(name: str) -> list[str]:
    """The words that a name is made of, in lower case."""
    return [word.lower() for word in _WORD.findall(name)]


@lru_cache(maxsize=4096)
def things_of(name: str) -> frozenset[str]:
    """What a tool is about, as far as its name says; in the singular.

    >>> sorted(things_of("search_calendar_events")), sorted(things_of("get_order_details"))
    (['calendar', 'event'], ['order'])
    """
    words = (word for word in words_of(name) if not verb(word) and word not in _FACTS | _SMALL)
    return frozenset(word.removesuffix("s") for word in words)


def verb(word: str) -> Act | None:
    """What a word of a name says that the tool does; None when it says nothing of that."""
    return _ACTS.get(word)


def writes_of(traces: Iterable[Trace]) -> tuple[str, ...]:
    """The tools that change state which any of these runs called, by name."""
    return tuple(sorted({c.name for t in traces for c in t.tool_calls if act_of(c.name) == "write"}))
