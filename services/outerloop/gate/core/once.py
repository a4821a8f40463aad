"""Once: asks for each of these trials, once, and for nothing else."""

from collections.abc import Iterable

from outerloop.gate.core.case import Trial


class Once:
    """Knows which of its trials are still to be started, and which to be reported."""

    def __init__(self, trials: Iterable[Trial]) -> None:
        self._waiting = list(trials)
        self._open = set(self._waiting)

    @property
    def done(self) -> bool:
        """Whether all have been run."""
        return not self._open

    def next_trial(self) -> Trial | None:
        """A trial to start now."""
        return self._waiting[0] if self._waiting else None

    def started(self, trial: Trial) -> None:
        """The trial runs now, or is on record."""
        self._waiting.remove(trial)

    def finished(self, trial: Trial, *, passed: bool) -> None:  # noqa: ARG002 - its record tells
        """The trial ran."""
        self._open.remove(trial)

    def lost(self, trial: Trial) -> None:
        """The trial did not happen: it will be named again."""
        self._waiting.append(trial)
