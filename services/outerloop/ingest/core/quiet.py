"""When a trace is complete: its root has ended and nothing has come for it for a while."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds of silence after which a trace counts as complete: with its root, and without it."""

    rooted: float = 5.0
    rootless: float = 60.0


class Tracker:
    """Traces for which something came and that are not handed on yet. Times are any monotonic seconds.

    It may be lost at any time: what it held is found again in ClickHouse (store.settlements.unsettled).
    """

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._rooted: dict[str, bool] = {}
        self._last: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._last)

    def seen(self, trace_id: str, *, rooted: bool, now: float) -> None:
        """Something came for this trace; `rooted`: its root span was among it."""
        self._rooted[trace_id] = rooted or self._rooted.get(trace_id, False)
        self._last[trace_id] = now

    def due(self, now: float) -> list[str]:
        """Take out the traces that are complete."""
        due = [trace_id for trace_id, last in self._last.items() if now - last >= self._wait(trace_id)]
        for trace_id in due:
            del self._last[trace_id], self._rooted[trace_id]
        return due

    def _wait(self, trace_id: str) -> float:
        return self._patience.rooted if self._rooted[trace_id] else self._patience.rootless
