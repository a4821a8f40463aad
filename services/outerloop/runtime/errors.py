"""The error model: what each kind of failure is, and therefore what is done about it.

Outage      something we depend on is away (Kafka, ClickHouse, the model provider, git remote). Nothing is
            wrong with the message: wait, with backoff, and try again for as long as it takes.
Poison      the message itself can never be handled: undecodable, or against its contract. Goes to the
            dead-letter topic at once.
UserError   what a person gave us (a setting, a file, an argument) is wrong. The sentence says what,
            where, and what to do; the command line prints it without a traceback.
TrialNotRun a trial did not happen (timeout of the sandbox, model outage). It is never counted as the
            agent's failure or success.
anything else is a bug: retried a bounded number of times, then dead-lettered with its stack.

An agent's failure is none of these: it is data (a span, a verdict, a trial's result), never an exception.
"""


class OuterloopError(Exception):
    """Base of what we raise on purpose."""


class OutageError(OuterloopError):
    """A dependency is away; says which."""


class PoisonError(OuterloopError):
    """A message that can never be handled; says why."""


class UserError(OuterloopError):
    """What a person gave is wrong; says what, where, and what to do."""


class TrialNotRunError(OuterloopError):
    """A trial that did not happen, and why."""


class DeadLetterFloodError(OuterloopError):
    """So many messages in a row could not be handled that the fault is more likely ours."""
