"""Imports: an eval that a person brought along from another tool, as a draft for review."""

from datetime import UTC

from outerloop.contracts.v1.eval_pb2 import EvalImported
from outerloop.evals.model import Cassette, Eval
from outerloop.evals.suite import Entry
from outerloop.runtime.errors import PoisonError, UserError
from outerloop.store.evals import EvalRecord, State


def imported(message: EvalImported, state: State) -> EvalRecord:
    """The row of an imported eval; why it says less than it did elsewhere is its reason.

    Raises:
        PoisonError: when it is no eval of this id and agent.
    """
    where = f"imported eval {message.eval_id}"
    try:
        eval_ = Eval.from_yaml(message.eval_yaml, where)
        cassette = Cassette.from_jsonl(message.cassette_jsonl, f"{where}: cassette")
    except UserError as error:
        raise PoisonError(f"{message.imported_by} imported what is no eval: {error}") from error
    if (eval_.id, eval_.agent) != (message.eval_id, message.agent):
        raise PoisonError(f"{where} of {message.agent} says that it is {eval_.id} of {eval_.agent}")
    return EvalRecord(
        eval_id=eval_.id,
        agent=eval_.agent,
        mode_id=eval_.mode_id,
        title=eval_.title,
        state=state,
        eval_yaml=eval_.to_yaml(),
        cassette_jsonl=cassette.to_jsonl(),
        content_sha256=Entry(eval_, cassette).content_sha256,
        failing_caught=0,
        failing=0,
        healthy_passed=0,
        healthy=0,
        reviewer="",
        at=message.imported_at.ToDatetime(UTC),
        drafter=eval_.provenance.drafted_by,
        reason="; ".join(f"not taken over: {each}" for each in message.lost),
    )
