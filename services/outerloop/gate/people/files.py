"""Files: trials on record in a folder, for a gate that runs with no ClickHouse."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from outerloop.runtime.documents import first_problem
from outerloop.runtime.errors import UserError
from outerloop.store.trials import TrialRecord

_RECORD = TypeAdapter(TrialRecord)


class Files:
    """`Records` over `folder`: a file of JSON lines for each series, which are UUIDs.

    `tell` hears of every trial that is added.
    """

    def __init__(self, folder: Path, tell: Callable[[TrialRecord], None]) -> None:
        self._folder = folder
        self._tell = tell
        self._writing = asyncio.Lock()

    async def of(self, series: str) -> list[TrialRecord]:
        """See `Records`.

        Raises:
            UserError: if a file holds what is no trial.
        """
        path = self._folder / f"{series}.jsonl"
        if not path.exists():
            return []
        found: dict[tuple[str, int], TrialRecord] = {}
        # What ends in no newline is a line that a crash cut short: that trial is run again.
        for number, line in enumerate(path.read_bytes().split(b"\n")[:-1], start=1):
            try:
                record = _RECORD.validate_json(line)
            except ValidationError as error:
                raise UserError(f"{path}:{number}: {first_problem(error)}; remove the file") from error
            found.setdefault((record.eval_id, record.number), record)
        return [found[place] for place in sorted(found)]

    async def add(self, record: TrialRecord) -> TrialRecord:
        """See `Records`."""
        path = self._folder / f"{record.decision_id}.jsonl"
        async with self._writing:
            path.parent.mkdir(parents=True, exist_ok=True)
            kept = path.read_bytes() if path.exists() else b""
            if kept and not kept.endswith(b"\n"):
                path.write_bytes(kept[: kept.rfind(b"\n") + 1])
            with path.open("ab") as file:
                file.write(_RECORD.dump_json(record) + b"\n")
        self._tell(record)
        return record
