"""Table heldout: the held-out variants of evals. Writer: draft. Nothing of propose may read it."""

from collections.abc import Sequence
from datetime import UTC, datetime

from outerloop.evals.heldout import HeldOut, Variant
from outerloop.evals.model import Cassette
from outerloop.evals.suite import Entry
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.errors import UserError
from outerloop.store.evals import EvalRecord


async def insert(db: ClickHouse, entry: Entry) -> None:
    """Store the variants of an eval; to be done before the eval's own row, which names their content."""
    now, content = datetime.now(UTC), entry.content_sha256
    rows = [
        {
            "eval_id": entry.eval.id,
            "content_sha256": content,
            "number": number,
            "variant_yaml": held.variant.to_yaml(),
            "cassette_jsonl": held.cassette.to_jsonl(),
            "at": now,
        }
        for number, held in enumerate(entry.held_out, start=1)
    ]
    if rows:
        await db.insert("heldout", rows)


async def entry_of(db: ClickHouse, record: EvalRecord) -> Entry:
    """The eval of a record with its variants.

    Raises:
        UserError: if they are not those that the record is of.
    """
    rows = await db.query(
        "SELECT number, variant_yaml, cassette_jsonl FROM heldout FINAL"
        " WHERE eval_id = {eval:String} AND content_sha256 = {content:String} ORDER BY number",
        eval=record.eval_id,
        content=record.content_sha256,
    )
    where = f"held-out variant of eval {record.eval_id}"
    held_out = tuple(
        HeldOut(
            Variant.from_yaml(row["variant_yaml"], where), Cassette.from_jsonl(row["cassette_jsonl"], where)
        )
        for row in rows
    )
    entry = Entry(record.eval, record.cassette, held_out)
    if entry.content_sha256 != record.content_sha256:
        raise UserError(
            f"eval {record.eval_id} is not what was reviewed: its text, cassette or held-out variants in"
            " ClickHouse (tables evals, heldout) were changed or lost; restore them"
        )
    return entry


async def sources(db: ClickHouse, eval_ids: Sequence[str]) -> list[str]:
    """The traces of the recorded failures that these evals hold out, or held out before they were edited."""
    rows = await db.query(
        "SELECT variant_yaml FROM heldout FINAL WHERE has({evals:Array(String)}, eval_id)",
        evals=list(eval_ids),
    )
    found = (Variant.from_yaml(row["variant_yaml"], "held-out variant").source_trace for row in rows)
    return sorted({trace_id for trace_id in found if trace_id})
