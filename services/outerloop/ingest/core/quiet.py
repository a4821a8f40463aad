"""When a trace is complete: its root has ended and nothing has come for it for a while."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds of silence after which a trace counts as complete: with its root, and without it."""

    rooted: float = 5.0
    rootless: float = 60.0


class Tracker:
    """Traces for which something came and that are not handed on yet. Times are any monotonic seconds.

    It may be lost at any time, and holds no more than `most` (about 200 bytes each): what it does not hold is
    found again in ClickHouse (store.settlements.unsettled).
    """

    def __init__(self, patience: Patience, most: int = 500_000) -> None:
        # (patience, trace -> when something came last), the longest silent first.
        self._rooted: tuple[float, dict[str, float]] = (patience.rooted, {})
        self._rootless: tuple[float, dict[str, float]] = (patience.rootless, {})
        self._most = most
        self.left_out = 0  # traces, since it began

    def __len__(self) -> int:
        return len(self._rooted[1]) + len(self._rootless[1])

    def seen(self, trace_id: str, *, rooted: bool, now: float) -> None:
        """Something came for this trace; `rooted`: its root span was among it."""
        had_root = self._rooted[1].pop(trace_id, None) is not None
        known = had_root or self._rootless[1].pop(trace_id, None) is not None
        if not known and len(self) >= self._most:
            self.left_out += 1
            return
        (self._rooted if rooted or had_root else self._rootless)[1][trace_id] = now

    def due(self, now: float) -> list[str]:
        """Take out the traces that are complete; costs what they are, not what waits."""
        due: list[str] = []
        for patience, waiting in (self._rooted, self._rootless):
            for trace_id, last in waiting.items():
                if now - last < patience:
                    break
                due.append(trace_id)
        for trace_id in due:
            if self._rooted[1].pop(trace_id, None) is None:
                del self._rootless[1][trace_id]
        return due
