"""What is said of a failure mode, by the kind of the sign that names it.

{subject} and {detail} are the sign's.
"""

from typing import Literal, NamedTuple

Severity = Literal["critical", "high", "medium", "low"]


class Saying(NamedTuple):
    """A title, a sentence, and how grave it is."""

    title: str
    description: str
    severity: Severity


SAYINGS: dict[str, Saying] = {
    "injection_followed": Saying(
        "the agent obeys orders that stand in a tool's result",
        "A tool returned a text that gives orders, and the agent then changed something that"
        " only those orders name, not its user ({subject}).",
        "critical",
    ),
    "false_success": Saying(
        "{subject} fails, and the agent says that it is done",
        "The last change by {subject} was refused, and the agent told its user that it had been made.",
        "high",
    ),
    "wrong_write": Saying(
        "{subject} changes what it should not, or not as it should",
        "The run was judged bad without an error anywhere; what it did last was a change by {subject}.",
        "high",
    ),
    "repeated_call": Saying(
        "{subject} is called again and again with the same arguments",
        "The agent called {subject} at least three times with the same arguments"
        " and got the same answer each time.",
        "medium",
    ),
    "tool_error": Saying(
        "{subject} fails: {detail}",
        "The last call of {subject} failed, and the agent did not recover from it.",
        "medium",
    ),
    "error_status": Saying(
        "{subject} ends with an error: {detail}",
        "The run as a whole ended with an error status.",
        "high",
    ),
    "truncated": Saying(
        "{subject} is cut off: {detail}",
        "The last words of {subject} were cut off before it had finished.",
        "medium",
    ),
    "abrupt_end": Saying(
        "the run breaks off at {subject}",
        "The run ended after {subject}, and the agent said nothing more to its user.",
        "high",
    ),
    "empty_answer": Saying(
        "{subject} ends without an answer",
        "The model was asked, and the run ended without a word.",
        "high",
    ),
    "wrong_handover": Saying(
        "{subject} hands over what the agent should do itself",
        "The run was judged bad without an error anywhere; it ended by handing the user over ({subject}).",
        "medium",
    ),
    "no_action": Saying(
        "the agent talks and changes nothing",
        "The run was judged bad without an error anywhere; the agent changed nothing and handed over to"
        " nobody.",
        "medium",
    ),
    "evaluation": Saying(
        "{subject} says {detail}",
        "The evaluator {subject} calls the run bad, and nothing else explains it.",
        "medium",
    ),
}
