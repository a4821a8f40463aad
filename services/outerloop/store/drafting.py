"""Table draft_calls: what drafting was paid for, whatever came of it. Writer: draft."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from outerloop.runtime.clickhouse import ClickHouse


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftCall:
    """One call of the model that drafts (`what` is "model"), or the trials of one base ("base").

    `prompt` is the version of the prompt. What the model of the agent takes per token is not known to trials:
    those have tokens and no `usd`. `outcome` is what came of it, in a few words.
    """

    call_id: str
    agent: str
    mode_id: str
    eval_id: str
    what: str
    model: str
    prompt: str
    input_tokens: int
    output_tokens: int
    usd: float
    seconds: float
    outcome: str
    at: datetime


async def insert(db: ClickHouse, calls: Sequence[DraftCall]) -> None:
    """Store calls; the same one again replaces itself."""
    await db.insert("draft_calls", [asdict(call) for call in calls])


async def of_mode(db: ClickHouse, mode_id: str) -> list[DraftCall]:
    """What drafting for a mode was paid for, the oldest first."""
    rows = await db.query(
        "SELECT * FROM draft_calls FINAL WHERE mode_id = {mode:String} ORDER BY at, call_id", mode=mode_id
    )
    return [DraftCall(**row) for row in rows]
