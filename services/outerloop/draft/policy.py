"""Policy: which drafts need no review where an agent's `outerloop.yaml` says `review: auto`."""

from collections.abc import Sequence

from outerloop.evals.grade import judges
from outerloop.store.evals import EvalRecord, Reproduction

# Who accepts by the policy; what it accepted is no person's word on later ones.
POLICY = "review: auto"


def needs_no_review(draft: EvalRecord, accepted: Sequence[EvalRecord], mutants: float) -> EvalRecord | None:
    """The eval on the same sign that a person has accepted before; None where a person must look.

    One must, unless all that the draft expects is exact, and its proof is whole: it fails on all recorded
    failures and on the base, passes on all healthy runs, and fails the share `mutants` of broken ones.
    """
    whole = (
        draft.reproduction is Reproduction.REPRODUCED
        and draft.failing_caught == draft.failing
        and draft.healthy_passed == draft.healthy > 0
        and draft.mutants > 0
        and draft.mutation_score >= mutants
    )
    if not whole or judges(draft.eval.expect):
        return None
    sign = (draft.signal_kind, draft.signal_subject)
    return next(
        (e for e in accepted if e.reviewer != POLICY and (e.signal_kind, e.signal_subject) == sign), None
    )
