"""Many patterns at once over bytes, by Hyperscan."""

import threading
from collections.abc import Sequence
from typing import Any

import hyperscan


class Scanner:
    """Finds where patterns end; of use to many threads at once.

    Of the first `own` patterns, which may hold what Hyperscan lacks (look-around, say), it finds more than
    they match, never less.
    """

    def __init__(self, patterns: Sequence[bytes], *, own: int = 0) -> None:
        """Compile the patterns.

        Raises:
            ValueError: when one cannot be searched for.
        """
        self._database: Any = hyperscan.Database()
        try:
            self._database.compile(
                expressions=list(patterns),
                ids=list(range(len(patterns))),
                elements=len(patterns),
                flags=[hyperscan.HS_FLAG_PREFILTER] * own + [0] * (len(patterns) - own),
            )
        except hyperscan.error as error:
            raise ValueError(f"one cannot be searched for: {error}") from error
        self._local = threading.local()

    def marks(self, payload: bytes) -> list[tuple[int, int]]:
        """(end, number of the pattern) of everything that is found, in order."""
        found: list[tuple[int, int]] = []
        if payload:
            if not hasattr(self._local, "scratch"):  # Hyperscan's working memory; one a thread
                self._local.scratch = self._database.scratch.clone()
            self._database.scan(
                payload,
                match_event_handler=lambda number, _start, end, _flags, _context: found.append((end, number)),
                scratch=self._local.scratch,
            )
        return sorted(found)
