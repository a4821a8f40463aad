"""Reviews: what people say of evals, and what becomes of it.

An accepted eval binds. A rejected one is drafted anew, with what was rejected left out and the reason told to
the drafter, a few times. An edited one is proven again on what is recorded. Retired, it binds no longer.
"""

from datetime import UTC

from outerloop.contracts.v1.eval_pb2 import (
    REVIEW_ACCEPT,
    REVIEW_EDIT,
    REVIEW_MUTE,
    REVIEW_NOT_A_FAILURE,
    REVIEW_REJECT,
    REVIEW_RETIRE,
    EvalReviewed,
    Review,
)
from outerloop.draft.announce import Announcer
from outerloop.draft.edit import edited
from outerloop.draft.proving import Instead
from outerloop.draft.record import accepted, refused
from outerloop.draft.settings import DraftSettings
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.envelope import Delivery
from outerloop.runtime.errors import PoisonError, UserError
from outerloop.store import evals, heldout
from outerloop.store.evals import EvalRecord, State

_NO: dict[Review, str] = {
    REVIEW_REJECT: "{who} rejected its eval: {why}",
    REVIEW_NOT_A_FAILURE: "{who} says that it is no failure: {why}",
    REVIEW_MUTE: "{who} muted it: {why}",
}
_KNOWN = {REVIEW_ACCEPT, REVIEW_EDIT, REVIEW_RETIRE, *_NO}


class Reviews:
    """Takes verdicts, one at a time. `instead` drafts another eval in place of one."""

    def __init__(
        self,
        settings: DraftSettings,
        db: ClickHouse,
        announcer: Announcer,
        instead: Instead,
    ) -> None:
        self._settings = settings
        self._db = db
        self._announcer = announcer
        self._instead = instead

    async def take(self, review: EvalReviewed, cause: Delivery) -> None:
        """Do what a person has decided. Again, it changes nothing.

        Raises:
            PoisonError: when it is a verdict on nothing that could be judged so.
        """
        record = await self._of(review)
        if review.review == REVIEW_RETIRE:
            await self._retire(record, review, cause)
        elif record.state in {State.ACCEPTED, State.RETIRED}:
            # It was accepted, and that stands: told again, as a crash may have come before it was told.
            await self._announcer.announce(record, cause)
        elif review.review == REVIEW_ACCEPT:
            at = review.reviewed_at.ToDatetime(UTC)
            await self._store(accepted(record, review.reviewer, at, review.reason), cause)
        elif review.review == REVIEW_EDIT:
            await self._edit(record, review, cause)
        else:
            await self._refuse(record, review, cause)

    async def _of(self, review: EvalReviewed) -> EvalRecord:
        if review.review not in _KNOWN:
            raise PoisonError(f"a review of eval {review.eval_id} that neither accepts nor rejects it")
        record = await evals.get(self._db, review.eval_id)
        if record is None or not record.eval_yaml:
            raise PoisonError(f"a review of eval {review.eval_id}, which nobody drafted")
        if review.content_sha256 != record.content_sha256:
            raise PoisonError(
                f"a review of another version of eval {review.eval_id}: it saw"
                f" {review.content_sha256[:12]}, and the draft is {record.content_sha256[:12]}"
            )
        return record

    async def _store(self, record: EvalRecord, cause: Delivery) -> None:
        await evals.insert(self._db, record)
        await self._announcer.announce(record, cause)

    async def _refuse(self, record: EvalRecord, review: EvalReviewed, cause: Delivery) -> None:
        reason = _NO[review.review].format(who=review.reviewer, why=review.reason)
        if record.state is not State.REJECTED:
            record = refused(record, review, reason, State.REJECTED)
            await evals.insert(self._db, record)
        next_try = await self._instead(record) if review.review == REVIEW_REJECT else None
        if next_try is None:
            await self._announcer.park(record, record.reason, cause)
        else:
            await self._store(next_try, cause)

    async def _edit(self, record: EvalRecord, review: EvalReviewed, cause: Delivery) -> None:
        if record.state in {State.REJECTED, State.SET_ASIDE}:
            raise PoisonError(
                f"{review.reviewer} edited eval {record.eval_id}, which was {record.state.value} before"
            )
        try:
            anew, entry = await edited(self._db, record, review, self._settings)
        except UserError as error:
            raise PoisonError(f"{review.reviewer} edited eval {record.eval_id}, and {error}") from error
        await heldout.insert(self._db, entry)
        await self._store(anew, cause)

    async def _retire(self, record: EvalRecord, review: EvalReviewed, cause: Delivery) -> None:
        if record.state not in {State.ACCEPTED, State.RETIRED}:
            raise PoisonError(f"eval {record.eval_id} is retired, and nobody has accepted it")
        if record.state is State.ACCEPTED:
            record = refused(record, review, review.reason, State.RETIRED)
        await self._store(record, cause)
