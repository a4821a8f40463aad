"""Ways: in which a run can be broken, told of a run that nobody broke; see mutants."""

from outerloop.draft.core.carry import asked, carried, carried_where_told
from outerloop.evals.expect.answer import Answered
from outerloop.evals.expect.refusal import Refused
from outerloop.evals.grade import grade
from outerloop.evals.jsonvalue import canonical
from outerloop.trace.model import Trace


def silent(run: Trace) -> bool:
    """It answers nothing."""
    return not grade([Answered()], run).passed


def ends_with_an_error(run: Trace) -> bool:
    """Its root span has one."""
    return run.root.failed


def calls(tool: str, run: Trace) -> bool:
    """It calls the tool, with success."""
    return any(call.name == tool and not call.failed for call in run.tool_calls)


def never_calls(tool: str, run: Trace) -> bool:
    """It does not."""
    return not calls(tool, run)


def of_no_case(tool: str, key: str, run: Trace) -> bool:
    """It calls the tool about nothing that its request names by `key`, if at all."""
    request = asked(run)
    made = [call for call in run.tool_calls if call.name == tool and not call.failed]
    values = [call.arguments[key] for call in made if key in call.arguments]
    return not any(carried(value, request, request) == value for value in values)


def says_no(last: str, run: Trace) -> bool:
    """It refuses, and has not called the tool `last` ("": whatever it has called)."""
    return grade([Refused()], run).passed and (not last or never_calls(last, run))


def calls_as_wrongly(failure: Trace, shown_by: str, run: Trace) -> bool:
    """It makes the call that is wrong in `failure`, about its own case, as often and with the same end."""
    blamed = next(call for call in failure.tool_calls if call.span_id == shown_by)
    same = [c for c in failure.tool_calls if (c.name, c.arguments) == (blamed.name, blamed.arguments)]
    wanted = canonical(carried_where_told(blamed.arguments, asked(failure), asked(run)))
    made = [c for c in run.tool_calls if c.name == blamed.name and canonical(c.arguments) == wanted]
    return len(made) >= len(same) and made[-1].failed == same[-1].failed
