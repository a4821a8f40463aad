"""In turn: one eval's trials, which count in the order of their index although several run at once.

(If results counted as they came, trials that fail slowly would be seen less often than trials that pass
quickly.)
"""

from collections.abc import Iterator

from outerloop.gate.core.case import Trial


class InTurn:
    """Names an eval's trials, and hands their results on when it is their turn."""

    def __init__(self, eval_id: str) -> None:
        self._eval_id = eval_id
        self._named: set[int] = set()  # running or finished
        self._waiting: dict[int, bool] = {}  # finished, and not yet counted
        self._running: set[int] = set()
        self.counted = 0

    @property
    def running(self) -> frozenset[tuple[str, int]]:
        """(eval id, index) of the trials that have been started and not yet reported."""
        return frozenset((self._eval_id, index) for index in self._running)

    def next_trial(self, least: int) -> Trial | None:
        """The first trial that was not named among the `least` that are needed whatever they give."""
        needed = range(self.counted, self.counted + least)
        index = next((index for index in needed if index not in self._named), None)
        return None if index is None else Trial(self._eval_id, index)

    def started(self, trial: Trial) -> None:
        """The trial runs now, or is on record."""
        if trial.index in self._named:
            raise ValueError(f"{trial} was started before")
        self._named.add(trial.index)
        self._running.add(trial.index)

    def finished(self, trial: Trial, *, passed: bool) -> Iterator[bool]:
        """The trial ran. Gives the results whose turn it is now: the caller counts each it takes."""
        self._running.remove(trial.index)
        self._waiting[trial.index] = passed
        while self.counted in self._waiting:
            self.counted += 1
            yield self._waiting.pop(self.counted - 1)

    def lost(self, trial: Trial) -> None:
        """The trial did not happen (see `TrialNotRunError`): it will be named again, number and all."""
        self._running.remove(trial.index)
        self._named.remove(trial.index)
